// A lock for a few instructions. The waiter spins, then gives its time slice away; it never sleeps in
// the kernel for long, because on a goroutine stack there is no room to wait as a thread does. A holder
// may be stopped for a collection, so the waiter polls for one on each round.
//
// Nor is a holder preempted: who waits for it, on the same processor perhaps, would wait for a time slice.
//
// Rejected: a futex lock. Waiting on a futex without a transition holds the collector up for as long as
// the lock is held, and a transition needs native reserve on a 2 KB stack.
// Not to be taken in a signal handler or while collections are shut out: see stack/StackPool.cs.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal struct ShortLock
{
    private const int SpinsBeforeYield = 40;
    private const int YieldsBeforeNap = 40;
    private const long NapNs = 50_000;

    private int _held;

    internal readonly bool IsHeld => _held != 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Enter()
    {
        if (Current.IsStarted)
        {
            Switch.EnterCritical(); // Before the start nobody is preempted, and counts do not matter.
        }
        if (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            EnterContended();
        }
    }

    /// <summary>Pairs with the exchange in Enter: what was written under the lock is seen by the next
    /// holder.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Exit()
    {
        Check.Debug(_held != 0, "lock: exit without enter"u8);
        Volatile.Write(ref _held, 0);
        if (Current.IsStarted)
        {
            Switch.LeaveCritical();
        }
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
