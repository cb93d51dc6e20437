// Stacks that never move: address space reserved up front, a guard below, pages committed by the kernel on
// first touch. A power of two, kept for the next of the same size.
//
//   [ guard, 64 KB ][ low ............................. high )[ guard ][ low ...... high ) ...
//
// The guard is wide because C code is not compiled to touch its stack page by page: a frame of some
// kilobytes would jump over one page, and write to what lies below. Stacks of the usual sizes are cut from
// pieces that hold many: one mapping, and one system call for all their guards, so that a million of them fit
// under vm.max_map_count.
//
// A free one's top page holds the link to the next. Up to Layout.FixedStacksKept of a size keep what they
// had, if that is not much; the pages of others go to the system. Each processor has some more of the usual
// size for itself, without a lock, and keeps them when it is retired.
//
// Rejected: giving the lower pages of each back. Nobody knows whether any was touched, and asking the kernel
// for each goroutine that ends costs more than the goroutine.
// Locks: s_lock guards everything; a leaf. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class FixedStacks
{
    /// <summary>Bytes below a stack that fault.</summary>
    internal const nint GuardSize = 64 * 1024;

    private const int ClassCount = 15; // 64 KB << 14 = 1 GB, Layout.MaxStackLimit.
    private const nint KeptWhole = 256 * 1024;
    private const nint PieceSize = 16 * 1024 * 1024;
    private const int MostInPiece = 128;

    private static ShortLock s_lock;
    private static nint* s_free;
    private static nint* s_next; // What is left of the last piece: its first slot, and the end.
    private static nint* s_end;
    private static nint* s_guardBuffer;
    private static int* s_count;

    internal static void Initialize()
    {
        nint memory = AddressSpace.Need(Os.PageSize);
        s_free = (nint*)memory;
        s_next = s_free + ClassCount;
        s_end = s_next + ClassCount;
        s_guardBuffer = s_end + ClassCount;
        s_count = (int*)(s_guardBuffer + (2 * MostInPiece));
        nint end = (nint)(s_count + ClassCount);
        Check.Always(end <= memory + Os.PageSize, "stacks: the pools' page is full"u8);
    }

    /// <summary>Takes a stack of a class's size. Returns its low address, or -errno.</summary>
    internal static nint Take(nint size)
    {
        int k = ClassOf(size);
        s_lock.Enter();
        nint high = s_free[k];
        nint low;
        if (high != 0)
        {
            s_free[k] = *NodeOf(high);
            s_count[k]--;
            low = high - size;
        }
        else
        {
            low = Carve(k, size);
        }
        s_lock.Exit();
        return low;
    }

    /// <summary>Takes a stack that p has kept; 0 where it has none of that size. On the machine that holds
    /// p.</summary>
    internal static nint TakeKept(Processor* p, nint size)
    {
        nint high = p->FreeStacks;
        if (high == 0 || size != Layout.FixedStackDefault)
        {
            return 0;
        }
        p->FreeStacks = *NodeOf(high);
        p->FreeStackCount--;
        return high - size;
    }

    /// <summary>Gives a stack back: to p, on the machine that holds it, or to all.</summary>
    internal static void Give(Processor* p, nint low, nint size)
    {
        if (size != Layout.FixedStackDefault || p->FreeStackCount == Layout.FixedStacksPerProcessor)
        {
            Give(low, size);
            return;
        }
        *NodeOf(low + size) = p->FreeStacks;
        p->FreeStacks = low + size;
        p->FreeStackCount++;
    }

    /// <summary>Gives a stack back.</summary>
    internal static void Give(nint low, nint size)
    {
        int k = ClassOf(size);
        nint high = low + size;
        bool keep = Volatile.Read(ref s_count[k]) < Layout.FixedStacksKept;
        nint kept = keep ? KeptWhole : Os.PageSize;
        if (size > kept)
        {
            _ = Os.Discard(low, size - kept);
        }
        s_lock.Enter();
        *NodeOf(high) = s_free[k];
        s_free[k] = high;
        s_count[k]++;
        s_lock.Exit();
    }

    /// <summary>Cuts a stack off the piece, or off a new one. Under the lock.</summary>
    private static nint Carve(int k, nint size)
    {
        nint stride = GuardSize + size;
        if (s_next[k] == s_end[k])
        {
            int count = (int)Math.Clamp(PieceSize / stride, 1, MostInPiece);
            nint piece = Os.Reserve(count * stride);
            if (piece <= 0)
            {
                return piece;
            }
            nint error = Os.GuardEach(piece, GuardSize, stride, count, s_guardBuffer);
            if (error < 0)
            {
                _ = Os.Release(piece, count * stride);
                return error;
            }
            s_next[k] = piece;
            s_end[k] = piece + (count * stride);
        }
        nint slot = s_next[k];
        s_next[k] = slot + stride;
        return slot + GuardSize;
    }

    private static int ClassOf(nint size)
    {
        int k = StackSizes.ClassOf(size);
        Check.Always(k < ClassCount, "stacks: larger than any class"u8);
        return k;
    }

    private static nint* NodeOf(nint high) => (nint*)(high - Layout.CacheLine);
}
