// A processor's queue of runnable goroutines: a ring that one thread fills and many empty.
//
//   head <= tail, both only grow; slots [head, tail) hold goroutines
//   the owner pushes at the tail (a plain store, then the tail) and takes from the head
//   thieves take from the head: half of it at once
//
// Taking is a compare-exchange on the head. Where no thief can exist, with one processor, the owner takes
// with plain stores: Exclusive says so. It is cleared by the owner, and set by whoever retires the last
// other processor, at any moment of the owner's: so the owner reads Exclusive before what it protects, the
// head or next. Read the other way round, a thief may have moved the head in between.
// The tail's release store pairs with the acquire load of it in Steal and IsEmpty.
//
// Next is the goroutine that the running one has just made ready; it runs next and inherits the rest of
// the time slice. It can be stolen, but only on a thief's last pass.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RunQueue
{
    private uint _head;
    private uint _tail;
    private nint _next;
    internal bool Exclusive;
    private Goroutine** _slots;

    internal void Initialize(Goroutine** slots) => _slots = slots;

    internal readonly uint Count => Volatile.Read(in _tail) - Volatile.Read(in _head);

    internal readonly bool HasNext => Volatile.Read(in _next) != 0;

    /// <summary>Never says empty of a queue that is not: the head is read again after the tail, so no
    /// goroutine can have passed from next to the ring between the reads.</summary>
    internal readonly bool IsEmpty
    {
        get
        {
            while (true)
            {
                uint head = Volatile.Read(in _head);
                uint tail = Volatile.Read(in _tail);
                nint next = Volatile.Read(in _next);
                if (tail == Volatile.Read(in _tail))
                {
                    return head == tail && next == 0;
                }
            }
        }
    }

    /// <summary>Owner only. Makes g the next to run; returns the one it displaces, or null.</summary>
    internal Goroutine* ExchangeNext(Goroutine* g)
    {
        if (Exclusive)
        {
            nint old = _next;
            _next = (nint)g;
            return (Goroutine*)old;
        }
        return (Goroutine*)Interlocked.Exchange(ref _next, (nint)g);
    }

    /// <summary>Owner only. False when the ring is full.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryPush(Goroutine* g)
    {
        uint tail = _tail;
        if (tail - Volatile.Read(ref _head) >= Layout.RunQueueSize)
        {
            return false;
        }
        _slots[tail % Layout.RunQueueSize] = g;
        Volatile.Write(ref _tail, tail + 1);
        return true;
    }

    /// <summary>Owner only. The next to run, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Goroutine* Pop()
    {
        if (!Exclusive)
        {
            return PopShared();
        }
        nint next = _next;
        if (next != 0)
        {
            _next = 0;
            return (Goroutine*)next;
        }
        return PopRing();
    }

    /// <summary>Owner of an exclusive queue: puts g at the end and takes what is next in the ring. False, and
    /// g is not put, where there is none or something was made ready out of turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRotate(Goroutine* g, out Goroutine* first)
    {
        uint head = _head;
        uint tail = _tail;
        if (head == tail || _next != 0)
        {
            first = null;
            return false;
        }
        Goroutine** slots = _slots;
        first = slots[head % Layout.RunQueueSize];
        slots[tail % Layout.RunQueueSize] = g;
        _head = head + 1;
        _tail = tail + 1;
        return true;
    }

    /// <summary>Owner only. The same as Pop, but what was made ready last is the last choice. It stays where
    /// it is meanwhile: a queue that holds something never looks empty.</summary>
    internal Goroutine* PopRingFirst()
    {
        Goroutine* g = PopRing();
        return g != null ? g : Pop();
    }

    private Goroutine* PopShared()
    {
        nint next = Volatile.Read(ref _next);
        return next != 0 && Interlocked.CompareExchange(ref _next, 0, next) == next
            ? (Goroutine*)next
            : PopRing();
    }

    private Goroutine* PopRing()
    {
        while (true)
        {
            bool exclusive = Volatile.Read(ref Exclusive); // Before the head: see the top of the file.
            uint head = Volatile.Read(ref _head);
            if (head == _tail)
            {
                return null;
            }
            Goroutine* g = _slots[head % Layout.RunQueueSize];
            if (exclusive)
            {
                _head = head + 1;
                return g;
            }
            if (Interlocked.CompareExchange(ref _head, head + 1, head) == head)
            {
                return g;
            }
        }
    }

    /// <summary>Owner only. Takes half of a full ring as a linked list; the count, or 0 if a thief was
    /// faster and there is room again. Only the owner writes slots: they may be read after the
    /// exchange.</summary>
    internal int TakeHalf(out Goroutine* first, out Goroutine* last)
    {
        first = null;
        last = null;
        uint head = Volatile.Read(ref _head);
        uint count = (_tail - head) / 2;
        if (count == 0 || Interlocked.CompareExchange(ref _head, head + count, head) != head)
        {
            return 0;
        }
        for (uint i = 0; i < count; i++)
        {
            Goroutine* g = _slots[(head + i) % Layout.RunQueueSize];
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
        return (int)count;
    }

    /// <summary>Thief: takes half of the victim's ring into this one (owner: the thief) and returns one of
    /// them to run. takeNext also takes a lone next.</summary>
    internal Goroutine* StealFrom(RunQueue* victim, bool takeNext)
    {
        while (true)
        {
            uint head = Volatile.Read(ref victim->_head);
            uint tail = Volatile.Read(ref victim->_tail);
            uint available = tail - head;
            uint count = available - (available / 2);
            if (count == 0)
            {
                nint next = takeNext ? Volatile.Read(ref victim->_next) : 0;
                if (next == 0)
                {
                    return null;
                }
                if (Interlocked.CompareExchange(ref victim->_next, 0, next) == next)
                {
                    return (Goroutine*)next;
                }
                continue;
            }
            if (count > Layout.RunQueueSize / 2)
            {
                continue; // Head and tail were read at different times.
            }
            uint own = _tail;
            for (uint i = 0; i < count; i++)
            {
                _slots[(own + i) % Layout.RunQueueSize] =
                    victim->_slots[(head + i) % Layout.RunQueueSize];
            }
            if (Interlocked.CompareExchange(ref victim->_head, head + count, head) == head)
            {
                // The last one runs at once; the others become visible with the tail.
                Volatile.Write(ref _tail, own + count - 1);
                return _slots[(own + count - 1) % Layout.RunQueueSize];
            }
        }
    }
}
