// What the scheduler notes for the execution trace (core/TraceRing.cs), and when it does so. trace/ makes a
// file of it.
//
//   off   Processor.Trace is null, Tracing is 0: one read where something happens
//   on    each event is a slot in the ring of the processor that is held; of who holds none, sysmon and
//         ordinary threads, in one more ring, under a lock
//
// On and off at any time: who is about to write may see it late. Runs, Steals and Polls of Go.Stats have an
// event each: what was counted between two moments is in the trace, but for what each processor was doing in
// these moments.
//
// Locks: s_outsideLock, a leaf.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private static ShortLock s_outsideLock;
    private static TraceRing* s_outside;

    /// <summary>Whether the scheduler notes events.</summary>
    internal static bool Traces
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Volatile.Read(ref s_shared.Tracing) != 0; // Then the ring of no processor.
    }

    /// <summary>Whether waits are counted by stack.</summary>
    private static bool CountsWaits
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => s_shared.Profiling != 0;
    }

    internal static void SetProfiling(bool on) => Volatile.Write(ref s_shared.Profiling, on ? 1 : 0);

    /// <summary>The rings there are: that of no processor first, then one for each. Only from the first
    /// SetTracing on.</summary>
    internal static int RingCount => Volatile.Read(ref s_shared.ProcessorCount) + 1;

    internal static TraceRing* Ring(int index) =>
        index == 0 ? s_outside : s_shared.Processors[index - 1]->Ring;

    /// <summary>Turns it on or off. By one caller at a time. False if there is no memory for it.</summary>
    internal static bool SetTracing(bool on)
    {
        if (on && s_outside == null)
        {
            s_outside = TraceRing.Make();
        }
        if (on && s_outside == null)
        {
            return false;
        }
        Volatile.Write(ref s_shared.Tracing, on ? 1 : 0);
        Interlocked.MemoryBarrier(); // Then the number of processors: pairs with MakeProcessors.
        bool done = true;
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            done &= SetTracing(s_shared.Processors[i], on);
        }
        return done;
    }

    private static bool SetTracing(Processor* p, bool on)
    {
        if (!on)
        {
            Volatile.Write(ref *(nint*)&p->Trace, 0);
            return true;
        }
        if (p->Ring == null)
        {
            TraceRing* ring = TraceRing.Make();
            if (ring == null)
            {
                return false;
            }
            if (Interlocked.CompareExchange(ref *(nint*)&p->Ring, (nint)ring, 0) != 0)
            {
                _ = Os.Release((nint)ring, TraceRing.Bytes);
            }
        }
        Volatile.Write(ref *(nint*)&p->Trace, (nint)p->Ring);
        return true;
    }

    /// <summary>For a new processor.</summary>
    private static void TraceIfOn(Processor* p)
    {
        Interlocked.MemoryBarrier(); // It is counted. Pairs with SetTracing.
        if (Traces && !SetTracing(p, on: true))
        {
            Fatal.Write("weft: no memory for the trace of another processor\n"u8);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Goroutine* TraceRun(TraceRing* ring, Goroutine* g)
    {
        Goroutine* before = Current.Goroutine(); // None where the machine's loop goes on with g.
        ParkReason reason = before == null ? ParkReason.None
            : before->Reason == ParkReason.None ? ParkReason.Yield : before->Reason;
        TraceRing.Write(ring, TraceEvent.Run, g->Id, (int)reason);
        return g;
    }

    /// <summary>g, if that is known, has left its stack, on m's system stack. Not where it came back from
    /// native code: sysmon may have m's processor, and be writing to the same ring
    /// (ReturnFromNative).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TraceStop(Machine* m, Goroutine* g)
    {
        Processor* p = m->Processor;
        if (p != null && p->Trace != null && g != null && g->Reason != ParkReason.NativeReturn)
        {
            TraceNow(p, TraceEvent.Stop, g->Id, (int)g->Reason);
        }
    }

    /// <summary>The same where it came back from native code, and p is its machine's still.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TraceNativeStop(Processor* p, Goroutine* g)
    {
        if (p->Trace != null && g->Reason == ParkReason.NativeReturn)
        {
            TraceNow(p, TraceEvent.Stop, g->Id, (int)g->Reason);
        }
    }

    /// <summary>g is about to be put into a queue, by who holds p.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TraceReady(Processor* p, Goroutine* g)
    {
        if (p->Trace != null)
        {
            TraceNow(p, TraceEvent.Ready, g->Id, (int)g->Reason);
        }
    }

    /// <summary>The same by who holds no processor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TraceReadyOutside(Goroutine* g)
    {
        if (Traces)
        {
            TraceOutside(TraceEvent.Ready, g->Id, (int)g->Reason);
        }
    }

    /// <summary>Of p, by who holds it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Trace(Processor* p, TraceEvent what, long number)
    {
        if (p->Trace != null)
        {
            TraceNow(p, what, number, 0);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TraceNow(Processor* p, TraceEvent what, long number, int reason)
    {
        TraceRing* ring = p->Trace; // It may have gone meanwhile; what it led to stays.
        if (ring != null)
        {
            TraceRing.Write(ring, what, number, reason);
        }
    }

    /// <summary>Of sysmon, and of threads; ThreadId is 0 for sysmon.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TraceOutside(TraceEvent what, long number, int reason)
    {
        s_outsideLock.Enter();
        TraceRing.Write(s_outside, what, number, reason);
        s_outsideLock.Exit();
    }

    /// <summary>The calling goroutine is about to call that: the innermost one gives it its name.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void TraceFunction(Delegate function)
    {
        if (Traces && !Jit.IsOn)
        {
            TraceCode(FunctionOf.Code(function));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TraceCode(nint code)
    {
        Switch.EnterCritical();
        Machine* m = Current.Machine();
        if (m != null && m->Processor != null && m->Processor->Trace != null)
        {
            TraceRing.Write(m->Processor->Trace, TraceEvent.Function, code);
        }
        Switch.LeaveCritical();
    }

    /// <summary>A region's begin or end, or a line, of whoever calls, with a text of MostText bytes at
    /// most.</summary>
    internal static void TraceText(TraceEvent what, ReadOnlySpan<byte> text)
    {
        if (!Traces || Jit.IsOn)
        {
            return;
        }
        Switch.EnterCritical();
        Goroutine* g = Current.Goroutine();
        Machine* m = g == null ? null : Current.Machine();
        Processor* p = m == null ? null : m->Processor;
        if (p != null && p->Trace != null)
        {
            TraceRing.Write(p->Trace, what, g->Id, text);
            Switch.LeaveCritical();
            return;
        }
        Switch.LeaveCritical();
        int thread = Os.ThreadId();
        s_outsideLock.Enter();
        TraceRing.Write(s_outside, TraceEvent.OnThread, thread);
        TraceRing.Write(s_outside, what, 0, text);
        s_outsideLock.Exit();
    }
}
