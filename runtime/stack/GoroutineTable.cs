// Where control blocks live: one reserved range, 256 bytes for each goroutine, side by side.
//
//   base -> [ 0 ][ 1 ][ 2 ] ...    a block never moves, and is 4 lines of the cache (core/Goroutine.cs)
//   ages -> [0][3][4] ...          a byte for each (core/GcAges.cs)
//   grown -> [0][0][1] ...         the same: whether its stack is a grown one (StackReturn.cs)
//
// Dense, so that a collection, a spawn and a wake-up of many go through memory in a row; what a goroutine
// that has not run yet costs is its block. The first chunk has pages of the usual size, for a small program;
// further ones are huge pages where the system has them. What few goroutines need lies elsewhere
// (GoroutineExtras.cs).
//
// A block that was given back to the system reads as zeros: a dead goroutine.
//
// Rejected: the block above its first stack in the same page. All blocks then lie at one offset of a page,
// which uses one of sixteen sets of the cache, and one that has ended keeps its page. An arena table with a
// lock-free lookup: one range makes "which number" a subtraction, and address space is free.
// Locks: s_lock guards the pool. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class GoroutineTable
{
    private const nint MostKeptForThreads = 64;

    private static ShortLock s_lock;
    private static SlotPool s_pool;
    private static nint s_base;
    private static byte* s_ages;
    private static byte* s_grown;
    private static int s_grownCount;
    private static nint s_keptForThreads;
    private static nint s_prepared; // Blocks below it are in core dumps, and of huge pages.

    /// <summary>How many dead ones a processor keeps: few where there are few.</summary>
    internal static int FreePerProcessor { get; private set; }

    /// <summary>How many goroutines there may be.</summary>
    internal static nint Capacity => s_pool.Capacity;

    /// <summary>How many blocks have ever been used. Read by the collector's hook while all managed threads
    /// are stopped.</summary>
    internal static nint Carved => s_pool.Carved;

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is
    /// read.</summary>
    internal static bool HasTooMany => s_pool.HasTooMany;

    /// <summary>A byte for each block.</summary>
    internal static byte* Ages => s_ages;

    /// <summary>How many of them a collection looks at in any case. A guess, for sysmon.</summary>
    internal static long CountOfUnknownAge =>
        new ReadOnlySpan<byte>(s_ages, (int)Carved).Count(GcAges.Unknown);

    /// <summary>A byte for each block: 1 where it is a movable goroutine's whose stack has grown.</summary>
    internal static byte* Grown => s_grown;

    /// <summary>How many that is. Stale as soon as it is read.</summary>
    internal static int GrownCount => Volatile.Read(ref s_grownCount);

    /// <summary>Reserves the range.</summary>
    internal static void Initialize(nint capacity)
    {
        nint bytes = capacity * Goroutine.Size;
        nint address = AddressSpace.Need(bytes + Os.HugePageSize);
        Os.LeaveOutOfDumps(address, bytes + Os.HugePageSize);
        s_base = (address + Os.HugePageSize - 1) & -Os.HugePageSize;
        s_ages = (byte*)AddressSpace.Need(capacity + Layout.CacheLine);
        s_grown = (byte*)AddressSpace.Need(capacity + Layout.CacheLine);
        s_pool = new SlotPool(capacity, Layout.BlocksPerChunk, Layout.FreeBlocksKept);
        s_keptForThreads = Math.Min(capacity / 4, MostKeptForThreads);
        FreePerProcessor = (int)Math.Clamp(capacity / 64, 2, Layout.FreeGoroutinesPerProcessor);
        GcAges.Initialize((nint)s_ages, At(0));
        TellDebugger();
    }

    /// <summary>Where native/weft-gdb.py finds the blocks. A static of this kind never moves.</summary>
    private static void TellDebugger()
    {
        nint* table = (nint*)Switch.Layout()[RuntimeThread.FirstAddress + RuntimeThread.DebuggerTable];
        table[1] = s_base;
        fixed (SlotPool* pool = &s_pool)
        {
            table[2] = SlotPool.AddressOfCarved(pool);
        }
    }

    internal static Goroutine* At(nint number) => (Goroutine*)(s_base + (number * Goroutine.Size));

    internal static nint NumberOf(Goroutine* g) => ((nint)g - s_base) / Goroutine.Size;

    /// <summary>The goroutine with that number, or null where that is dead: its memory is not looked at if
    /// its age says so. Raw code.</summary>
    internal static Goroutine* AliveAt(nint number)
    {
        Goroutine* g = s_ages[number] == GcAges.Dead ? null : At(number);
        return g == null || g->State == GoroutineState.Dead ? null : g;
    }

    /// <summary>The stack of g, which is movable, has grown, or is gone. By who runs it or has just run it,
    /// or with the world stopped. Raw code; in a signal handler.</summary>
    internal static void SetGrown(Goroutine* g, bool value)
    {
        byte* grown = s_grown + NumberOf(g);
        if (*grown != (value ? 1 : 0))
        {
            *grown = (byte)(value ? 1 : 0);
            Interlocked.Add(ref s_grownCount, value ? 1 : -1);
        }
    }

    /// <summary>Takes up to count dead goroutines into the array, and says how many: at least one, or 0 when
    /// the range is used up. The last ones are for threads that wait.</summary>
    internal static int Take(Goroutine** into, int count, bool isStandIn = false)
    {
        nint kept = isStandIn ? 0 : s_keptForThreads;
        int taken = 0;
        s_lock.Enter();
        for (; taken < count && s_pool.Left > kept; taken++)
        {
            into[taken] = At(s_pool.Take());
        }
        if (s_pool.Carved > s_prepared)
        {
            PrepareChunk();
        }
        s_lock.Exit();
        return taken;
    }

    /// <summary>Gives back dead goroutines.</summary>
    internal static void Give(Goroutine** from, int count)
    {
        s_lock.Enter();
        for (int i = 0; i < count; i++)
        {
            Check.Debug(from[i]->State == GoroutineState.Dead, "table: a goroutine is not dead"u8);
            s_pool.Give(NumberOf(from[i]));
        }
        s_lock.Exit();
    }

    /// <summary>Gives a chunk of blocks back to the system, if there are too many.</summary>
    internal static void ReturnSome()
    {
        s_lock.Enter();
        if (s_pool.HasTooMany)
        {
            nint first = s_pool.TakeWhole();
            // Before the memory goes: a collection between the steps finds dead ones either way.
            new Span<byte>(s_ages + first, Layout.BlocksPerChunk).Fill(GcAges.Dead);
            _ = Os.Discard((nint)At(first), Layout.BlocksPerChunk * Goroutine.Size);
        }
        s_lock.Exit();
    }

    /// <summary>The next chunks, before they are written to. Under the lock.</summary>
    private static void PrepareChunk()
    {
        nint from = s_prepared;
        nint chunks = (s_pool.Carved + Layout.BlocksPerChunk - 1) / Layout.BlocksPerChunk;
        s_prepared = Math.Min(chunks * Layout.BlocksPerChunk, s_pool.Capacity);
        nint bytes = (s_prepared - from) * Goroutine.Size;
        Os.IncludeInDumps((nint)At(from), bytes);
        // A chunk that is less comes back as a part of one (trap dm).
        if (from > 0 && Layout.BlocksPerChunk * Goroutine.Size >= Os.HugePageSize)
        {
            Os.AllowHugePages((nint)At(from), bytes);
        }
    }
}
