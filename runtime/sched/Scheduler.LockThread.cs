// A goroutine that must stay on its thread, and a thread that runs nothing else meanwhile. Go:
// runtime.LockOSThread.
//
//   its machine   g stops: hands its processor on, sleeps until it is handed one with g
//   any other     finds g: hands its processor to g's machine, and sleeps as an idle one
//
// So each of its stops costs two thread switches. A locked goroutine goes through the machines' loops only
// (Goroutine.NeedsLoop). If it ends locked its thread ends too: whatever it did to the thread, nobody else
// meets it.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private static int s_lockedAsleep;

    /// <summary>g, which is running, stays on this machine. Nests.</summary>
    internal static void LockThread(Goroutine* g)
    {
        g->NoPreempt = 1;
        if (g->Locked == 0 && !Jit.IsOn)
        {
            g->Machine->Locked = g;
        }
        Check.Always(g->Locked < short.MaxValue, "threads: a goroutine is locked to its own too often"u8);
        g->Locked++;
        g->NoPreempt = 0;
    }

    /// <summary>False when it is not locked.</summary>
    internal static bool UnlockThread(Goroutine* g)
    {
        if (g->Locked == 0)
        {
            return false;
        }
        g->NoPreempt = 1;
        if (--g->Locked == 0)
        {
            Unlock(g);
        }
        g->NoPreempt = 0;
        return true;
    }

    private static void Unlock(Goroutine* g)
    {
        if (!Jit.IsOn)
        {
            g->Machine->Locked = null;
        }
    }

    /// <summary>m, with a processor, has found g, which is locked to another.</summary>
    private static void HandToLocked(Machine* m, Goroutine* g)
    {
        Processor* p = m->Processor;
        Release(m, p);
        _ = HandTo(g->Machine, p, spinning: false);
    }

    /// <summary>m's goroutine has stopped: m runs nothing else until it may go on. That may have been found,
    /// and m been handed a processor for it, already: so nobody but m writes RunNext.</summary>
    private static void WaitForLocked(Machine* m)
    {
        LeaveProcessor(m);
        Interlocked.Increment(ref s_lockedAsleep);
        while (Volatile.Read(ref m->Wake) == 0)
        {
            Os.WaitOnAddress(&m->Wake, 0);
        }
        Interlocked.Decrement(ref s_lockedAsleep);
        AcquireNext(m);
        m->RunNext = m->Locked;
    }

    /// <summary>Gives the processor to somebody else, if m holds one.</summary>
    private static void LeaveProcessor(Machine* m)
    {
        Processor* p = m->Processor;
        if (p != null)
        {
            Release(m, p);
            HandOn(p);
        }
    }

    /// <summary>g ends on m, to which it is locked.</summary>
    private static void EndLocked(Machine* m, Goroutine* g)
    {
        g->Locked = 0;
        Unlock(g);
        m->Ends = true;
    }
}
