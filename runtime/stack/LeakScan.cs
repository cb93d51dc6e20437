// Which goroutines wait for ever. In one collection that stops the world and marks everything, the stack of a
// goroutine that waits for others is a root only if somebody else can reach what it waits on:
//
//   1. Begin, TryDefer   roots are reported; goroutines that wait for others are put in a list instead
//   2. Decide            the collector has marked all that the roots lead to. A goroutine in the list, what
//                        it waits on marked, is live: its stack is reported and marked, which may bring
//                        others to life. Until a whole round finds none
//   3.                   weak references and objects with finalizers count as well: rounds as before
//   4.                   what is left is leaked. Its stacks are reported in the end, so nothing is freed
//
//   waits for                                leaked if nobody else reaches
//   channel, WaitGroup, Mutex and the like   that object (ParkObject)
//   select                                   any of its channels; the cases are not asked
//   a null channel, a select of none         (Never) always leaked
//   sleep, network, native code, processor   never leaked; nor is a thread that waits
//
// So a collection that looks for leaks keeps what any other would, and a little more (3).
//
// Why 3: a channel that is reached through a WeakReference only, or by a finalizer only, may still be sent
// to. It comes last because it marks what is garbage, and most programs have nobody in the list by then.
//
// A goroutine that was taken out of its queue, but not yet made ready by the one who did that, is live:
// whoever will ready it may have forgotten the queue already.
//
// Rejected: several collections with weak handles. What only a stack refers to would be freed by the first.
// Rejected: to decide in the report of roots. Handles, and with them all static fields, are marked later.
// Locks: none; the world stands still, but for Arm.

namespace Weft.Runtime;

internal static unsafe class LeakScan
{
    private static delegate*<Goroutine*, bool> s_selectIsReachable;
    private static delegate*<Goroutine*, void> s_leaked;
    private static volatile bool s_armed;
    private static nint s_scan; // The collection that decides; 0 for none.
    private static nint s_report;
    private static Goroutine* s_first;
    private static Goroutine* s_last;

    /// <summary>Whether the answer is still to come.</summary>
    internal static bool IsArmed => s_armed;

    /// <summary>Has the next full collection that stops the world decide. Both functions are raw: whether one
    /// that selects waits on anything that IsMarked; and what is called for each that is leaked.</summary>
    internal static void Arm(
        delegate*<Goroutine*, bool> selectIsReachable, delegate*<Goroutine*, void> leaked)
    {
        s_selectIsReachable = selectIsReachable;
        s_leaked = leaked;
        s_armed = true;
    }

    /// <summary>Roots are about to be reported. Whether goroutines may be deferred.</summary>
    internal static bool Begin(nint report, nint scan, bool promotion, int generation)
    {
        if (!s_armed || !promotion || generation != Collector.OldestGeneration
            || !Collector.IsMarking(report))
        {
            return false;
        }
        s_scan = scan;
        s_report = report;
        s_first = null;
        s_last = null;
        return true;
    }

    /// <summary>True when what g refers to is not to be reported now.</summary>
    internal static bool TryDefer(Goroutine* g)
    {
        if (g->State != GoroutineState.Waiting || g->Kind == GoroutineKind.Thread
            || g->Context.SavedSp == 0 || !WaitsForOthers(g))
        {
            return false;
        }
        g->Link = null;
        g->LeakPrevious = s_last;
        if (s_last == null)
        {
            s_first = g;
        }
        else
        {
            s_last->Link = g;
        }
        s_last = g;
        return true;
    }

    /// <summary>The assembly calls it when everything is marked that the reported roots lead to.</summary>
    internal static void Decide(nint scan, int generation)
    {
        if (s_scan == 0 || scan != s_scan)
        {
            return;
        }
        Check.Always(generation == Collector.OldestGeneration, "leaks: another collection has begun"u8);
        GcRoots.BeginReport(scan);
        ReviveAll();
        if (s_first != null)
        {
            Collector.MarkWeak(scan);
            Collector.MarkFinalizable(scan);
            Collector.Complete(scan);
            ReviveAll();
        }
        for (Goroutine* g = s_first; g != null; g = g->Link)
        {
            s_leaked(g);
            _ = GcRoots.ReportGoroutine(g, promotion: true, s_report, scan, planned: -1);
        }
        Collector.Complete(scan);
        GcRoots.EndReport(scan);
        s_scan = 0;
        s_armed = false;
    }

    /// <summary>Takes the live ones out of the list, and those that they bring to life. In both directions
    /// in turn: in a chain each of whose goroutines waits for the next, one of them finds all at
    /// once.</summary>
    private static void ReviveAll()
    {
        bool found = true;
        for (bool forward = false; found; forward = !forward)
        {
            found = false;
            Goroutine* next;
            for (Goroutine* g = forward ? s_first : s_last; g != null; g = next)
            {
                next = forward ? g->Link : g->LeakPrevious;
                if (IsReachable(g))
                {
                    Remove(g);
                    _ = GcRoots.ReportGoroutine(g, promotion: true, s_report, s_scan, planned: -1);
                    Collector.Drain();
                    found = true;
                }
            }
            if (found)
            {
                Collector.Complete(s_scan);
            }
        }
    }

    private static bool IsReachable(Goroutine* g) => g->Reason switch
    {
        ParkReason.Never => false,
        ParkReason.Select => s_selectIsReachable(g),
        _ => Collector.IsMarked(g->ParkObjectSlot),
    };

    private static bool WaitsForOthers(Goroutine* g)
    {
        switch (g->Reason)
        {
            case ParkReason.ChanSend:
            case ParkReason.ChanReceive:
            case ParkReason.WaitGroup:
            case ParkReason.Mutex:
            case ParkReason.RWMutex:
            case ParkReason.Cond:
            case ParkReason.Semaphore:
                return Goroutine.WaiterOf(g)->IsQueued;

            case ParkReason.Select:
                return g->Extra->SelectDone == 0;

            case ParkReason.Never:
                return true;

            default:
                return false;
        }
    }

    private static void Remove(Goroutine* g)
    {
        if (g->LeakPrevious == null)
        {
            s_first = g->Link;
        }
        else
        {
            g->LeakPrevious->Link = g->Link;
        }
        if (g->Link == null)
        {
            s_last = g->LeakPrevious;
        }
        else
        {
            g->Link->LeakPrevious = g->LeakPrevious;
        }
    }
}
