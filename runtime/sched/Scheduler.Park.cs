// Park, Ready, Yield: how a goroutine stops, and how it starts again.
//
//   Running --Park--> Waiting --Ready--> Runnable --Assume--> Running
//
// Where the next goroutine is known, the switch goes straight to it; else to the machine's loop. Either way
// the receiver completes the stop (Scheduler.Loop.cs), and only then can the goroutine be made ready.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>Stops the calling goroutine, or thread, until someone calls Ready on it. The commit is
    /// called once it has left its stack: it usually releases the lock under which the caller enqueued
    /// itself; if it returns false the caller goes on. Go: gopark.</summary>
    internal static void Park(
        Goroutine* g, delegate*<Goroutine*, void*, bool> commit, void* argument, ParkReason reason)
    {
        Check.Always(g->State == GoroutineState.Running, "park: goroutine is not running"u8);
        g->NoPreempt = 1;
        g->ParkCommit = commit;
        g->ParkArgument = argument;
        g->Reason = reason;
        g->WaitSince = CountsWaits ? Os.NowNs() : CoarseNow;
        if (g->Kind == GoroutineKind.Thread)
        {
            ParkThread(g);
        }
        else
        {
            SwitchAway(g);
        }
        g->Reason = ParkReason.None;
        g->NoPreempt = 0;
        if (CountsWaits)
        {
            ContentionProfile.HasWaited(g, reason);
        }
    }

    /// <summary>Park for who holds the short lock under which it has enqueued itself, where the next
    /// goroutine is known: the switch to it releases the lock, and there is nothing to complete. False, and
    /// nothing has changed, where Park must do it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static bool TryParkAndUnlock(Goroutine* g, ref ShortLock held, ParkReason reason)
    {
        if (g->Kind == GoroutineKind.Thread || g->ParksInFull)
        {
            return false;
        }
        Machine* m = g->Machine;
        Processor* p = m->Processor;
        int rounds = p->RoundsToGlobal;
        if (rounds <= 1 || p->Id >= MaxProcessors || CountsWaits || TimersDueIn(rounds, p))
        {
            return false; // A longer search is due, as in SwitchAway, in the same rounds.
        }
        Goroutine* next = p->Queue.Pop(); // None that needs the loop: those are in no local queue.
        if (next == null)
        {
            return false;
        }
        p->RoundsToGlobal = rounds - 1;
        g->NoPreempt = 1;
        g->Reason = reason;
        g->WaitSince = CoarseNow;
        next = Assume(m, next);
        g->Transition(GoroutineState.Running, GoroutineState.Waiting); // No call between this and the switch.
        Goroutine* message = Switch.ToAndUnlock(g, next, ref held.Word);
        if (message != null)
        {
            Complete(message);
        }
        g->Reason = ParkReason.None;
        g->NoPreempt = 0;
        return true;
    }

    /// <summary>For who has just gone on: if it was abandoned, ends it by the exception of Go.Exit.</summary>
    internal static void ExitIfAbandoned(Goroutine* g)
    {
        if (TakeAbandoned(g))
        {
            throw new GoroutineExit();
        }
    }

    /// <summary>Whether it was abandoned. Only once: what it waits for afterwards, in its finally blocks, is
    /// as any other wait.</summary>
    internal static bool TakeAbandoned(Goroutine* g)
    {
        bool abandoned = g->Abandoned;
        g->Abandoned = false;
        return abandoned;
    }

    /// <summary>Makes a waiting goroutine, or thread, runnable. The caller has taken it out of the queue it
    /// waited in, so nobody else does. Any thread. Go: goready.</summary>
    internal static void Ready(Goroutine* g)
    {
        if (CountsWaits)
        {
            ContentionProfile.Wakes(g);
        }
        g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
        if (g->Kind == GoroutineKind.Thread)
        {
            WakeThread(g);
            return;
        }
        Submit(g);
    }

    /// <summary>Releases the short lock under which the caller took it out of its queue, then
    /// Ready.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void UnlockAndReady(ref ShortLock held, Goroutine* g)
    {
        held.Release();
        if (g->Kind == GoroutineKind.Thread)
        {
            Switch.LeaveCritical();
            Ready(g);
            return;
        }
        g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
        Place(g);
        Switch.LeaveCritical();
    }

    /// <summary>Ready for each of a linked list.</summary>
    internal static void ReadyAll(Goroutine* list)
    {
        while (list != null)
        {
            Goroutine* next = list->Link; // Before Ready: its next queue links it anew.
            Ready(list);
            list = next;
        }
    }

    /// <summary>Lets others run. Go: Gosched, but to the tail of the local queue.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Yield(Goroutine* g)
    {
        if (Jit.IsOn)
        {
            _ = Thread.Yield();
            return;
        }
        g->NoPreempt = 1;
        Machine* m = g->Machine;
        Processor* p = m->Processor;
        // Where no other machine takes from this queue, g may be in it before it has left its stack.
        if (!p->Queue.Exclusive || g->StopsInLoop || --p->RoundsToGlobal <= 0
            || !p->Queue.TryRotate(g, out Goroutine* next))
        {
            YieldShared(g);
            return;
        }
        g->Transition(GoroutineState.Running, GoroutineState.Runnable);
        next = Assume(m, next);
        Goroutine* message = Switch.To(g, next, null);
        if (message != null)
        {
            Complete(message);
        }
        g->NoPreempt = 0;
    }

    /// <summary>Whether a goroutine of m's, in native code, would let others run by a yield. A guess. Raw
    /// code.</summary>
    internal static bool HasOthers(Machine* m)
    {
        Processor* p = m->Processor;
        return p != null && HasOthers(p); // It may be taken meanwhile: the structs stay.
    }

    private static bool HasOthers(Processor* p) => HasRunnable(p) || TimersDue(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool HasRunnable(Processor* p) =>
        !p->Queue.IsEmpty || Volatile.Read(ref s_shared.GlobalCount) > 0 || p->Id >= MaxProcessors;

    /// <summary>Whether a yield on p lets others run. Who yields alone, again and again, reads the clock for
    /// timers now and then: sysmon's time tells of those that have long been due.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool YieldsToOthers(Processor* p)
    {
        if (HasRunnable(p))
        {
            return true;
        }
        long next = Volatile.Read(ref p->NextTimer);
        return next != TimerNode.Never
            && (next <= CoarseNow || (++p->LoneYields % (2 * TimerRounds) == 0 && next <= Os.NowNs()));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void YieldShared(Goroutine* g)
    {
        if (g->IsBubbled)
        {
            Bubble.Of(g).Demote(g);
        }
        else if (!YieldsToOthers(g->Machine->Processor))
        {
            g->NoPreempt = 0;
            return; // Nobody to yield to.
        }
        g->Reason = ParkReason.Yield;
        SwitchAway(g);
        g->Reason = ParkReason.None;
        g->NoPreempt = 0;
    }

    /// <summary>Switches to the next local goroutine, or to the loop where a longer search is due. The caller
    /// has set NoPreempt.</summary>
    private static void SwitchAway(Goroutine* g)
    {
        Machine* m = g->Machine;
        Processor* p = m->Processor;
        Goroutine* next = null;
        bool fromLoop = g->StopsInLoop || g->Reason == ParkReason.SystemStack || p->Id >= MaxProcessors
            || (p->IsGlobalDue && Volatile.Read(ref s_shared.GlobalCount) > 0)
            || TimersDueIn(p->RoundsToGlobal, p);
        if (!fromLoop)
        {
            next = FindLocal(p);
        }
        if (next != null && next->NeedsLoop)
        {
            m->RunNext = next;
            next = null;
        }
        Goroutine* message;
        if (next != null)
        {
            next = Assume(m, next);
            message = Switch.To(g, next, g);
        }
        else
        {
            message = Switch.ToSystem(g, m, g);
        }
        // Awake, perhaps on another machine: m and p are stale here.
        if (message != null)
        {
            Complete(message);
        }
    }

    /// <summary>A thread that is no goroutine waits in the kernel.</summary>
    private static void ParkThread(Goroutine* g)
    {
        Volatile.Write(ref g->Wakened, 0);
        g->Transition(GoroutineState.Running, GoroutineState.Waiting);
        Bubble? bubble = g->IsBubbled ? Bubble.Of(g) : null;
        BubbleWait wait = bubble == null ? default : bubble.Parking(g);
        if (g->ParkCommit != null && !g->ParkCommit(g, g->ParkArgument))
        {
            g->Transition(GoroutineState.Waiting, GoroutineState.Running);
            return;
        }
        _ = bubble == null ? null : bubble.Parked(wait); // On the JIT, where they have no order.
        Interlocked.Increment(ref s_waitingThreads);
        while (Volatile.Read(ref g->Wakened) == 0)
        {
            Os.WaitOnAddress(&g->Wakened, 0);
        }
        g->Transition(GoroutineState.Runnable, GoroutineState.Running);
    }

    /// <summary>The waker counts it, because the thread itself may not run for long: from here on it is one
    /// that may wake others.</summary>
    private static void WakeThread(Goroutine* g)
    {
        if (g->IsBubbled)
        {
            _ = Bubble.Of(g).Readied(g);
        }
        Interlocked.Decrement(ref s_waitingThreads);
        Interlocked.Increment(ref s_threadsWoken); // After it: see ReportDeadlock.
        Volatile.Write(ref g->Wakened, 1);
        Os.WakeAddress(&g->Wakened, 1);
    }

    /// <summary>Puts a runnable goroutine where it will be found, and sees that somebody looks.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Submit(Goroutine* g)
    {
        Switch.EnterCritical();
        Place(g);
        Switch.LeaveCritical();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Place(Goroutine* g)
    {
        Machine* m = Current.Machine();
        Processor* p = m == null ? null : m->Processor;
        if (p == null)
        {
            TraceReadyOutside(g);
            SubmitGlobal(g);
            return;
        }
        TraceReady(p, g);
        WakeAfter(p, Push(p, g, next: true));
    }

    /// <summary>A goroutine was put into p's queue; whether an exchange was the last that made it
    /// visible.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WakeAfter(Processor* p, bool exchanged)
    {
        if (p->Queue.Exclusive)
        {
            return; // No other processor could take it.
        }
        if (!exchanged || !X86Base.IsSupported) // An exchange is a full barrier on x86, and not on others.
        {
            Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
        }
        WakeProcessor();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void SubmitGlobal(Goroutine* g)
    {
        if (g->IsBubbled)
        {
            Dispatch(Bubble.Of(g).Readied(g));
            return;
        }
        s_shared.Lock.Enter();
        PushGlobal(g);
        s_shared.Lock.Exit();
        Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
        WakeProcessor();
    }

    /// <summary>Puts a runnable goroutine into the local queue; half of a full one goes to the global
    /// queue, and so does one that only a loop may resume. On the machine that holds p. Whether an exchange
    /// was the last that made it visible.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool Push(Processor* p, Goroutine* g, bool next)
    {
        if (g->NeedsLoop)
        {
            SubmitGlobal(g);
            return true;
        }
        if (next && !(Layout.RandomChoice && p->NextRandom(2) == 0))
        {
            g = p->Queue.ExchangeNext(g);
            if (g == null)
            {
                return true;
            }
        }
        PushRing(p, g);
        return false;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void PushRing(Processor* p, Goroutine* g)
    {
        while (!p->Queue.TryPush(g))
        {
            int count = p->Queue.TakeHalf(out uint start);
            if (count == 0)
            {
                continue;
            }
            s_shared.Lock.Enter();
            PushAll(ref s_global, p->Queue.Slots, start, count);
            PushGlobal(g);
            s_shared.Lock.Exit();
            return;
        }
    }

    /// <summary>The same for one that has not begun, started by one that forks: see RunQueue.</summary>
    private static bool PushFresh(Processor* p, Goroutine* g)
    {
        if (Layout.RandomChoice && p->NextRandom(2) == 0)
        {
            PushRing(p, g);
            return false;
        }
        while (!p->Queue.TryPushFresh(g))
        {
            int count = p->Queue.TakeFreshHalf(out uint start);
            s_shared.Lock.Enter();
            PushAll(ref s_forked, p->Queue.FreshSlots, start, count);
            s_shared.Lock.Exit();
        }
        return true;
    }
}
