// Where stacks start: one reserved range of 8 KB places, each a guard page and a page of stack. A goroutine
// gets one when it first runs, and has it until it ends. It is its home: where it grows to follows from it,
// and it may come back (GrownStacks.cs, StackReturn.cs).
//
//   base -> [guard][page 0][guard][page 1][guard][page 2] ... up to the capacity
//            home 0         home 1         home 2
//
//   page    [ low ........................... <- sp ] high [ nothing, 64 B x (number mod 16) ]
//
// What is given back last is taken first, by the processor where that was: a goroutine that ends without
// waiting leaves a warm page to the next one, and a hundred thousand of them in a row use one. The tops are
// staggered: else the newest part of each stack would lie in the same few sets of the cache.
//
// Behind the homes, in the same reservation, are the places that stacks grow to.
//
// Guards are installed a chunk of homes at a time, and pages given back a chunk at a time: one system call
// for hundreds. With guards by protection each costs two of the mappings that the kernel allows; part of them
// is left to everybody else, who would fail without a message. There are fewer goroutines then.
//
// Core dumps have what was guarded, and of the places to grow to what was used: the kernel looks for every
// page of what it dumps, which takes half an hour for the whole reservation.
//
// Rejected: a home from the start. Whoever starts a million before the first one runs would fill a million
// pages.
// Locks: s_lock guards the pool. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class Homes
{
    /// <summary>From one to the next.</summary>
    internal const nint Size = 2 * Os.PageSize;

    /// <summary>What is left free above a stack, at most.</summary>
    internal const nint MostAbove = (Colors - 1) * Layout.CacheLine;

    internal const int None = -1;

    private const nint Colors = 16;
    private const nint CapacityWanted = 16 * 1024 * 1024;
    private const nint CapacityLeast = 16;
    private const nint CapacityUnlimited = 8 * 1024;
    private const int ShareOfLimit = 2;
    private const long MappingsLeft = 8 * 1024;
    private const int HomesReturnedAtOnce = 256;

    private static ShortLock s_lock;
    private static SlotPool s_pool;
    private static nint s_base;
    private static nint s_guarded;
    private static nint* s_guardBuffer;

    /// <summary>How many free ones a processor keeps: none where there are few.</summary>
    internal static int FreePerProcessor { get; private set; }

    /// <summary>Free pages that still hold memory. For tests.</summary>
    internal static nint FreeResident => s_pool.FreeResident;

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is
    /// read.</summary>
    internal static bool HasTooMany => s_pool.HasTooMany;

    /// <summary>Reserves the range, and says for how many goroutines there are homes, wherever processors
    /// keep some.</summary>
    internal static nint Initialize(long mappingLimit)
    {
        AddressSpace.Prepare();
        nint share = AddressSpace.Share(ShareOfLimit);
        nint capacity = CapacityWanted;
        nint address = 0;
        while (address <= 0 && capacity >= CapacityLeast)
        {
            // Few homes: those who grow have one size to grow to, the one that native code needs.
            GrownStacks.ChooseSizes(few: capacity <= CapacityUnlimited);
            nint bytes = (capacity * Size) + GrownStacks.BytesFor(capacity);
            address = bytes <= share ? Os.Reserve(bytes) : 0;
            capacity = address > 0 ? capacity : capacity / 2;
        }
        if (address <= 0)
        {
            throw new InsufficientMemoryException(
                "No address space for goroutines, which need 17 MB at least: raise ulimit -v.");
        }
        Os.LeaveOutOfDumps(address, (capacity * Size) + GrownStacks.BytesFor(capacity));
        s_base = address;
        GrownStacks.Initialize(address, capacity);
        nint usable = Os.GuardByProtection
            ? (nint)Math.Clamp((mappingLimit - MappingsLeft) / 2, 0, capacity)
            : capacity;
        s_pool = new SlotPool(usable, Layout.HomesPerChunk, Layout.FreePagesKept);
        s_guardBuffer = (nint*)AddressSpace.Need(Layout.HomesPerChunk * 2 * sizeof(nint));
        FreePerProcessor = (int)Math.Min(usable / (16 * Layout.MaxProcessors), Layout.FreeHomesPerProcessor);
        return usable - (FreePerProcessor * Layout.MaxProcessors);
    }

    /// <summary>The first byte of the page.</summary>
    internal static nint LowOf(int home) => s_base + (home * Size) + Os.PageSize;

    /// <summary>One past the stack's highest byte.</summary>
    internal static nint HighOf(int home) => s_base + ((home + 1) * Size) - Above(home);

    /// <summary>How many bytes are left free above the stacks of that home, wherever they are.</summary>
    internal static nint Above(int home) => (home & (Colors - 1)) * Layout.CacheLine;

    /// <summary>Takes up to count homes into the array, and says how many: at least one, or -errno.</summary>
    internal static nint Take(int* into, int count)
    {
        nint taken = 0;
        nint error = -Os.NoMemory;
        s_lock.Enter();
        while (taken < count && s_pool.Left > 0)
        {
            if (s_pool.IsNextNew && s_pool.Carved == s_guarded)
            {
                error = GuardChunk();
                if (error < 0)
                {
                    break;
                }
            }
            into[taken++] = (int)s_pool.Take();
        }
        s_lock.Exit();
        return taken > 0 ? taken : error;
    }

    /// <summary>Gives back homes that nobody's stack is in.</summary>
    internal static void Give(int* from, int count)
    {
        s_lock.Enter();
        for (int i = 0; i < count; i++)
        {
            s_pool.Give(from[i]);
        }
        s_lock.Exit();
    }

    /// <summary>Gives a megabyte of pages back to the system, if there are too many. Takes about 0.3 ms, in
    /// which nobody else gets a page.</summary>
    internal static void ReturnSome()
    {
        for (int homes = 0; homes < HomesReturnedAtOnce && HasTooMany; homes += Layout.HomesPerChunk)
        {
            s_lock.Enter();
            if (HasTooMany)
            {
                // The guards lie within; giving pages back does not remove them.
                _ = Os.Discard(s_base + (s_pool.TakeWhole() * Size), Layout.HomesPerChunk * Size);
            }
            s_lock.Exit();
        }
    }

    private static nint GuardChunk()
    {
        nint end = Math.Min(s_guarded + Layout.HomesPerChunk, s_pool.Capacity);
        // First: the part in use is one mapping and the rest another, while nothing of the rest was touched.
        Os.IncludeInDumps(s_base + (s_guarded * Size), (end - s_guarded) * Size);
        nint error = Os.GuardEach(
            s_base + (s_guarded * Size), Os.PageSize, Size, (int)(end - s_guarded), s_guardBuffer);
        s_guarded = error < 0 ? s_guarded : end;
        return error;
    }
}
