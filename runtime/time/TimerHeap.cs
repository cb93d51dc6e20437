// The timers of one processor: a heap in which each entry has four children, ordered by time.
//
//   chunks    [ - - - root ][ 1 2 3 4 ][ 5 6 7 8 ] ...      native memory; an entry is a time and an item
//   item      a sleeping goroutine: its address; a TimerNode: its slot's number, with the lowest bit set
//   slots     node, place of its entry                       managed, so that the collector sees the nodes
//
// TimerHeap.Order.cs is the heap itself: its order and its memory. This file says what it is used for.
//
// Entries are native because a sleeper needs nothing else: its goroutine is a root already. A node could be
// removed from any place, so it has to know its own: the slot does, and moving an entry costs a store.
//
// Every heap may be used by any thread; a processor's is only where its own goroutines' timers go, and the
// one that it looks at first. The scheduler reads Processor.NextTimer, which follows the root, without the
// lock.
//
// Rejected: entries that refer to the node (each move through the heap would be a write barrier, and growing
// a large object for the collector); removing stopped timers later, as Go does (a lock of some 100 ns is
// cheaper than the state machine); a wheel (its ticks wake an idle program).
// Locks: _lock, a leaf. Nothing is allocated under it.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal sealed unsafe partial class TimerHeap
{
    internal const int SleepersAtOnce = 64;

    // Made by Initialize: all of the class's statics are constants (trap ds).
    private static Stack<TimerHeap> s_apart = null!;
    private static TimerHeap[] s_heaps = null!;

    /// <summary>The node that Scheduler.LetLinger was told of last, or null. Exchanged.</summary>
    internal TimerNode? Lingering;

    private readonly Processor* _processor;
    private readonly Entry** _chunks;
    private ShortLock _lock;
    private int _chunkCount;
    private int _count;
    private NodeSlot[][] _slots = [];
    private int _slotChunks;
    private int _usedSlots;
    private int _freeSlot = -1;

    private TimerHeap(Processor* processor)
    {
        _processor = processor;
        nint directory = AddressSpace.Need(MaxChunks * sizeof(nint));
        _chunks = (Entry**)directory;
    }

    private struct NodeSlot
    {
        internal TimerNode? Node;

        /// <summary>Where its entry is; of a free slot, the next free one.</summary>
        internal int Place;
    }

    /// <summary>How many entries there are now.</summary>
    internal int Count => Volatile.Read(ref _count);

    /// <summary>The number of its processor.</summary>
    internal int Id => _processor->Id;

    internal static void Initialize(int most)
    {
        s_apart = new Stack<TimerHeap>();
        s_heaps = new TimerHeap[most];
    }

    /// <summary>Makes the heap of a processor that is new. Not under a ShortLock.</summary>
    internal static void Create(Processor* p)
    {
        p->NextTimer = TimerNode.Never;
        s_heaps[p->Id] = new TimerHeap(p);
    }

    internal static TimerHeap Of(int processor) => s_heaps[processor];

    /// <summary>One that belongs to no processor, for times of another clock: whoever takes it looks when
    /// something is due.</summary>
    internal static TimerHeap CreateApart()
    {
        lock (s_apart)
        {
            if (s_apart.TryPop(out TimerHeap? heap))
            {
                return heap;
            }
        }
        Processor* p = (Processor*)NativeMemory.AllocZeroed((nuint)sizeof(Processor));
        p->NextTimer = TimerNode.Never;
        return new TimerHeap(p);
    }

    /// <summary>Gives such a one back, empty: its memory serves the next.</summary>
    internal static void GiveApart(TimerHeap heap)
    {
        Check.Always(heap._count == 0, "timers: a heap is given back that is not empty"u8);
        lock (s_apart)
        {
            s_apart.Push(heap);
        }
    }

    /// <summary>When the first is due, or Never.</summary>
    internal long Earliest => Volatile.Read(ref _processor->NextTimer);

    /// <summary>Adds a goroutine that waits, or is about to, with nobody else to wake it. It may run before
    /// this returns. False when there is no memory. Earlier: the heap's earliest time has changed to this
    /// one.</summary>
    internal bool TryAdd(Goroutine* g, long when, out bool earlier)
    {
        earlier = false;
        while (true)
        {
            _lock.Enter();
            if (_count < Capacity)
            {
                Insert(when, (nint)g);
                earlier = Publish();
                _lock.Exit();
                return true;
            }
            _lock.Exit();
            if (!Grow())
            {
                return false;
            }
        }
    }

    /// <summary>Brings the node's entry in line with its When: whoever changed that calls it, holding no
    /// lock. A node that is in no heap goes to this one. Returns the heap whose earliest time has become
    /// earlier, or null. Throws InsufficientMemoryException.</summary>
    internal TimerHeap? Update(TimerNode node)
    {
        // When was written, Heap is read; Claim writes Heap and then reads When. One of the two sees the
        // other.
        Interlocked.MemoryBarrier();
        while (true)
        {
            TimerHeap? heap = Volatile.Read(ref node.Heap);
            if (heap == null)
            {
                if (node.When == TimerNode.Never)
                {
                    return null;
                }
                heap = this;
            }
            switch (heap.Align(node))
            {
                case Aligned.Earlier:
                    return heap;

                case Aligned.Done:
                    return null;

                case Aligned.NoRoom:
                    if (!heap.Grow())
                    {
                        throw new InsufficientMemoryException("No memory for another timer.");
                    }
                    heap.GrowSlots();
                    break;

                default:
                    break; // It has gone to another heap.
            }
        }
    }

    private enum Aligned
    {
        Done,
        Earlier,
        NoRoom,
        Elsewhere,
    }

    private Aligned Align(TimerNode node)
    {
        _lock.Enter();
        TimerHeap? owner = Interlocked.CompareExchange(ref node.Heap, this, null); // Pairs with Update.
        Aligned result = Aligned.Done;
        if (owner != null && owner != this)
        {
            result = Aligned.Elsewhere;
        }
        else
        {
            long when = node.When;
            if (owner == null)
            {
                bool room = _count < Capacity && (_freeSlot >= 0 || _usedSlots < _slotChunks * SlotsPerChunk);
                if (when == TimerNode.Never || !room)
                {
                    Volatile.Write(ref node.Heap, null);
                    result = when == TimerNode.Never ? Aligned.Done : Aligned.NoRoom;
                }
                else
                {
                    Insert(when, TakeSlot(node));
                }
            }
            else if (when == TimerNode.Never)
            {
                Release(node);
            }
            else
            {
                Move(SlotAt(node.Slot).Place, when);
            }
            if (Publish())
            {
                result = Aligned.Earlier;
            }
        }
        _lock.Exit();
        return result;
    }

    /// <summary>Takes what is due: a list of so many goroutines at most, or one node. False when there is
    /// nothing.</summary>
    internal bool TakeDue(long now, int most, out Goroutine* sleepers, out TimerNode? node)
    {
        sleepers = null;
        node = null;
        nint* taken = stackalloc nint[SleepersAtOnce];
        int count = 0;
        _lock.Enter();
        while (count < most && _count > 0 && At(0)->When <= now)
        {
            nint item = At(0)->Item;
            if (IsNode(item))
            {
                if (count == 0)
                {
                    node = SlotAt(SlotOf(item)).Node!;
                    Release(node);
                }
                break;
            }
            RemoveAt(0);
            taken[count++] = item;
        }
        Publish();
        _lock.Exit();
        Goroutine.Prefetch(taken, count);
        while (--count >= 0)
        {
            Goroutine* g = (Goroutine*)taken[count];
            Goroutine.PrefetchStack(g);
            g->Link = sleepers;
            sleepers = g;
        }
        return sleepers != null || node != null;
    }

    /// <summary>Moves all to another heap. True when that one's earliest time has become earlier.</summary>
    internal bool MoveTo(TimerHeap other)
    {
        bool earlier = false;
        while (true)
        {
            _lock.Enter();
            if (_count == 0)
            {
                _lock.Exit();
                return earlier;
            }
            Entry entry = *At(_count - 1); // The last: taking it moves nothing.
            TimerNode? node = null;
            if (IsNode(entry.Item))
            {
                node = SlotAt(SlotOf(entry.Item)).Node!;
                Release(node);
            }
            else
            {
                RemoveAt(_count - 1);
            }
            Publish();
            _lock.Exit();
            if (node != null)
            {
                earlier |= other.Update(node) == other;
                continue;
            }
            bool added = other.TryAdd((Goroutine*)entry.Item, entry.When, out bool first);
            Check.Always(added, "timers: no memory to move a sleeper"u8);
            earlier |= first;
        }
    }

    /// <summary>Fails when the heap is not one. For tests.</summary>
    internal void CheckInvariants()
    {
        _lock.Enter();
        for (int i = 0; i < _count; i++)
        {
            Check.Always(i == 0 || At((i - 1) / Arity)->When <= At(i)->When, "timers: out of order"u8);
            nint item = At(i)->Item;
            if (IsNode(item))
            {
                NodeSlot slot = SlotAt(SlotOf(item));
                Check.Always(slot.Place == i, "timers: a slot with the wrong place"u8);
                Check.Always(slot.Node!.Heap == this, "timers: a node of another heap"u8);
            }
        }
        long first = _count == 0 ? TimerNode.Never : At(0)->When;
        Check.Always(_processor->NextTimer == first, "timers: the earliest time is wrong"u8);
        _lock.Exit();
    }

    private static bool IsNode(nint item) => (item & 1) != 0;

    private static int SlotOf(nint item) => (int)(item >> 1);

    // What follows is under the lock.

    private ref NodeSlot SlotAt(int slot) => ref _slots[slot / SlotsPerChunk][slot % SlotsPerChunk];

    /// <summary>True when the earliest time has become earlier.</summary>
    private bool Publish()
    {
        long first = _count == 0 ? TimerNode.Never : At(0)->When;
        long before = _processor->NextTimer;
        if (first != before)
        {
            Volatile.Write(ref _processor->NextTimer, first);
        }
        return first < before;
    }

    private nint TakeSlot(TimerNode node)
    {
        int slot = _freeSlot;
        if (slot >= 0)
        {
            _freeSlot = SlotAt(slot).Place;
        }
        else
        {
            slot = _usedSlots++;
        }
        SlotAt(slot).Node = node;
        node.Slot = slot;
        return ((nint)slot << 1) | 1;
    }

    /// <summary>Takes the node's entry out, and the node is in no heap.</summary>
    private void Release(TimerNode node)
    {
        ref NodeSlot slot = ref SlotAt(node.Slot);
        RemoveAt(slot.Place);
        slot.Node = null;
        slot.Place = _freeSlot;
        _freeSlot = node.Slot;
        Volatile.Write(ref node.Heap, null);
    }
}
