// A goroutine's place in a wait queue (Go: sudog). The queue that links it owns it, under that queue's
// lock. The first few live in the goroutine's control block, which never moves, so that waiting
// allocates nothing. Slot may point into the goroutine's stack: growth moves it along.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential, Size = 64)]
internal unsafe struct Waiter
{
    internal Goroutine* Goroutine;
    internal Waiter* Next;
    internal Waiter* Previous;

    /// <summary>Where the element is, or goes.</summary>
    internal void* Slot;

    /// <summary>Whether a peer took or gave the element; false after a close.</summary>
    internal bool Success;
}

/// <summary>First in, first out. Guarded by the lock of whoever holds it.</summary>
internal unsafe struct WaitQueue
{
    private Waiter* _head;
    private Waiter* _tail;

    internal readonly bool IsEmpty => _head == null;

    internal void Enqueue(Waiter* waiter)
    {
        waiter->Next = null;
        waiter->Previous = _tail;
        if (_tail == null)
        {
            _head = waiter;
        }
        else
        {
            _tail->Next = waiter;
        }
        _tail = waiter;
    }

    /// <summary>Takes the longest waiting; null when none waits.</summary>
    internal Waiter* Dequeue()
    {
        Waiter* waiter = _head;
        if (waiter == null)
        {
            return null;
        }
        _head = waiter->Next;
        if (_head == null)
        {
            _tail = null;
        }
        else
        {
            _head->Previous = null;
        }
        waiter->Next = null;
        return waiter;
    }

    /// <summary>Takes all; their goroutines, linked in order of arrival.</summary>
    internal Goroutine* DequeueAll()
    {
        Goroutine* first = null;
        Goroutine* last = null;
        for (Waiter* waiter = Dequeue(); waiter != null; waiter = Dequeue())
        {
            Goroutine* g = waiter->Goroutine;
            g->Link = null;
            if (last == null)
            {
                first = g;
            }
            else
            {
                last->Link = g;
            }
            last = g;
        }
        return first;
    }
}
