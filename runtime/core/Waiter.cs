// A goroutine's place in a wait queue (Go: sudog). The queue that links it owns it, under that queue's
// lock. The first few live in the goroutine's control block, which never moves, so that waiting
// allocates nothing. Slot may point into the goroutine's stack: growth moves it along.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>What became of a waiter in sync/. Guarded by the queue's lock.</summary>
internal enum WaitResult
{
    /// <summary>In the queue, but its goroutine still runs.</summary>
    Entering,

    /// <summary>In the queue, its goroutine parked.</summary>
    Waiting,

    /// <summary>Taken out of the queue: it may try again, or was told what it waited for.</summary>
    Woken,

    /// <summary>Taken out of the queue, and owns what it waited for.</summary>
    Given,

    /// <summary>Taken out of the queue by its token.</summary>
    Cancelled,
}

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

    /// <summary>For sync/, where Success says too little.</summary>
    internal WaitResult Result;

    /// <summary>How much it waits for, where that is a number.</summary>
    internal long Amount;
}

/// <summary>First in, first out. Guarded by the lock of whoever holds it.</summary>
internal unsafe struct WaitQueue
{
    private Waiter* _head;
    private Waiter* _tail;

    internal readonly bool IsEmpty => _head == null;

    /// <summary>The longest waiting, who stays in the queue; null when none waits.</summary>
    internal readonly Waiter* First => _head;

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

    /// <summary>Puts one that has waited before in front of all others.</summary>
    internal void EnqueueFirst(Waiter* waiter)
    {
        waiter->Next = _head;
        waiter->Previous = null;
        if (_head == null)
        {
            _tail = waiter;
        }
        else
        {
            _head->Previous = waiter;
        }
        _head = waiter;
    }

    /// <summary>Takes one out of turn. It is in this queue.</summary>
    internal void Remove(Waiter* waiter)
    {
        if (waiter->Previous == null)
        {
            Check.Debug(_head == waiter, "wait queue: removed from another queue"u8);
            _head = waiter->Next;
        }
        else
        {
            waiter->Previous->Next = waiter->Next;
        }
        if (waiter->Next == null)
        {
            Check.Debug(_tail == waiter, "wait queue: removed from another queue"u8);
            _tail = waiter->Previous;
        }
        else
        {
            waiter->Next->Previous = waiter->Previous;
        }
        waiter->Next = null;
        waiter->Previous = null;
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
