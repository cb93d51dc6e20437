// Native code that blocks does not keep a processor: sysmon takes it from the machine, and the goroutine gets
// one again, perhaps on another machine, when it comes back. This is Go's rule for system calls, for every
// P/Invoke in the process.
//
//   machine    count odd --native code-- count even, look at Retake and StopAsked: 0 goes on; else
//              ReturnFromNative
//   sysmon     Retake = Asked, fence on all threads, count still the same? Done, and p is ours : None
//
// The calls themselves pay one increment on each side and a test, no fence: the one who takes pays for both
// with a fence on all threads of the process. If it then reads the same odd count, the machine's later
// load of Retake comes after; if the machine has passed that load, its new count is seen.
//
// Rejected: a compare-exchange on each call, as in Go (three times the cost of the whole P/Invoke); the
// runtime's transition frame as the mark, which is set for a stop by the collector too.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>The next native call of g, the calling goroutine, is one that blocks: sysmon need not wait
    /// to see that. Nothing may come in between.</summary>
    internal static void AnnounceBlocking(Goroutine* g)
    {
        if (Jit.IsOn)
        {
            return;
        }
        g->NoPreempt = 1;
        Machine* m = Current.Machine();
        m->BlockingCount = m->NativeCount + 1;
        g->NoPreempt = 0; // If it is preempted here, on its way to the call, the hint is lost: no harm.
    }

    /// <summary>Takes p from its machine if that is in the native call that <paramref name="count"/> stands
    /// for, still, and hands it on. On sysmon's thread only.</summary>
    private static bool TakeFromNative(Processor* p, Machine* m, uint count)
    {
        if (Volatile.Read(ref m->Retake) != Machine.RetakeNone)
        {
            return false; // Taken before; it has not noticed yet.
        }
        Volatile.Write(ref m->Retake, Machine.RetakeAsked); // Nobody else changes it from None.
        Interlocked.MemoryBarrierProcessWide(); // Pairs with the increment and load in RhpPInvokeReturn.
        if (Volatile.Read(ref m->NativeCount) != count || m->Processor != p)
        {
            Volatile.Write(ref m->Retake, Machine.RetakeNone);
            return false;
        }
        Trace(p, TraceEvent.Taken, 0); // It is sysmon's now.
        Release(m, p);
        p->GlobalAfterNative = !p->GlobalAfterNative;
        if (p->GlobalAfterNative)
        {
            p->RoundsToGlobal = 0; // Who runs next may block in the same lock: see Scheduler.Find.cs.
        }
        CancelAlarm(m);
        Volatile.Write(ref m->Retake, Machine.RetakeDone); // Pairs with the read in ReturnFromNative.
        HandOn(p);
        return true;
    }

    /// <summary>p has lost its machine: another runs its work, or it becomes idle.</summary>
    private static void HandOn(Processor* p)
    {
        if (p->Id >= MaxProcessors)
        {
            Retire(null, p);
            return;
        }
        long now = Os.NowNs();
        s_shared.Lock.Enter();
        bool work = !p->Queue.IsEmpty || s_shared.GlobalCount > 0 || p->NextTimer <= now;
        Machine* m = null;
        if (work)
        {
            m = PopIdleMachine();
        }
        else
        {
            PushIdle(p);
        }
        s_shared.Lock.Exit();
        if (work)
        {
            if (!HandTo(m, p, spinning: false))
            {
                PutBack(p);
            }
            return;
        }
        Interlocked.MemoryBarrier(); // Pairs with those in Submit and TimerAdded, as in CheckOnceMore.
        if (AnyWork() || TimersNeedKeeper())
        {
            WakeProcessor();
        }
    }

    /// <summary>g, which has left its stack, came back from native code when its processor was wanted. On
    /// m's system stack.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReturnFromNative(Machine* m, Goroutine* g)
    {
        for (int i = 0; Volatile.Read(ref m->Retake) == Machine.RetakeAsked; i++)
        {
            Switch.PollForCollection(); // Sysmon may be stopped for one, in the middle of its decision.
            if (i > 100)
            {
                Os.SchedYield();
            }
        }
        g->Transition(GoroutineState.Running, GoroutineState.Runnable);
        if (m->Retake == Machine.RetakeNone)
        {
            TraceNativeStop(m->Processor, g);
            if (m->StopAsked != 0 && (IsWanted(m->Processor) || TimersDue(m->Processor)))
            {
                CountPreemption(m);
                RunLater(m->Processor, g);
                return;
            }
            m->RunNext = g;
            return;
        }
        m->Retake = Machine.RetakeNone;
        if (Traces)
        {
            TraceOutside(TraceEvent.NativeEnd, g->Id, 0);
        }
        s_shared.Lock.Enter();
        Processor* p = PopIdle();
        if (p == null)
        {
            PushStopped(g);
        }
        s_shared.Lock.Exit();
        if (p != null)
        {
            Hold(m, p);
            m->RunNext = g;
        }
    }
}
