// Where a goroutine's stack goes when it grows: to an address that equals the old one in the low 32 bits.
//
//   slots    |g0|g1|g2|g3| ...                      8 KB apart (GoroutinePages)
//   plane 1  [ stack of g0 )     [ stack of gn )    size S, n = S / 8 KB: no two overlap
//   plane 2     [ stack of g1 )     [ stack of gn+1 )
//   plane n     ...                                 planes lie 4 GB apart
//
// Why: growth moves every word that looks like an address into the old stack, and a buffer that is only
// partly written over old addresses can look like one. A distance of whole planes leaves the low four bytes
// of any word alone, where the live data of such a buffer is (HACKING.md, trap q).
//
// So up to 512 KB each slot has its own place for each size, and nothing is allocated, only computed. Larger
// ones are rare: the kernel is asked for the place in one plane after the other, and has it back at the end.
//
//   [ guard page ][ low ........................ high )[ 2 KB, as the control block takes in the slot ]
//   `---------------------------- S, a power of two --------------------------------------------------'
//
// Where address space is limited there are fewer slots, planes are as far apart as the slots reach, and few
// slots have places of one size only.
//
// What core dumps have of a size is the beginning of each of its planes, up to a slot that grows with what is
// used: side by side, so that a plane has two mappings more, a few hundred in all, however many stacks there
// are.
//
// Rejected: a pool of stacks per size, at any address (what the distance was then is in DECISIONS 19); a
// table of what is taken in each plane, which 512 KB of address space a goroutine do not call for.
// Locks: none. Take and Give run in a signal handler, for the goroutine that runs there or has just ended.

namespace Weft.Runtime;

internal static unsafe class GrownStacks
{
    private const int SmallClasses = 4; // 64, 128, 256 and 512 KB.
    private const long PlaneDistance = 1L << 32;
    private const nint KeptResident = 64 * 1024;
    private const nint DumpedAtOnce = 256;
    private const nint Overhead = Os.PageSize + Goroutine.ControlSize;

    // Where the planes for large stacks are: between the heaps low in the address space and what the
    // kernel places from the top. Only ever a request, which fails where something is.
    private const long LargeLow = 0x1000_0000_0000;
    private const long LargeHigh = 0x5000_0000_0000;

    private static int s_firstClass;
    private static nint s_base;
    private static nint s_stride;
    private static nint s_slotsPerStride;
    private static nint s_areas;
    private static byte* s_guarded;
    private static byte* s_warm;
    private static int* s_warmCount;
    private static nint* s_dumped;
    private static int s_nextPlane;

    /// <summary>With few slots, because address space is limited, only the largest size has places: a slot
    /// takes 530 KB instead of 1 MB.</summary>
    internal static void ChooseSizes(bool few) => s_firstClass = few ? SmallClasses - 1 : 0;

    /// <summary>The address space for all sizes of that many slots, a power of two.</summary>
    internal static nint BytesFor(nint slots)
    {
        nint bytes = 0;
        for (int k = s_firstClass; k < SmallClasses; k++)
        {
            bytes += AreaOf(k, slots * Goroutine.SlotSize);
        }
        return bytes;
    }

    /// <summary>The slots are at address; <see cref="BytesFor"/> bytes behind them are ours.</summary>
    internal static void Initialize(nint address, nint slots)
    {
        s_base = address;
        s_stride = (nint)Math.Min(PlaneDistance, slots * Goroutine.SlotSize);
        s_slotsPerStride = s_stride / Goroutine.SlotSize;
        s_areas = address + (slots * Goroutine.SlotSize);
        s_guarded = (byte*)AddressSpace.Need(slots);
        s_warm = (byte*)AddressSpace.Need(slots);
        s_warmCount = (int*)AddressSpace.Need(Os.PageSize);
        s_dumped = (nint*)(s_warmCount + (Layout.CacheLine / sizeof(int)));
    }

    /// <summary>The size of the smallest stack with that many usable bytes.</summary>
    internal static nint SizeFor(nint usable)
    {
        nint least = Math.Min(Layout.SmallestLargeStack << s_firstClass, StackGrowth.MaxStack);
        return StackSizes.RoundUp(Math.Max(usable + Overhead, least));
    }

    private static bool HasPlaces(int k) => k >= s_firstClass && k < SmallClasses;

    /// <summary>Makes g's place of that size ready for use. Returns one past its highest byte, or
    /// -errno.</summary>
    internal static nint Take(Goroutine* g, nint size)
    {
        int k = StackSizes.ClassOf(size);
        if (!HasPlaces(k))
        {
            return TakeLarge(g, size);
        }
        nint slot = GoroutinePages.SlotOf(g);
        nint high = PlaceOf(slot, k) - Goroutine.ControlSize;
        if (!Has(s_guarded, slot, k))
        {
            IncludeInDumps(slot, k);
            nint error = Os.Guard(LowOf(high, size) - Os.PageSize, Os.PageSize);
            if (error < 0)
            {
                return error;
            }
            Set(s_guarded, slot, k, true);
        }
        if (Has(s_warm, slot, k))
        {
            Set(s_warm, slot, k, false);
            Interlocked.Decrement(ref s_warmCount[k]);
        }
        return high;
    }

