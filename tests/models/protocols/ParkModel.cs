// sched/: how a goroutine parks under a lock and another machine wakes it. G runs on the first machine; what lies
// on its stack is Context.SavedSp, which the switch writes and whoever runs it next reads.
//
//   parks    lock, enqueue, Running ...... leaves its stack, Waiting, release of the lock
//   wakes    lock, dequeue, unlock, Runnable, Running, its stack
//
// Must hold: the one who wakes it finds it Waiting (Transition checks that), and its stack as it was left, by
// ordered plain steps. Rests are transcribed: the queue is one word; the call of Complete is the loop's.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class ParkModel : SchedulerModel
{
    private protected const nint Frames = 7;

    private protected ShortLock* Lock { get; private set; }

    private protected Goroutine** Waiter { get; private set; }

    internal override int Spares => 0;

    internal override bool MaySleep => false;

    internal override void SetUp()
    {
        base.SetUp();
        Lock = Explorer.Allocate<ShortLock>("lock");
        Waiter = (Goroutine**)Explorer.Allocate<nint>("waiter");
        Scheduler.Continue(First, G);
        G->Id = 7;
    }

    private protected void WakeAndRun(bool releases)
    {
        Current.SetMachine(Second);
        Goroutine* g;
        while (true)
        {
            Lock->Enter();
            g = *Waiter;
            if (g != null)
            {
                break;
            }
            Lock->Exit();
            Explorer.GiveWay();
        }
        *Waiter = null;
        if (releases)
        {
            Scheduler.UnlockAndReady(ref *Lock, g);
        }
        else
        {
            Lock->Exit();
            Scheduler.Ready(g);
        }
        g = Scheduler.Next(Second);
        Explorer.Assert(g->Context.SavedSp == Frames, "Its stack is not as it was left.");
        g->Context.SavedSp = 0;
        Ran(g);
    }
}

/// <summary>By the machine's loop, which completes the stop, and its commit releases the lock.</summary>
internal sealed unsafe class CommitModel : ParkModel
{
    internal override (string, string)[] Barriers =>
    [
        ("commit-unlock", "ShortLock.Release VolatileWrite ShortLock._held"),
        ("commit-lock", "Switch.EnterLock CompareExchange ?"),
    ];

    internal override Action[] Threads => [Park, () => WakeAndRun(releases: false)];

    private void Park()
    {
        Current.SetMachine(First);
        Lock->Enter();
        *Waiter = G;
        G->ParkCommit = &Release;
        G->ParkArgument = Lock;
        G->Context.SavedSp = Frames;
        Scheduler.Finish(G);
    }

    private static bool Release(Goroutine* g, void* held)
    {
        ((ShortLock*)held)->Exit();
        return true;
    }
}

/// <summary>By TryParkAndUnlock: Waiting before the switch, which releases the lock.</summary>
internal sealed unsafe class DirectModel : ParkModel
{
    private Goroutine* _next;

    internal override (string, string)[] Barriers =>
    [
        ("direct-unlock", "Switch.ToAndUnlock VolatileWrite ?"),
    ];

    internal override Action[] Threads => [Park, () => WakeAndRun(releases: true)];

    internal override void SetUp()
    {
        base.SetUp();
        _next = Scheduler.MakeWaiting("next");
        Scheduler.MakeLocal(First, _next);
    }

    private void Park()
    {
        Current.SetMachine(First);
        Explorer.Local.Frames = Frames;
        Lock->Enter();
        *Waiter = G;
        try
        {
            _ = Scheduler.TryParkAndUnlock(G, ref *Lock, ParkReason.Mutex);
        }
        catch (SwitchedAwayException)
        {
            return; // The next one runs.
        }
        Explorer.Assert(false, "There was no next one.");
    }
}
