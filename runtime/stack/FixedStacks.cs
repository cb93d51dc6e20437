// Stacks that never move: address space reserved up front, a guard page below, pages committed by the
// kernel on first touch. A power of two, kept for the next of the same size.
//
//   [ guard page ][ low ............................. high )     size class k: 64 KB << k
//
// A free one's top page holds the link to the next, and up to KeptResident bytes of what it had.
// Locks: s_lock guards the lists; a leaf. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class FixedStacks
{
    private const int ClassCount = 15; // 64 KB << 14 = 1 GB, Layout.MaxStackLimit.
    private const nint KeptResident = 64 * 1024;

    private static ShortLock s_lock;
    private static nint* s_free;
    private static int* s_count;

    internal static void Initialize()
    {
        nint memory = Os.Reserve(Os.PageSize);
        Check.Always(memory > 0, "stacks: no memory for the pools"u8);
        s_free = (nint*)memory;
        s_count = (int*)(s_free + ClassCount);
    }

    /// <summary>Takes a stack of a class's size. Returns its low address, or -errno.</summary>
    internal static nint Take(nint size)
    {
        int k = ClassOf(size);
        s_lock.Enter();
        nint high = s_free[k];
        if (high != 0)
        {
            s_free[k] = *NodeOf(high);
            s_count[k]--;
        }
        s_lock.Exit();
        return high != 0 ? high - size : Make(size);
    }

    /// <summary>Gives a stack back. Pages beyond what is worth keeping go to the system.</summary>
    internal static void Give(nint low, nint size)
    {
        int k = ClassOf(size);
        nint high = low + size;
        nint keep = Volatile.Read(ref s_count[k]) < Layout.FixedStacksKept ? KeptResident : Os.PageSize;
        if (size > keep)
        {
            _ = Os.Discard(low, size - keep);
        }
        s_lock.Enter();
        *NodeOf(high) = s_free[k];
        s_free[k] = high;
        s_count[k]++;
        s_lock.Exit();
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
        int k = StackSizes.ClassOf(size);
        Check.Always(k < ClassCount, "stacks: larger than any class"u8);
        return k;
    }

    private static nint* NodeOf(nint high) => (nint*)(high - Layout.CacheLine);
}
