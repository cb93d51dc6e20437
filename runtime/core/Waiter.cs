// A goroutine's place in a wait queue (Go: sudog). The queue that links it owns it, under that queue's
// lock. One lives in the goroutine's control block, eight for a select beside it; neither moves, and waiting
// allocates nothing. Slot may point into the goroutine's stack: growth moves it along.
//
// A goroutine that selects waits in several queues at once. Who takes one of its waiters off a queue owns
// it only after winning GoroutineExtra.SelectDone; the losers are dropped, as if they had never been there.

using System.Runtime.CompilerServices;
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

[StructLayout(LayoutKind.Sequential, Size = Size)]
internal unsafe struct Waiter
{
    internal const int Size = 64;

    internal Goroutine* Goroutine;
    internal Waiter* Next;
    internal Waiter* Previous;

    /// <summary>Where the element is, or goes. Not used by a select, whose elements lie in its
    /// cases.</summary>
    internal void* Slot;

    /// <summary>The place of its case among those of the select.</summary>
    internal int Index;

    /// <summary>Whether a peer took or gave the element; false after a close.</summary>
    internal bool Success;

    /// <summary>For sync/, where Success says too little.</summary>
    internal WaitResult Result;

    /// <summary>How much it waits for, where that is a number.</summary>
    internal long Amount;

    /// <summary>One of several of a goroutine that selects. Reset by the select, before others use the
    /// waiter.</summary>
    internal bool IsSelect;

    /// <summary>Only wants to know that it would be its turn: it neither gives nor takes. Reset by the
    /// select.</summary>
    internal bool IsProbe;

    /// <summary>In a queue. Guarded by the queue's lock.</summary>
    internal bool IsQueued;
}

/// <summary>First in, first out. Guarded by the lock of whoever holds it.</summary>
internal unsafe struct WaitQueue
{
    private nint _head;
    private Waiter* _tail;

    internal readonly bool IsEmpty => _head == 0;

    /// <summary>The same for who does not hold the lock: true at some moment.</summary>
    internal readonly bool LooksEmpty => Volatile.Read(in _head) == 0;

    /// <summary>The longest waiting, who stays in the queue; null when none waits.</summary>
    internal readonly Waiter* First => (Waiter*)_head;

    internal void Enqueue(Waiter* waiter)
    {
        waiter->Next = null;
        waiter->Previous = _tail;
        waiter->IsQueued = true;
        if (_tail == null)
        {
            _head = (nint)waiter;
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
        Waiter* first = (Waiter*)_head;
        waiter->Next = first;
        waiter->Previous = null;
        waiter->IsQueued = true;
        if (first == null)
        {
            _tail = waiter;
        }
        else
        {
            first->Previous = waiter;
        }
        _head = (nint)waiter;
    }

    /// <summary>Takes the longest waiting; null when none waits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Waiter* Dequeue()
    {
        Waiter* waiter = (Waiter*)_head;
        if (waiter == null)
        {
            return null;
        }
        Goroutine.PrefetchAround(waiter);
        Remove(waiter);
        return waiter->IsSelect ? FirstToWin(waiter) : waiter;
    }

    /// <summary>Takes it out, if nobody has.</summary>
    internal void RemoveIfQueued(Waiter* waiter)
    {
        if (waiter->IsQueued)
        {
            Remove(waiter);
        }
    }

    /// <summary>Takes g's first waiter out, if g waits in this queue, which belongs to the place. The
    /// ParkObject of one that is queued changes only under the lock of its queue.</summary>
    internal bool RemoveIfParked(Goroutine* g, object place)
    {
        Waiter* waiter = Goroutine.WaiterOf(g);
        if (!waiter->IsQueued || Goroutine.ParkObject(g) != place)
        {
            return false;
        }
        Remove(waiter);
        return true;
    }

    /// <summary>Takes one out of turn. It is in this queue.</summary>
    internal void Remove(Waiter* waiter)
    {
        Check.Debug(waiter->IsQueued, "queue: a waiter that is not in it"u8);
        Waiter* next = waiter->Next;
        Waiter* previous = waiter->Previous;
        if (previous == null)
        {
            _head = (nint)next;
        }
        else
        {
            previous->Next = next;
        }
        if (next == null)
        {
            _tail = previous;
        }
        else
        {
            next->Previous = previous;
        }
        waiter->IsQueued = false;
    }

    /// <summary>The waiter of a select, just taken, if no other case of it was chosen yet; else the first
    /// behind it that still waits.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Waiter* FirstToWin(Waiter* waiter)
    {
        while (waiter->IsSelect)
        {
            Goroutine* g = waiter->Goroutine;
            if (Interlocked.CompareExchange(ref g->Extra->SelectDone, 1, 0) == 0)
            {
                g->Extra->SelectWinner = waiter;
                return waiter;
            }
            waiter = (Waiter*)_head;
            if (waiter == null)
            {
                return null;
            }
            Remove(waiter);
        }
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
