// The goroutines of bubbles (Bubble.cs) in the scheduler: a bubble says which of them may run, and they go
// through the machines' loops and the global queue only, as locked ones. What one wakes or leaves the turn to
// its machine runs next, in 60 of 61 rounds: then all others have theirs, and timers are looked at.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>Start, for a goroutine of this bubble.</summary>
    internal static void StartIn(Bubble bubble, Goroutine* g)
    {
        bubble.Add(g);
        if (Jit.IsOn)
        {
            JitThreads.Start(g);
            return;
        }
        Dispatch(bubble.Place(g));
    }

    /// <summary>g is runnable, and its bubble lets it run. May be null.</summary>
    internal static void Dispatch(Goroutine* g)
    {
        if (g == null)
        {
            return;
        }
        s_shared.Lock.Enter();
        PushGlobal(g);
        s_shared.Lock.Exit();
        Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
        WakeProcessor();
    }

    /// <summary>The same for each of a list.</summary>
    internal static void DispatchAll(Goroutine* list)
    {
        while (list != null)
        {
            Goroutine* next = list->Link; // Before it is in another list.
            Dispatch(list);
            list = next;
        }
    }

    /// <summary>The caller, g, goes on when its bubble draws it again.</summary>
    internal static void LetOthersOfBubbleRun(Goroutine* g)
    {
        g->NoPreempt = 1;
        g->Reason = ParkReason.Yield;
        SwitchAway(g);
        g->Reason = ParkReason.None;
        g->NoPreempt = 0;
    }

    /// <summary>Dispatch, in Complete, which a machine's loop has called.</summary>
    private static void RunNext(Goroutine* g)
    {
        Machine* m = Current.Machine();
        Processor* p = m->Processor;
        if (g == null || m->RunNext != null || m->Locked != null || m->Ends || p->RoundsToGlobal <= 1
            || TimersDueIn(p->RoundsToGlobal, p))
        {
            Dispatch(g);
            return;
        }
        p->RoundsToGlobal--;
        m->RunNext = g;
    }

    /// <summary>Complete, for one of a bubble that lets others run. Without an order that is all others.
    /// </summary>
    private static void CompleteYieldInBubble(Goroutine* g)
    {
        Bubble bubble = Bubble.Of(g);
        if (bubble.IsOrdered)
        {
            RunNext(bubble.Yielded(g));
        }
        else
        {
            Dispatch(g);
        }
    }

    /// <summary>Complete, for one of a bubble that waits.</summary>
    private static void CompleteInBubble(
        Goroutine* g, delegate*<Goroutine*, void*, bool> commit, void* argument)
    {
        Bubble bubble = Bubble.Of(g);
        BubbleWait wait = bubble.Parking(g);
        if (g->SharesPage && StackStore.Takes(g))
        {
            StackStore.Out(Current.Machine()->Processor, g);
        }
        g->Transition(GoroutineState.Running, GoroutineState.Waiting);
        if (commit != null && !commit(g, argument))
        {
            g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
            RunNext(g);
            return;
        }
        RunNext(bubble.Parked(wait)); // g may have gone on.
    }
}
