// sched/: the rule of Scheduler.cs, when a machine is woken, with the scheduler's own Find, Threads, Park and
// Timers. Two processors; what is left out says StandIns.Scheduler.cs.
//
//   who makes ready   push, barrier, read the idle count and Spinning          (WakeAfter, SubmitGlobal)
//   who gives up      idle, decrement, barrier, look at all queues             (CheckOnceMore)
//
// Must hold: nobody sleeps while a goroutine is runnable. The one who makes it ready goes on computing, and
// never looks again: so another machine has to.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class SchedulerModel : Model
{
    private int _ran;

    private protected Machine* First { get; private set; }

    private protected Machine* Second { get; private set; }

    private protected Goroutine* G { get; private set; }

    internal override int Depth => 3;

    internal override bool MaySleep => true;

    internal override int Spares => 1;

    private protected virtual int Processors => 2;

    internal override void SetUp()
    {
        Scheduler.Make(Processors);
        First = Scheduler.MakeMachine("first");
        Second = Scheduler.MakeMachine("second");
        G = Scheduler.MakeWaiting("g");
        _ran = 0;
    }

    internal override void AtEnd() => Explorer.Assert(_ran == 1, $"The goroutine ran {_ran} times.");

    /// <summary>Somebody runs it, and sees what was written before it was made ready.</summary>
    private protected void Ran(Goroutine* g)
    {
        Explorer.Assert(g == G, "Another goroutine came.");
        Explorer.Assert(g->Id == 7, "What was written before it was made ready is not seen.");
        _ran++;
    }

    private protected void NewMachine() => Ran(Scheduler.NextOfNew((Machine*)Explorer.Local.Machine));

    private protected void MakeReady()
    {
        G->Id = 7;
        Scheduler.Ready(G);
    }
}

/// <summary>A goroutine makes another ready while the other machine goes to sleep.</summary>
internal sealed unsafe class SleepModel : SchedulerModel
{
    internal override (string, string)[] Barriers =>
    [
        ("ready-barrier", "Scheduler.WakeAfter MemoryBarrier ?"),
        ("sleep-barrier", "Scheduler.CheckOnceMore MemoryBarrier ?"),
        ("awaken", "Scheduler.Awaken VolatileWrite Machine.Wake"),
        ("awakened", "Scheduler.Sleep VolatileRead Machine.Wake"),
    ];

    internal override Action[] Threads => [Submitter, Sleeper, NewMachine];

    private void Submitter()
    {
        Current.SetMachine(First);
        MakeReady();
    }

    private void Sleeper() => Ran(Scheduler.Next(Second));
}

/// <summary>The same by a thread that is no machine's, through the global queue.</summary>
internal sealed unsafe class GlobalModel : SchedulerModel
{
    internal override (string, string)[] Barriers =>
    [
        ("global-barrier", "Scheduler.SubmitGlobal MemoryBarrier ?"),
        ("global-sleep-barrier", "Scheduler.CheckOnceMore MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Submitter, Sleeper, NewMachine];

    private void Submitter() => MakeReady();

    private void Sleeper() => Ran(Scheduler.Next(Second));
}

/// <summary>Two at once, three processors, one machine that looks for work: it runs one, and has to see that
/// another machine looks for the other one. The submitter has been quiet, if it saw that somebody looks.</summary>
internal sealed unsafe class BurstModel : SchedulerModel
{
    private Goroutine* _other;
    private int _othersRuns;

    internal override int Depth => 2;

    internal override int Spares => 2;

    private protected override int Processors => 3;

    internal override (string, string)[] Barriers =>
    [
        ("burst-barrier", "Scheduler.WakeAfter MemoryBarrier ?"),
    ];

    internal override Action[] Threads =>
    [
        Submitter,
        () => RunEither(Scheduler.Next(Second)),
        () => RunEither(Scheduler.NextOfNew((Machine*)Explorer.Local.Machine)),
        () => RunEither(Scheduler.NextOfNew((Machine*)Explorer.Local.Machine)),
    ];

    internal override void SetUp()
    {
        base.SetUp();
        _other = Scheduler.MakeWaiting("other");
        _othersRuns = 0;
    }

    internal override void AtEnd()
    {
        base.AtEnd();
        Explorer.Assert(_othersRuns == 1, $"The other one ran {_othersRuns} times.");
    }

    private void Submitter()
    {
        Current.SetMachine(First);
        Scheduler.Ready(_other);
        MakeReady();
    }

    private void RunEither(Goroutine* g)
    {
        if (g == _other)
        {
            _othersRuns++;
            return;
        }
        Ran(g);
    }
}
