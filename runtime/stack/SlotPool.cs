// Numbers of places in a reserved range: which have been used, which are free, and what memory may go back.
//
//   carved    [ 0 1 2 3 ... ]  each handed out at least once; the next one is carved when none is free
//   free      an array of numbers, the last one given is taken first
//   chunk     as many in a row as are given back to the system at once, when all of them are free
//
// An array, not a list through the places themselves: who takes one need not wait for the memory of the one
// before it, and a place that is free is not touched at all.
//
// Sysmon gives chunks back bit by bit. Rejected: giving one back as its last place becomes free: when a
// hundred thousand goroutines end, most chunks are complete only with the last of them, which all waited for
// the system.
// Locks: the owner's.

namespace Weft.Runtime;

internal unsafe struct SlotPool
{
    private const ushort Returned = 0x8000; // All free, and its memory given back.

    private readonly nint _chunk;
    private readonly nint _freeKept;
    private readonly byte* _present;
    private readonly int* _free;
    private readonly ushort* _freeInChunk; // With Returned.
    private nint _freeCount;
    private nint _carved;
    private nint _freeResident;
    private nint _wholeChunks; // All free, and not returned.
    private nint _nextWhole;

    /// <summary>Places 0 to capacity - 1, none of which has been used; chunks of up to 16,384.</summary>
    internal SlotPool(nint capacity, nint chunk, nint freeKept)
    {
        Capacity = capacity;
        _chunk = chunk;
        _freeKept = freeKept;
        _present = (byte*)AddressSpace.Need(capacity);
        _free = (int*)AddressSpace.Need(capacity * sizeof(int));
        nint chunks = (capacity + chunk - 1) / chunk;
        _freeInChunk = (ushort*)AddressSpace.Need(chunks * sizeof(ushort));
    }

    internal nint Capacity { get; }

    /// <summary>How many have ever been used. Read by anybody.</summary>
    internal readonly nint Carved => Volatile.Read(in _carved);

    /// <summary>Where that number is, of a pool that does not move.</summary>
    internal static nint AddressOfCarved(SlotPool* pool) => (nint)(&pool->_carved);

    /// <summary>How many can still be taken.</summary>
    internal readonly nint Left => _freeCount + Capacity - _carved;

    /// <summary>Whether the next one to be taken is one that was never used.</summary>
    internal readonly bool IsNextNew => _freeCount == 0;

    /// <summary>Whether one is free, or was never used. Read by anybody; stale as soon as it is
    /// read.</summary>
    internal readonly bool LooksFree => Volatile.Read(in _freeCount) > 0 || Carved < Capacity;

    /// <summary>Free ones that still hold memory. Read by anybody.</summary>
    internal readonly nint FreeResident => Volatile.Read(in _freeResident);

    /// <summary>Whether there is a chunk to be given back. Read by anybody; stale as soon as it is
    /// read.</summary>
    internal readonly bool HasTooMany => Volatile.Read(in _wholeChunks) > 0 && FreeResident > _freeKept;

    /// <summary>One that nobody has. There is one left.</summary>
    internal nint Take()
    {
        nint slot;
        if (_freeCount == 0)
        {
            slot = _carved;
            Volatile.Write(ref _carved, slot + 1);
        }
        else
        {
            slot = _free[--_freeCount];
            nint chunk = slot / _chunk;
            if (_freeInChunk[chunk] == _chunk)
            {
                _wholeChunks--;
            }
            _freeInChunk[chunk] = (ushort)((_freeInChunk[chunk] & ~Returned) - 1);
            _freeResident -= _present[slot];
        }
        _present[slot] = 1;
        return slot;
    }

    internal void Give(nint slot)
    {
        _free[_freeCount++] = (int)slot;
        _freeResident++;
        if (++_freeInChunk[slot / _chunk] == _chunk)
        {
            _wholeChunks++;
        }
    }

    /// <summary>The first place of a chunk that is to be given back, and counts as that from here on; there
    /// is one.</summary>
    internal nint TakeWhole()
    {
        nint chunks = _carved / _chunk; // The last one may not be whole.
        do
        {
            _nextWhole = _nextWhole + 1 < chunks ? _nextWhole + 1 : 0;
        }
        while (_freeInChunk[_nextWhole] != _chunk);
        _wholeChunks--;
        _freeInChunk[_nextWhole] |= Returned;
        nint first = _nextWhole * _chunk;
        for (nint slot = first; slot < first + _chunk; slot++)
        {
            _freeResident -= _present[slot];
            _present[slot] = 0;
        }
        return first;
    }
}
