// Where a goroutine's stack goes when it grows: to an address that equals the old one in the low 32 bits.
//
//   homes    |h0|h1|h2|h3| ...                      8 KB apart (Homes.cs)
//   plane 1  [ stack of h0 )     [ stack of hn )    size S, n = S / 8 KB: no two overlap
//   plane 2     [ stack of h1 )     [ stack of hn+1 )
//   plane n     ...                                 planes lie 4 GB apart
//
// Why: growth moves every word that looks like an address into the old stack, and a buffer that is only
// partly written over old addresses can look like one. A distance of whole planes leaves the low four bytes
// of any word alone, where the live data of such a buffer is (HACKING.md, trap q).
//
// So up to 512 KB each home has its own place for each size, and nothing is allocated, only computed. Larger
// ones are rare: the kernel is asked for the place in one plane after the other, and has it back at the end.
//
//   [ guard page ][ low ........................ high )[ less than 1 KB, as in the home ]
//   `---------------------------- S, a power of two ------------------------------------'
//
// Where address space is limited there are fewer homes, planes are as far apart as the homes reach, and few
// homes have places of one size only.
//
// What core dumps have of a size is the beginning of each of its planes, up to a home that grows with what is
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
    private const nint MostOverhead = Os.PageSize + Homes.MostAbove;

    // Where the planes for large stacks are: between the heaps low in the address space and what the
    // kernel places from the top. Only ever a request, which fails where something is.
    private const long LargeLow = 0x1000_0000_0000;
    private const long LargeHigh = 0x5000_0000_0000;

    private static int s_firstClass;
    private static nint s_base;
    private static nint s_stride;
    private static nint s_homesPerStride;
    private static nint s_areas;
    private static byte* s_guarded;
    private static byte* s_warm;
    private static int* s_warmCount;
    private static nint* s_dumped;
    private static int s_nextPlane;

    /// <summary>With few homes, because address space is limited, only the largest size has places: a home
    /// takes 530 KB instead of 1 MB.</summary>
    internal static void ChooseSizes(bool few) => s_firstClass = few ? SmallClasses - 1 : 0;

    /// <summary>The address space for all sizes of that many homes, a power of two.</summary>
    internal static nint BytesFor(nint homes)
    {
        nint bytes = 0;
        for (int k = s_firstClass; k < SmallClasses; k++)
        {
            bytes += AreaOf(k, homes * Homes.Size);
        }
        return bytes;
    }

    /// <summary>The homes are at address; <see cref="BytesFor"/> bytes behind them are ours.</summary>
    internal static void Initialize(nint address, nint homes)
    {
        s_base = address;
        s_stride = (nint)Math.Min(PlaneDistance, homes * Homes.Size);
        s_homesPerStride = s_stride / Homes.Size;
        s_areas = address + (homes * Homes.Size);
        s_guarded = (byte*)AddressSpace.Need(homes);
        s_warm = (byte*)AddressSpace.Need(homes);
        s_warmCount = (int*)AddressSpace.Need(Os.PageSize);
        s_dumped = (nint*)(s_warmCount + (Layout.CacheLine / sizeof(int)));
    }

    /// <summary>The size of the smallest stack with that many usable bytes.</summary>
    internal static nint SizeFor(nint usable)
    {
        nint least = Math.Min(Layout.SmallestLargeStack << s_firstClass, StackGrowth.MaxStack);
        return StackSizes.RoundUp(Math.Max(usable + MostOverhead, least));
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
        nint home = g->Home;
        nint high = PlaceOf(home, k) - Homes.Above(g->Home);
        if (!Has(s_guarded, home, k))
        {
            IncludeInDumps(home, k);
            nint error = Os.Guard(LowOf(high, size) - Os.PageSize, Os.PageSize);
            if (error < 0)
            {
                return error;
            }
            Set(s_guarded, home, k, true);
        }
        if (Has(s_warm, home, k))
        {
            Set(s_warm, home, k, false);
            Interlocked.Decrement(ref s_warmCount[k]);
        }
        return high;
    }

    /// <summary>Gives back what g had at [low, high). Its pages stay for the home's next goroutine while
    /// few do.</summary>
    internal static void Give(Goroutine* g, nint low, nint high)
    {
        nint end = EndOf(high);
        nint size = end - low + Os.PageSize;
        int k = StackSizes.ClassOf(size);
        if (!HasPlaces(k))
        {
            _ = Os.Release(low - Os.PageSize, size);
            return;
        }
        nint home = g->Home;
        Check.Debug(end == PlaceOf(home, k), "stacks: not the place of this goroutine"u8);
        bool keep = Volatile.Read(ref s_warmCount[k]) < Layout.GrownStacksKept;
        if (keep)
        {
            Set(s_warm, home, k, true);
            Interlocked.Increment(ref s_warmCount[k]);
        }
        nint top = keep ? Math.Max(low, end - KeptResident) : end;
        if (top > low)
        {
            _ = Os.Discard(low, top - low);
        }
    }

    /// <summary>The same, and no page of it is to stay resident: how many bytes from low on the caller has
    /// to discard.</summary>
    internal static nint GiveAll(Goroutine* g, nint low, nint high)
    {
        nint end = EndOf(high);
        nint size = end - low + Os.PageSize;
        if (!HasPlaces(StackSizes.ClassOf(size)))
        {
            _ = Os.Release(low - Os.PageSize, size);
            return 0;
        }
        bool isIts = end == PlaceOf(g->Home, StackSizes.ClassOf(size));
        Check.Debug(isIts, "stacks: not the place of this goroutine"u8);
        return end - low;
    }

    /// <summary>Whether a movable stack is one of these: those in homes have a page.</summary>
    internal static bool IsGrown(nint low, nint high) => high - low > Os.PageSize;

    /// <summary>The lowest usable byte of a stack of that size.</summary>
    internal static nint LowOf(nint high, nint size) => EndOf(high) + Os.PageSize - size;

    /// <summary>Where the place of a stack ends: less than a page behind it.</summary>
    private static nint EndOf(nint high) => (high + Os.PageSize - 1) & -Os.PageSize;

    private static nint TakeLarge(Goroutine* g, nint size)
    {
        nint end = EndOf(Homes.HighOf(g->Home));
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
                    return place - Homes.Above(g->Home);
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

    /// <summary>Where the stack of a home ends: n + 1 planes for each 4 GB of homes, so that the stacks that
    /// begin below their plane do not reach into another's.</summary>
    private static nint PlaceOf(nint home, int k)
    {
        nint area = s_areas;
        for (int i = s_firstClass; i < k; i++)
        {
            area += AreaOf(i, s_areas - s_base);
        }
        nint n = HomesPerStack(k);
        nint group = home / s_homesPerStride;
        nint within = home % s_homesPerStride;
        nint plane = (group * (n + 1)) + (within % n) + 1;
        return area + (plane * s_stride) + ((within + 1) * Homes.Size);
    }

    /// <summary>Sees that core dumps have the home's place of that size, and those of all homes before it.
    /// Some more than that at once: it is a system call for each plane.</summary>
    private static void IncludeInDumps(nint home, int k)
    {
        nint group = home / s_homesPerStride;
        nint within = home % s_homesPerStride;
        nint* dumped = s_dumped + (group * SmallClasses) + k;
        nint before = Volatile.Read(ref *dumped);
        while (within >= before)
        {
            nint end = (within + (before / 4) + DumpedAtOnce) & -DumpedAtOnce;
            end = Math.Min(end, s_homesPerStride);
            for (nint i = 0; i < Math.Min(HomesPerStack(k), s_homesPerStride); i++)
            {
                nint plane = PlaceOf((group * s_homesPerStride) + i, k) - ((i + 1) * Homes.Size);
                // The first places begin below their plane.
                nint low = before == 0
                    ? plane - (Layout.SmallestLargeStack << k) : plane + (before * Homes.Size);
                Os.IncludeInDumps(low, plane + (end * Homes.Size) - low);
            }
            // Another machine may have done the same, or more.
            nint seen = Interlocked.CompareExchange(ref *dumped, end, before);
            before = seen == before ? end : seen;
        }
    }

    private static nint AreaOf(int k, nint homeBytes) => (HomesPerStack(k) + 1) * homeBytes;

    private static nint HomesPerStack(int k) =>
        (Layout.SmallestLargeStack << k) / Homes.Size;

    // One bit for each class. The home's goroutine is the only one that looks.
    private static bool Has(byte* table, nint home, int k) => (table[home] & (1 << k)) != 0;

    private static void Set(byte* table, nint home, int k, bool value) =>
        table[home] = (byte)(value ? table[home] | (1 << k) : table[home] & ~(1 << k));
}