    /// <summary>Gives back what g had at [low, high). Its pages stay for the slot's next goroutine while
    /// few do.</summary>
    internal static void Give(Goroutine* g, nint low, nint high)
    {
        nint size = high - low + Overhead;
        int k = StackSizes.ClassOf(size);
        if (!HasPlaces(k))
        {
            _ = Os.Release(low - Os.PageSize, size);
            return;
        }
        nint slot = GoroutinePages.SlotOf(g);
        nint end = PlaceOf(slot, k);
        Check.Debug(end == high + Goroutine.ControlSize, "stacks: not the place of this goroutine"u8);
        bool keep = Volatile.Read(ref s_warmCount[k]) < Layout.GrownStacksKept;
        if (keep)
        {
            Set(s_warm, slot, k, true);
            Interlocked.Increment(ref s_warmCount[k]);
        }
        nint top = keep ? Math.Max(low, end - KeptResident) : end;
        if (top > low)
        {
            _ = Os.Discard(low, top - low);
        }
    }

    /// <summary>The same, and no page of it stays resident.</summary>
    internal static void GiveAll(Goroutine* g, nint low, nint high)
    {
        nint size = high - low + Overhead;
        if (!HasPlaces(StackSizes.ClassOf(size)))
        {
            _ = Os.Release(low - Os.PageSize, size);
        }
        else
        {
            Check.Debug(
                PlaceOf(GoroutinePages.SlotOf(g), StackSizes.ClassOf(size)) == high + Goroutine.ControlSize,
                "stacks: not the place of this goroutine"u8);
            _ = Os.Discard(low, high + Goroutine.ControlSize - low);
        }
    }

    /// <summary>The lowest usable byte of a stack of that size.</summary>
    internal static nint LowOf(nint high, nint size) => high + Overhead - size;

    private static nint TakeLarge(Goroutine* g, nint size)
    {
        nint end = (nint)g + Goroutine.ControlSize;
        long planes = (LargeHigh - LargeLow) / s_stride;
        for (long i = 0; i < planes; i++)
        {
            long plane = (uint)Interlocked.Increment(ref s_nextPlane) % planes;
            nint place = (nint)(LargeLow + (plane * s_stride)) + (end & (s_stride - 1));
            nint address = Os.ReserveAt(place - size, size);
            if (address > 0)
            {
                nint error = Os.Guard(address, Os.PageSize);
                if (error == 0)
                {
                    return place - Goroutine.ControlSize;
                }
                _ = Os.Release(address, size);
                return error;
            }
            if (address != -Os.Exists)
            {
                return address;
            }
        }
        return -Os.Exists;
    }

    /// <summary>Where the stack of a slot ends: n + 1 planes for each 4 GB of slots, so that the stacks that
    /// begin below their plane do not reach into another's.</summary>
    private static nint PlaceOf(nint slot, int k)
    {
        nint area = s_areas;
        for (int i = s_firstClass; i < k; i++)
        {
            area += AreaOf(i, s_areas - s_base);
        }
        nint n = SlotsPerStack(k);
        nint group = slot / s_slotsPerStride;
        nint within = slot % s_slotsPerStride;
        nint plane = (group * (n + 1)) + (within % n) + 1;
        return area + (plane * s_stride) + ((within + 1) * Goroutine.SlotSize);
    }

    /// <summary>Sees that core dumps have the slot's place of that size, and those of all slots before it.
    /// Some more than that at once: it is a system call for each plane.</summary>
    private static void IncludeInDumps(nint slot, int k)
    {
        nint group = slot / s_slotsPerStride;
        nint within = slot % s_slotsPerStride;
        nint* dumped = s_dumped + (group * SmallClasses) + k;
        nint before = Volatile.Read(ref *dumped);
        while (within >= before)
        {
            nint end = (within + (before / 4) + DumpedAtOnce) & -DumpedAtOnce;
            end = Math.Min(end, s_slotsPerStride);
            for (nint i = 0; i < Math.Min(SlotsPerStack(k), s_slotsPerStride); i++)
            {
                nint plane = PlaceOf((group * s_slotsPerStride) + i, k) - ((i + 1) * Goroutine.SlotSize);
                // The first places begin below their plane.
                nint low = before == 0
                    ? plane - (Layout.SmallestLargeStack << k) : plane + (before * Goroutine.SlotSize);
                Os.IncludeInDumps(low, plane + (end * Goroutine.SlotSize) - low);
            }
            // Another machine may have done the same, or more.
            nint seen = Interlocked.CompareExchange(ref *dumped, end, before);
            before = seen == before ? end : seen;
        }
    }

    private static nint AreaOf(int k, nint slotBytes) => (SlotsPerStack(k) + 1) * slotBytes;

    private static nint SlotsPerStack(int k) =>
        (Layout.SmallestLargeStack << k) / Goroutine.SlotSize;

    // One bit for each class. The slot's goroutine is the only one that looks.
    private static bool Has(byte* table, nint slot, int k) => (table[slot] & (1 << k)) != 0;

    private static void Set(byte* table, nint slot, int k, bool value) =>
        table[slot] = (byte)(value ? table[slot] | (1 << k) : table[slot] & ~(1 << k));
}
