// What waits for a time and can be changed meanwhile: a timer, a ticker, a deadline. When is the truth; an
// entry in a heap is only the reminder to look at it. Whoever changes When calls TimerHeap.Update
// afterwards, which brings the entry in line; whoever finds the entry due calls Fire, which looks at When
// again, under the node's own lock. So a node that was stopped or moved while it fired does nothing wrong,
// and no lock of a node is ever held together with a heap's.

namespace Weft.Runtime;

internal abstract class TimerNode
{
    /// <summary>The time of a timer that is not set.</summary>
    internal const long Never = long.MaxValue;

    private long _when = Never;

    /// <summary>The heap of the clock that it goes by, if that is not the system's: a bubble's. Set before
    /// others know the node.</summary>
    internal TimerHeap? OwnHeap;

    /// <summary>The heap that holds its entry, or null. Taken by exchange and given up under that heap's
    /// lock.</summary>
    internal TimerHeap? Heap;

    /// <summary>Which slot of that heap refers to it. Guarded by the heap's lock.</summary>
    internal int Slot;

    /// <summary>When it is due, in ns of Os.NowNs or its own clock, or Never. Written under the node's own
    /// lock, if it has one.</summary>
    internal long When
    {
        get => Volatile.Read(ref _when);
        set => Volatile.Write(ref _when, value);
    }

    /// <summary>Its entry lingered (Scheduler.LetLinger), and is to go if it is not wanted again. On any
    /// thread, holding no lock.</summary>
    internal virtual void GiveUp()
    {
    }

    /// <summary>Its entry was due; When may have changed since. Called on a machine's system stack, in the
    /// scheduler's loop: it must be short, and must not wait.</summary>
    internal abstract void Fire(long now);
}
