// A lock for a few instructions. The waiter looks at it now and then (Backoff.cs), yields to the system
// between two looks once it takes long, and naps at last; it never sleeps in the kernel for long, because on
// a goroutine's stack there is no room to wait as a thread does. A holder may be stopped for a collection, so
// the waiter polls for one.
//
// Where there are fewer cores than processors, the holder may have been stopped by the system: the yields let
// it run. They cost little where nobody else wants the core. Naps are for those who would wait for a thread
// of a lower priority.
//
// Nor is a holder preempted: who waits for it, on the same processor perhaps, would wait for a time slice.
//
// Rejected: a futex lock. Waiting on a futex without a transition holds the collector up for as long as
// the lock is held, and a transition needs native reserve on a 2 KB stack.
// Not to be taken in a signal handler or while collections are shut out; tried there at most.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal unsafe struct ShortLock
{
    private const int YieldAfterNs = 10_000;
    private const int YieldNs = 1_000; // Roughly, and at least.
    private const int NapAfterNs = 200_000;
    private const long NapNs = 50_000;

    private int _held;

    internal readonly bool IsHeld => _held != 0;

    /// <summary>For Switch.ToAndUnlock, which does what Exit does.</summary>
    [UnscopedRef]
    internal ref int Word => ref _held;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter()
    {
        // Before the start nobody is preempted, and counts of critical sections do not matter.
        int held = Current.IsStarted
            ? Switch.EnterLock(ref _held)
            : Interlocked.CompareExchange(ref _held, 1, 0);
        if (held != 0)
        {
            EnterContended();
        }
    }

    /// <summary>In a collection, with the world stopped, where whoever holds it stands still: false then.
    /// Raw code; Release ends it.</summary>
    internal bool TryEnterStopped() => Interlocked.CompareExchange(ref _held, 1, 0) == 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Exit()
    {
        Release();
        if (Current.IsStarted)
        {
            Switch.LeaveCritical();
        }
    }

    /// <summary>Exit, but the caller is still in its critical section and calls Switch.LeaveCritical. Pairs
    /// with the exchange in Enter: what was written under the lock is seen by the next holder.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Release()
    {
        Check.Debug(_held != 0, "lock: exit without enter"u8);
        Volatile.Write(ref _held, 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void EnterContended()
    {
        int seed;
        Backoff backoff = new((nint)(&seed));
        int waited = 0;
        while (Volatile.Read(ref _held) != 0
            || Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            waited += backoff.Wait();
            if (waited > NapAfterNs)
            {
                waited = 0;
                Os.Nap(NapNs);
            }
            else if (waited > YieldAfterNs)
            {
                waited += YieldNs;
                Os.SchedYield();
            }
        }
    }
}
