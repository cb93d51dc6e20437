// Stacks of 64 KB and more: what goroutines grow to, and fixed ones. A power of two of address space,
// a guard page below, pages committed by the kernel on first touch.
//
//   [ guard page ][ low ............................. high )     size class k: 64 KB << k
//
// Free stacks are kept per class on lock-free lists, because growth takes one inside a signal handler: a
// lock there could be held by a thread that the collector has stopped, while the handler keeps the
// collector from finishing. The list node lies in the stack's top page. Stacks are never unmapped, so a
// stale read of a node reads memory, if old; the tag in the head makes the exchange fail then.
//
// Locks: none, by design (above).


namespace Weft.Runtime;

internal static unsafe class LargeStacks
{
    private const int ClassCount = 16; // 64 KB << 15 = 2 GB.
    private const int TagShift = 36;   // Addresses have 48 bits, page aligned: 36. The rest is tag.
    private const nint KeptResident = 64 * 1024;

    private static long* s_heads;
    private static long* s_counts;

    internal static void Initialize()
    {
        nint memory = Os.Reserve(Os.PageSize);
        Check.Always(memory > 0, "stacks: no memory for the pools"u8);
        s_heads = (long*)memory;
        s_counts = s_heads + ClassCount;
    }

    /// <summary>The size of the smallest class that holds <paramref name="bytes"/>.</summary>
    internal static nint RoundUp(nint bytes)
    {
        nint size = Layout.SmallestLargeStack;
        while (size < bytes)
        {
            size *= 2;
        }
        return size;
    }

    /// <summary>Takes a stack of exactly a class's size. Returns its low address, or -errno.</summary>
    internal static nint Take(nint size)
    {
        int k = ClassOf(size);
        while (true)
        {
            long head = Volatile.Read(ref s_heads[k]);
            nint high = HighOf(head);
            if (high == 0)
            {
                return Make(size);
            }
            nint next = *NodeOf(high);
            if (Interlocked.CompareExchange(ref s_heads[k], NewHead(head, next), head) == head)
            {
                Interlocked.Decrement(ref s_counts[k]);
                return high - size;
            }
        }
    }

    /// <summary>Gives a stack back. Pages beyond what is worth keeping go to the system.</summary>
    internal static void Give(nint low, nint size)
    {
        int k = ClassOf(size);
        nint high = low + size;
        nint keep = s_counts[k] < Layout.LargeStacksKept ? KeptResident : Os.PageSize;
        if (size > keep)
        {
            _ = Os.Discard(low, size - keep);
        }
        Interlocked.Increment(ref s_counts[k]);
        while (true)
        {
            long head = Volatile.Read(ref s_heads[k]);
            *NodeOf(high) = HighOf(head);
            if (Interlocked.CompareExchange(ref s_heads[k], NewHead(head, high), head) == head)
            {
                return;
            }
        }
    }

    private static nint Make(nint size)
    {
        nint address = Os.Reserve(size + Os.PageSize);
        if (address <= 0)
        {
            return address;
        }
        nint error = Os.Guard(address, Os.PageSize);
        if (error < 0)
        {
            _ = Os.Release(address, size + Os.PageSize);
            return error;
        }
        return address + Os.PageSize;
    }

    private static int ClassOf(nint size)
    {
        int k = 0;
        while ((Layout.SmallestLargeStack << k) < size)
        {
            k++;
        }
        Check.Always((Layout.SmallestLargeStack << k) == size, "stacks: not the size of a class"u8);
        Check.Always(k < ClassCount, "stacks: larger than any class"u8);
        return k;
    }

    private static nint* NodeOf(nint high) => (nint*)(high - Layout.CacheLine);

    private static nint HighOf(long head) =>
        (nint)((head & ((1L << TagShift) - 1)) * Os.PageSize);

    private static long NewHead(long old, nint high)
    {
        long tag = (long)((ulong)old >> TagShift) + 1;
        return (tag << TagShift) | (high / Os.PageSize);
    }
}
