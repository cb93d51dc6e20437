// How a wait of .NET's base library stops a goroutine: a lock, an event, Thread.Sleep, Task.Wait. All of them
// end in native functions for which asm/waits.c stands in; it calls the functions here, as native code calls
// back. So what lies on the stack is a callback that waits, which every part of the runtime knows.
//
//   word of the wait    sequence << 2 | Preparing, Parked, Signalled, TimedOut; in the control block
//   Park                Preparing to Parked once the goroutine has left its stack, or it goes on at once
//   Limit               the timer of a wait with a time-out: to TimedOut, if it is still that wait
//   Ready               who signals, after the change of the word away from Parked
//
// Such a goroutine is a root when leaks are looked for: any thread may wake it, and nobody can tell which
// knows how. The report of deadlocks looks at the threads that are left; to it this wait is like any other.
// Locks: none. The word is exchanged; asm/waits.c has the rules.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class DotNetWait
{
    private const long Preparing = 0;
    private const long Parked = 1;
    private const long TimedOut = 3;
    private const int StateBits = 2;
    private const int CannotPark = -1;

    [StructLayout(LayoutKind.Sequential)]
    private struct Hooks
    {
        internal delegate* unmanaged<long, int, int> Park;
        internal delegate* unmanaged<Goroutine*, void> Ready;
        internal delegate*<Machine*, bool> HasOthers;
        internal delegate* unmanaged<void> Yield;
        internal nint On;
        internal nint FinalizerAsked;
        internal nint FinalizerDone;
    }

    /// <summary>Whether goroutines park in these waits, or block their threads. Set before the
    /// start.</summary>
    internal static bool IsOn { get; set; } = true;

    /// <summary>As if there were no memory for them. For tests.</summary>
    internal static bool RefusesTimers { get; set; }

    /// <summary>Whether the finalizer thread runs finalizers, or is to: perhaps it has not got a core
    /// yet.</summary>
    internal static bool FinalizerIsBusy
    {
        get
        {
            Hooks* hooks = HookTable();
            nint done = Volatile.Read(ref hooks->FinalizerDone); // First: both only grow, but for -1.
            return done != Volatile.Read(ref hooks->FinalizerAsked);
        }
    }

    internal static void Initialize()
    {
        Hooks* hooks = HookTable();
        hooks->Park = &Park;
        hooks->Ready = &Ready;
        hooks->HasOthers = &Scheduler.HasOthers;
        hooks->Yield = &Yield;
        Volatile.Write(ref hooks->On, IsOn ? 1 : 0);
    }

    private static Hooks* HookTable() => (Hooks*)Switch.WaitHooks();

    /// <summary>The calling goroutine waits. The state in which its wait ended, or CannotPark.</summary>
    [UnmanagedCallersOnly]
    private static int Park(long sequence, int timeoutMs)
    {
        Goroutine* g = Current.Goroutine();
        Limit? limit = null;
        if (timeoutMs >= 0)
        {
            if (RefusesTimers)
            {
                return CannotPark;
            }
            try
            {
                limit = new Limit(g, sequence) { When = Scheduler.TimeAfter(timeoutMs * 1_000_000L) };
                Scheduler.UpdateTimer(limit);
            }
            catch (OutOfMemoryException)
            {
                return CannotPark;
            }
        }
        Scheduler.Park(g, &Commit, (void*)sequence, ParkReason.DotNetWait);
        long state = Volatile.Read(ref g->DotNetWaitWord) & ((1 << StateBits) - 1);
        if (limit != null && state != TimedOut)
        {
            limit.When = TimerNode.Never;
            Scheduler.UpdateTimer(limit); // Takes memory only for a time.
        }
        return (int)state;
    }

    /// <summary>g has left its stack. False: its wait has ended before.</summary>
    internal static bool Commit(Goroutine* g, void* sequence) =>
        TryChange(g, (long)sequence, Preparing, Parked);

    private static bool TryChange(Goroutine* g, long sequence, long from, long to)
    {
        long word = sequence << StateBits;
        return Interlocked.CompareExchange(ref g->DotNetWaitWord, word | to, word | from) == (word | from);
    }

    [UnmanagedCallersOnly]
    private static void Ready(Goroutine* g) => Scheduler.Ready(g);

    [UnmanagedCallersOnly]
    private static void Yield()
    {
        Goroutine* g = Current.Goroutine();
        if (!g->IsBubbled || !Bubble.Of(g).IsOrdered) // Who waits so yields more or less often each time.
        {
            Scheduler.Yield(g);
        }
    }

    /// <summary>The number of g's last wait. For tests.</summary>
    internal static long SequenceOf(Goroutine* g) => Volatile.Read(ref g->DotNetWaitWord) >> StateBits;

    /// <summary>The timer of a wait with a time-out.</summary>
    internal sealed class Limit(Goroutine* g, long sequence) : TimerNode
    {
        private readonly Goroutine* _g = g;

        internal override void Fire(long now)
        {
            When = Never;
            // From Preparing first: it may become Parked in between, but nobody changes that back.
            if (!TryChange(_g, sequence, Preparing, TimedOut) && TryChange(_g, sequence, Parked, TimedOut))
            {
                Scheduler.Ready(_g);
            }
        }
    }
}
