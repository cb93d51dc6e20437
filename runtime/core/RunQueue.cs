// A processor's queues of runnable goroutines: a ring that one thread fills and many empty, one that runs
// next, and a stack of fresh ones, which have not begun.
//
//   head <= tail, both only grow; slots [head, tail) hold goroutines
//   the owner pushes at the tail (a plain store, then the tail) and takes from the head
//   thieves take from the head: half of it at once
//
// Taking is a compare-exchange on the head. Where no thief can exist, with one processor, the owner takes
// with plain stores: Exclusive says so. It is cleared by the owner, and set by whoever retires the last
// other processor, at any moment of the owner's: so the owner reads Exclusive before what it protects, the
// head or next. Read the other way round, a thief may have moved the head in between. The release store that
// sets it pairs with the acquire load of it: what the last thieves have taken is seen to be gone.
// The tail's release store pairs with the acquire load of it in Steal and IsEmpty.
// Checked under weak memory: tests/models/protocols/QueueModel.cs.
//
// Next is the goroutine that the running one has just made ready; it runs next and inherits the rest of
// the time slice. It can be stolen, but only on a thief's last pass.
//
// Fresh are those that were started by one that had not waited for anything yet: it forks, and will wait for
// them. They take no stack until they run, so the one that was started last goes first: a tree is walked in
// depth, and as many stacks are in use as it has levels, where in order of arrival it would be as many as it
// has inner nodes. Whoever has waited, for connections or for requests, starts others in order of arrival:
// they go through next and the ring, or the first of them would wait for as long as new ones come.
//
// Ring and fresh ones are served in turn; and once in a time slice the oldest of the fresh ones.
//
//   fresh   version, head, count in one word; slots [head, head + count) hold goroutines
//           the owner pushes and pops at the end, thieves take the older half from the head
//           each of them exchanges the word. A pop changes the version: a push after it would else make
//           the word what a thief has read, which has copied the one that was popped
//
// Rejected: fresh ones in the ring, taken from its tail (each push an exchange, for all others too); only one
// at a time for thieves (a tree's first levels are few, and each thief comes again at once).

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RunQueue
{
    private const long OldestEveryNs = 10_000_000;

    private uint _head;
    private uint _tail;
    private nint _next;
    private bool _exclusive;
    private bool _freshTurn;
    private Goroutine** _slots;
    private ulong _fresh;
    private long _oldestSince;

    /// <summary>No thief exists: the owner takes with plain stores.</summary>
    internal bool Exclusive
    {
        readonly get => Volatile.Read(in _exclusive);
        set => Volatile.Write(ref _exclusive, value);
    }

    /// <summary>For twice Layout.RunQueueSize.</summary>
    internal void Initialize(Goroutine** slots) => _slots = slots;

    /// <summary>The ring's memory, for who has just taken some of it.</summary>
    internal readonly Goroutine** Slots => _slots;

    /// <summary>The same of the fresh ones.</summary>
    internal readonly Goroutine** FreshSlots => _slots + Layout.RunQueueSize;

    /// <summary>Of the ring.</summary>
    internal readonly uint Count => Volatile.Read(in _tail) - Volatile.Read(in _head);

    internal readonly uint CountOfAll =>
        Count + FreshCount(Volatile.Read(in _fresh)) + (Volatile.Read(in _next) != 0 ? 1u : 0);

    internal readonly bool HasFresh => FreshCount(Volatile.Read(in _fresh)) != 0;

    internal readonly bool HasNext => Volatile.Read(in _next) != 0;

    /// <summary>Never says empty of a queue that is not: the tail and the fresh ones are read again at the
    /// end, so no goroutine can have passed from next to the ring between the reads, nor one been pushed and
    /// another popped.</summary>
    internal readonly bool IsEmpty
    {
        get
        {
            while (true)
            {
                ulong fresh = Volatile.Read(in _fresh);
                uint head = Volatile.Read(in _head);
                uint tail = Volatile.Read(in _tail);
                nint next = Volatile.Read(in _next);
                if (tail == Volatile.Read(in _tail) && fresh == Volatile.Read(in _fresh))
                {
                    return head == tail && next == 0 && FreshCount(fresh) == 0;
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
        return HasFresh ? PopInTurn() : PopRing();
    }

    /// <summary>Owner of an exclusive queue: puts g at the end and takes what is next in the ring. False, and
    /// g is not put, where there is none or something was made ready out of turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryRotate(Goroutine* g, out Goroutine* first)
    {
        uint head = _head;
        uint tail = _tail;
        if (head == tail || _next != 0 || HasFresh)
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
            : HasFresh ? PopInTurn() : PopRing();
    }

    /// <summary>From the ring and the fresh ones in turn.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Goroutine* PopInTurn()
    {
        _freshTurn = !_freshTurn;
        Goroutine* g = _freshTurn ? PopFresh() : PopRing();
        return g != null ? g : _freshTurn ? PopRing() : PopFresh();
    }

    private Goroutine* PopRing()
    {
        while (true)
        {
            bool exclusive = Exclusive; // Before the head: see the top of the file.
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

    /// <summary>Owner only. Takes the older half of a full ring: the count, or 0 if a thief was faster and
    /// there is room again, and where in Slots they begin. Only the owner writes slots: they may be read
    /// after the exchange.</summary>
    internal int TakeHalf(out uint start)
    {
        uint head = Volatile.Read(ref _head);
        uint count = (_tail - head) / 2;
        start = head;
        bool taken = count != 0 && Interlocked.CompareExchange(ref _head, head + count, head) == head;
        return taken ? (int)count : 0;
    }

    /// <summary>Owner only. Has what lies in the last slots of the ring fetched: first the control blocks,
    /// side by side, then the newest parts of their stacks.</summary>
    internal readonly void PrefetchLast(uint count)
    {
        for (uint i = _tail - count; i != _tail; i++)
        {
            Goroutine.PrefetchBlock(_slots[i % Layout.RunQueueSize]);
        }
        for (uint i = _tail - count; i != _tail; i++)
        {
            Goroutine.PrefetchStack(_slots[i % Layout.RunQueueSize]);
        }
    }

    /// <summary>Owner only. The same of all fresh ones, which have no stacks yet.</summary>
    internal readonly void PrefetchFresh()
    {
        uint count = FreshCount(_fresh);
        for (uint i = 0; i < count; i++)
        {
            Goroutine.PrefetchBlock(FreshSlots[(FreshHead(_fresh) + i) % Layout.RunQueueSize]);
        }
    }

    /// <summary>Owner only. One that has not begun; false when there is no room.</summary>
    internal bool TryPushFresh(Goroutine* g)
    {
        while (true)
        {
            bool exclusive = Exclusive;
            ulong fresh = Volatile.Read(ref _fresh);
            uint count = FreshCount(fresh);
            if (count >= Layout.RunQueueSize)
            {
                return false;
            }
            if (count == 0)
            {
                _oldestSince = CoarseTime.Now; // Its time begins.
            }
            FreshSlots[(FreshHead(fresh) + count) % Layout.RunQueueSize] = g;
            if (ExchangeFresh(exclusive, fresh, With(fresh, FreshHead(fresh), count + 1, 0)))
            {
                return true;
            }
        }
    }

    /// <summary>The newest one; the oldest, if that is due.</summary>
    private Goroutine* PopFresh()
    {
        long now = CoarseTime.Now;
        while (true)
        {
            bool exclusive = Exclusive;
            ulong fresh = Volatile.Read(ref _fresh);
            uint count = FreshCount(fresh);
            if (count == 0)
            {
                return null;
            }
            bool oldest = now - _oldestSince >= OldestEveryNs;
            uint head = FreshHead(fresh);
            Goroutine* g = FreshSlots[(oldest ? head : head + count - 1) % Layout.RunQueueSize];
            ulong rest = oldest ? With(fresh, head + 1, count - 1, 0) : With(fresh, head, count - 1, 1);
            if (ExchangeFresh(exclusive, fresh, rest))
            {
                _oldestSince = oldest ? now : _oldestSince;
                return g;
            }
        }
    }

    /// <summary>Owner only. Takes the older half of the fresh ones, as TakeHalf.</summary>
    internal int TakeFreshHalf(out uint start)
    {
        bool exclusive = Exclusive;
        ulong fresh = Volatile.Read(ref _fresh);
        uint all = FreshCount(fresh);
        uint count = (all + 1) / 2;
        start = FreshHead(fresh);
        ulong rest = With(fresh, start + count, all - count, 0);
        return ExchangeFresh(exclusive, fresh, rest) ? (int)count : 0;
    }

    private static uint FreshCount(ulong fresh) => (ushort)fresh;

    private static uint FreshHead(ulong fresh) => (ushort)(fresh >> 16);

    private static ulong With(ulong fresh, uint head, uint count, uint versions) =>
        ((ulong)((uint)(fresh >> 32) + versions) << 32) | (head << 16) | count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool ExchangeFresh(bool exclusive, ulong from, ulong to)
    {
        if (exclusive)
        {
            _fresh = to;
            return true;
        }
        return Interlocked.CompareExchange(ref _fresh, to, from) == from;
    }

    /// <summary>Thief: takes the older half of the victim's fresh ones, as StealFrom. The thief has none: it
    /// has nothing.</summary>
    private Goroutine* StealFresh(RunQueue* victim)
    {
        while (true)
        {
            ulong fresh = Volatile.Read(ref victim->_fresh);
            uint all = FreshCount(fresh);
            uint count = (all + 1) / 2;
            if (count == 0)
            {
                return null;
            }
            uint head = FreshHead(fresh);
            uint own = _tail;
            for (uint i = 0; i < count; i++)
            {
                _slots[(own + i) % Layout.RunQueueSize] =
                    victim->FreshSlots[(head + i) % Layout.RunQueueSize];
            }
            ulong rest = With(fresh, head + count, all - count, 0);
            if (Interlocked.CompareExchange(ref victim->_fresh, rest, fresh) == fresh)
            {
                Volatile.Write(ref _tail, own + count - 1);
                return _slots[(own + count - 1) % Layout.RunQueueSize];
            }
        }
    }

    /// <summary>Anybody: who is next, or null. Only to be compared.</summary>
    internal readonly nint NextSeen => Volatile.Read(in _next);

    /// <summary>Thief: takes what is next, if it still is that one.</summary>
    internal Goroutine* StealNext(nint next) =>
        Interlocked.CompareExchange(ref _next, 0, next) == next ? (Goroutine*)next : null;

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
                Goroutine* fresh = StealFresh(victim);
                if (fresh != null)
                {
                    return fresh;
                }
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
