// Goroutines in order of arrival: a part of the global queue. An array of as many places as there may be
// goroutines, used as a ring.
//
//   [ . . . g g g g . . . ]   head, and how many; back to the start of the array whenever it is empty
//
// A goroutine is in one queue at most, so it is never full. An array, so that who takes many knows them all
// at once: their control blocks can be fetched side by side, where each of a list waits for the one before
// it. Memory: 8 bytes for each of the most that ever were in it at a time, in a range that is only reserved.
// Locks: the scheduler's.

namespace Weft.Runtime;

internal unsafe struct GlobalQueue
{
    private readonly Goroutine** _slots;
    private readonly nint _mask;
    private nint _head;
    private nint _count;

    /// <summary>For that many goroutines.</summary>
    internal GlobalQueue(nint capacity)
    {
        nint size = (nint)System.Numerics.BitOperations.RoundUpToPowerOf2((nuint)capacity);
        _slots = (Goroutine**)AddressSpace.Need(size * sizeof(nint));
        _mask = size - 1;
    }

    internal readonly nint Count => _count;

    internal readonly bool IsEmpty => _count == 0;

    internal void Push(Goroutine* g)
    {
        Check.Debug(_count <= _mask, "queue: more goroutines than there are"u8);
        _slots[(_head + _count++) & _mask] = g;
    }

    /// <summary>The one that has waited for longest; null when it is empty.</summary>
    internal Goroutine* Pop()
    {
        if (_count == 0)
        {
            return null;
        }
        Goroutine* g = _slots[_head & _mask];
        _head = --_count == 0 ? 0 : _head + 1;
        return g;
    }

    /// <summary>The last count of those that are in it, in order of arrival, are taken out by Drop.</summary>
    internal readonly Goroutine* Last(nint index, nint count) =>
        _slots[(_head + _count - count + index) & _mask];

    internal void Drop(nint count)
    {
        _count -= count;
        _head = _count == 0 ? 0 : _head;
    }
}
