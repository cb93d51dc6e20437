// What few goroutines need, beside the control block: a select's places in several queues, and what the C
// face keeps. Made when it is first needed, and given back when the goroutine ends
// (stack/GoroutineExtras.cs). It does not move: queues have the addresses of its waiters.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>Who may end the wait of a goroutine of a bubble.</summary>
internal enum BubbleWait : byte
{
    /// <summary>Anybody, or it does not wait.</summary>
    Foreign,

    /// <summary>Goroutines of the bubble, or its clock.</summary>
    Durable,

    /// <summary>Who has a lock that was made in the bubble.</summary>
    Lock,
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GoroutineExtra
{
    internal const int WaiterCount = 8;
    internal const int NameSize = 32;
    internal const int LocalCount = 32;

    internal Waiter FirstWaiter;

    private fixed byte _otherWaiters[(WaiterCount - 1) * Waiter.Size];

    /// <summary>The waiter of the case that was chosen. Written by the one who set SelectDone.</summary>
    internal Waiter* SelectWinner;

    /// <summary>1 once a case of its select is chosen. Whoever changes it from 0, under the lock of the
    /// queue that it took the waiter from, owns the waiting goroutine.</summary>
    internal int SelectDone;

    /// <summary>Which of Locals are set: the C face's. Owner.</summary>
    internal uint LocalsSet;

    /// <summary>Values of its own that C code keeps: native/Exports.Local.cs. Owner.</summary>
    internal fixed long Locals[LocalCount];

    /// <summary>What the C face calls it in reports: UTF-8, a zero at the end. Owner.</summary>
    internal fixed byte Name[NameSize];

    /// <summary>Its bubble's number, while it IsBubbled; and how that counts its wait: sched/Bubble.cs.
    /// </summary>
    internal int BubbleNumber;

    internal BubbleWait BubbleWait;

    /// <summary>Its neighbours in the list of its bubble's goroutines, and its rank among those that may run.
    /// Guarded by the bubble's lock.</summary>
    internal Goroutine* BubbleNext;

    internal Goroutine* BubblePrevious;

    internal long BubbleRank;

    /// <summary>The next free one.</summary>
    internal GoroutineExtra* Link;
}
