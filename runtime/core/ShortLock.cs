// A lock for a few instructions. The waiter spins, then gives its time slice away; it never sleeps in
// the kernel for long, because on a goroutine stack there is no room to wait as a thread does. A holder
// may be stopped for a collection, so the waiter polls for one on each round.
//
// Nor is a holder preempted: who waits for it, on the same processor perhaps, would wait for a time slice.
//
// Rejected: a futex lock. Waiting on a futex without a transition holds the collector up for as long as
// the lock is held, and a transition needs native reserve on a 2 KB stack.
// Not to be taken in a signal handler or while collections are shut out; tried there at most.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal struct ShortLock
{
    private const int SpinsBeforeYield = 40;
    private const int YieldsBeforeNap = 40;
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
        for (int round = 0; ; round++)
        {
            if (Volatile.Read(ref _held) == 0
                && Interlocked.CompareExchange(ref _held, 1, 0) == 0)
            {
                return;
            }
            Switch.PollForCollection();
            if (round < SpinsBeforeYield)
            {
                Switch.Pause();
            }
            else if (round < SpinsBeforeYield + YieldsBeforeNap)
            {
                Os.SchedYield();
            }
            else
            {
                Os.Nap(NapNs);
            }
        }
    }
}
