// sched/Scheduler.Timers.cs: a goroutine goes to sleep on a processor that never looks again, while the other
// machine becomes the keeper of the time, or is that already. The heap is a stand-in: one timer, NextTimer, a lock.
//
//   who adds     NextTimer, barrier, read s_keptUntil: break the keeper's sleep, or wake a machine
//   the keeper   s_keptUntil, barrier, read all NextTimer again
//   who sleeps   processor idle, Spinning, barrier, read all NextTimer
//   who starts   the poller: IsPolling, s_kicks; the keeper sleeps there from then on. StartNetpoll, transcribed
//
// Must hold: the sleeper runs when its time has come, not later. Time passes when nobody else can go on.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal unsafe class TimerModel : SchedulerModel
{
    private protected const long When = 100;

    internal override int Depth => 2;

    internal override (string, string)[] Barriers =>
    [
        ("timer-added", "Scheduler.TimerAdded MemoryBarrier ?"),
        ("timer-sleep", "Scheduler.CheckOnceMore MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Add, Keep, NewMachine];

    private protected void Add()
    {
        Current.SetMachine(First);
        G->Id = 7;
        Scheduler.AddSleeper(G, When);
    }

    private void Keep()
    {
        Ran(Scheduler.Next(Second));
        Explorer.Assert(Explorer.Now == When, $"It slept until {Explorer.Now}.");
    }
}

/// <summary>The same where there is a timer already, of a later time.</summary>
internal unsafe class KickModel : TimerModel
{
    private const long Later = 200;

    internal override (string, string)[] Barriers =>
    [
        ("kick-added", "Scheduler.TimerAdded MemoryBarrier ?"),
        ("kick-keeper", "Scheduler.SleepUntilTimer MemoryBarrier ?"),
    ];

    internal override void SetUp()
    {
        base.SetUp();
        Scheduler.SetTimer(Second, Scheduler.MakeWaiting("other"), Later);
    }
}

/// <summary>The same while the poller is started; the keeper has given its processor up, and sleeps.</summary>
internal sealed unsafe class StartModel : KickModel
{
    private bool _kept;

    internal override bool MaySleep => false;

    internal override int Spares => 0;

    internal override (string, string)[] Barriers =>
    [
        ("start-kick", "Scheduler.KickKeeper MemoryBarrier ?"),
        ("start-keeper", "Scheduler.PollUntil MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Add, SleepAsKeeper, Scheduler.StartPolling];

    internal override void SetUp()
    {
        base.SetUp();
        _kept = false;
    }

    internal override void AtEnd() => Explorer.Assert(_kept, "Nobody has kept the time.");

    private void SleepAsKeeper()
    {
        Scheduler.SleepAsKeeper();
        Explorer.Assert(Explorer.Now == When, $"It slept until {Explorer.Now}.");
        _kept = true;
    }
}
