// The order of a heap's entries, and the memory they are in.
//
//   place     - - - 0 | 1  2  3  4 | 5  6  7  8 | 9 ...         four to a cache line, 16 bytes each
//   children          of 0           of 1         of 2
//
// Three places before the root are left free, so that four siblings fill one cache line and are never in two
// chunks. The heap grows a chunk at a time and nothing is copied: it holds a million sleepers as it holds
// ten. It does not shrink.
//
// Of a large heap nearly every level that an entry sinks through waits for memory. So the children of all
// four children are fetched while it is decided which of those is the least, and the chunks are huge pages,
// once there are two of them: the pages of a single one come as they are needed.
//
// Rejected: eight children (two lines for each level, for two thirds of the levels); keys of four bytes (a
// second access for the whole time wherever two are equal).

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal sealed unsafe partial class TimerHeap
{
    private const int Arity = 4;
    private const int Offset = 3;
    private const int EntriesPerChunk = Layout.TimersPerChunk;
    private const int MaxChunks = 32 * 1024 * 1024 / EntriesPerChunk;
    private const int SlotsPerChunk = 256;
    private const int EntriesPerLine = 4;

    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        internal long When;
        internal nint Item;
    }

    private static bool IsHugePage => EntriesPerChunk * sizeof(Entry) == Os.HugePageSize;

    private int Capacity => (_chunkCount * EntriesPerChunk) - Offset;

    // What follows is under the lock, except Grow and GrowSlots.

    private void Insert(long when, nint item)
    {
        Volatile.Write(ref _count, _count + 1);
        Rise(_count - 1, when, item);
    }

    private void RemoveAt(int place)
    {
        Check.Debug(place < _count, "timers: no such place"u8);
        Volatile.Write(ref _count, _count - 1);
        if (place == _count)
        {
            return;
        }
        Entry last = *At(_count);
        Put(place, last.When, last.Item);
        Move(place, last.When);
    }

    /// <summary>Gives the entry at this place another time.</summary>
    private void Move(int place, long when)
    {
        nint item = At(place)->Item;
        if (place > 0 && when < At((place - 1) / Arity)->When)
        {
            Rise(place, when, item);
        }
        else
        {
            Sink(place, when, item);
        }
    }

    private void Rise(int place, long when, nint item)
    {
        while (place > 0)
        {
            int parent = (place - 1) / Arity;
            Entry* above = At(parent);
            if (above->When <= when)
            {
                break;
            }
            Put(place, above->When, above->Item);
            place = parent;
        }
        Put(place, when, item);
    }

    private void Sink(int place, long when, nint item)
    {
        while (true)
        {
            int child = (place * Arity) + 1;
            if (child >= _count)
            {
                break;
            }
            PrefetchChildren(child);
            Entry* children = At(child); // All in one chunk.
            int least = child + Arity <= _count ? LeastOfFour(children) : Least(children, _count - child);
            if (children[least].When >= when)
            {
                break;
            }
            Put(place, children[least].When, children[least].Item);
            place = child + least;
        }
        Put(place, when, item);
    }

    /// <summary>Fetches all entries below these four siblings: four lines in a row.</summary>
    private void PrefetchChildren(int siblings)
    {
        int first = (siblings * Arity) + 1;
        if (first < _count && Sse.IsSupported)
        {
            Entry* entries = At(first);
            Sse.Prefetch0(entries); // Beyond the chunk's end this fetches nothing of use, and does no harm.
            Sse.Prefetch0(entries + EntriesPerLine);
            Sse.Prefetch0(entries + (2 * EntriesPerLine));
            Sse.Prefetch0(entries + (3 * EntriesPerLine));
        }
    }

    /// <summary>Without a branch: which it is nobody could predict. Times are not negative.</summary>
    private static int LeastOfFour(Entry* children)
    {
        int left = (int)((ulong)(children[1].When - children[0].When) >> 63);
        int right = 2 + (int)((ulong)(children[3].When - children[2].When) >> 63);
        long difference = children[right].When - children[left].When;
        return left + ((right - left) & (int)(difference >> 63));
    }

    /// <summary>Of one, two or three.</summary>
    private static int Least(Entry* children, int count)
    {
        int least = count > 1 && children[1].When < children[0].When ? 1 : 0;
        return count > 2 && children[2].When < children[least].When ? 2 : least;
    }

    private void Put(int place, long when, nint item)
    {
        Entry* entry = At(place);
        entry->When = when;
        entry->Item = item;
        if (IsNode(item))
        {
            SlotAt(SlotOf(item)).Place = place;
        }
    }

    private Entry* At(int place)
    {
        int at = place + Offset;
        return _chunks[at / EntriesPerChunk] + (at % EntriesPerChunk);
    }

    private bool Grow()
    {
        int chunks = Volatile.Read(ref _chunkCount);
        if (Volatile.Read(ref _count) < (chunks * EntriesPerChunk) - Offset)
        {
            return true; // Only slots are missing, or another was faster.
        }
        nint bytes = EntriesPerChunk * (nint)sizeof(Entry);
        nint chunk = chunks == MaxChunks ? -1 : IsHugePage ? Os.ReserveHugePage() : Os.Reserve(bytes);
        if (chunk == -Posix.ENOMEM)
        {
            chunk = Os.Reserve(bytes); // To align it takes twice the address space.
        }
        if (chunk <= 0)
        {
            return false;
        }
        if (IsHugePage && chunks > 0)
        {
            Os.UseHugePage(chunk);
        }
        if (IsHugePage && chunks == 1)
        {
            Os.UseHugePage((nint)_chunks[0]); // Now it is known that the heap is large.
        }
        _lock.Enter();
        bool installed = _chunkCount == chunks;
        if (installed)
        {
            _chunks[chunks] = (Entry*)chunk;
            Volatile.Write(ref _chunkCount, chunks + 1); // Pairs with the read above.
        }
        _lock.Exit();
        if (!installed)
        {
            _ = Os.Release(chunk, bytes);
        }
        return true;
    }

    private void GrowSlots()
    {
        int chunks = Volatile.Read(ref _slotChunks);
        if (Volatile.Read(ref _freeSlot) >= 0 || Volatile.Read(ref _usedSlots) < chunks * SlotsPerChunk)
        {
            return;
        }
        NodeSlot[] chunk = new NodeSlot[SlotsPerChunk];
        NodeSlot[][] table = Volatile.Read(ref _slots);
        NodeSlot[][]? larger = chunks < table.Length ? null : new NodeSlot[Math.Max(4, chunks * 2)][];
        _lock.Enter();
        if (_slotChunks == chunks && _slots == table)
        {
            if (larger != null)
            {
                Array.Copy(table, larger, chunks);
                _slots = larger;
            }
            _slots[chunks] = chunk;
            _slotChunks = chunks + 1;
        }
        _lock.Exit();
    }
}
