// Where goroutines live: one reserved range of 8 KB slots, each a guard page and, above it, the page that
// holds a first stack and its control block (core/Goroutine.cs has the picture).
//
//   base -> [guard][page 0][guard][page 1][guard][page 2] ... up to the capacity
//            slot 0         slot 1         slot 2
//
// Behind the slots, in the same reservation, are the places that their stacks grow to (GrownStacks.cs).
//
// A slot is carved once and then goes round: processor's free list, global free list, a spawn. Guards are
// installed a chunk of slots at a time, and pages given back a chunk at a time: one system call for
// hundreds. Sysmon does that, bit by bit, for chunks all of whose slots are free, while more than
// Layout.FreePagesKept free pages are resident. A page given back is marked as not present, so that a
// collection does not touch it again.
//
// Core dumps have what was carved, and of the places to grow to what was used: the kernel looks for every
// page of what it dumps, which takes half an hour for the whole reservation.
//
// Rejected: an arena table with a lock-free lookup. One range makes "which slot is this" a subtraction,
// and address space is free. Giving a chunk back as its last slot becomes free: when a hundred thousand
// goroutines end, most chunks are complete only with the last of them, which all waited for the system.
// Locks: s_lock guards everything but the reads that say otherwise. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class GoroutinePages
{
    private const nint CapacityWanted = 16 * 1024 * 1024;
    private const nint CapacityLeast = 16;
    private const nint CapacityUnlimited = 8 * 1024;
    private const int ShareOfLimit = 2;
    private const nint MostKeptForThreads = 64;
    private const long MappingsLeft = 8 * 1024;
    private const int SlotsReturnedAtOnce = 256;
    private const ushort Returned = 0x8000; // All free, and its pages given back.

    private static ShortLock s_lock;
    private static nint s_base;
    private static nint s_capacity;
    private static nint s_keptForThreads;
    private static nint s_carved;
    private static nint s_guarded;
    private static nint s_protectedMost;
    private static byte* s_present;
    private static byte* s_ages;
    private static int* s_free;
    private static nint s_freeCount;
    private static nint s_freeResident;
    private static ushort* s_freeInChunk; // With Returned.
    private static nint s_wholeChunks;    // All free, and not returned.
    private static nint s_nextWhole;
    private static nint* s_guardBuffer;

    /// <summary>How many dead ones a processor keeps: few where there are few.</summary>
    internal static int FreePerProcessor { get; private set; }

    /// <summary>How many slots have ever been carved. Read by the collector's hook while all managed
    /// threads are stopped; slots below it are valid.</summary>
    internal static nint Carved => Volatile.Read(ref s_carved);

    /// <summary>Free pages that still hold memory. For tests.</summary>
    internal static nint FreeResident => Volatile.Read(ref s_freeResident);

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is
    /// read.</summary>
    internal static bool HasTooMany =>
        Volatile.Read(ref s_wholeChunks) > 0 && Volatile.Read(ref s_freeResident) > Layout.FreePagesKept;

    /// <summary>Reserves the range. With guards by protection each slot costs two of the mappings that the
    /// kernel allows; part of them is left to everybody else, who would fail without a message.</summary>
    internal static void Initialize(long mappingLimit)
    {
        AddressSpace.Prepare();
        nint share = AddressSpace.Share(ShareOfLimit);
        nint capacity = CapacityWanted;
        nint address = 0;
        while (address <= 0 && capacity >= CapacityLeast)
        {
            // Few slots: those who grow have one size to grow to, the one that native code needs.
            GrownStacks.ChooseSizes(few: capacity <= CapacityUnlimited);
            nint bytes = (capacity * Goroutine.SlotSize) + GrownStacks.BytesFor(capacity);
            address = bytes <= share ? Os.Reserve(bytes) : 0;
            capacity = address > 0 ? capacity : capacity / 2;
        }
        if (address <= 0)
        {
            throw new InsufficientMemoryException(
                "No address space for goroutines, which need 17 MB at least: raise ulimit -v.");
        }
        Os.LeaveOutOfDumps(address, (capacity * Goroutine.SlotSize) + GrownStacks.BytesFor(capacity));
        s_base = address;
        s_capacity = capacity;
        s_keptForThreads = Math.Min(capacity / 4, MostKeptForThreads);
        FreePerProcessor = (int)Math.Clamp(capacity / 64, 2, Layout.FreeGoroutinesPerProcessor);
        s_protectedMost = (nint)Math.Max(0, (mappingLimit - MappingsLeft) / 2);
        s_present = (byte*)AddressSpace.Need(capacity);
        s_ages = (byte*)AddressSpace.Need(capacity);
        GcAges.Initialize((nint)s_ages, At(0));
        s_free = (int*)AddressSpace.Need(capacity * sizeof(int));
        nint chunks = (capacity + Layout.SlotsPerChunk - 1) / Layout.SlotsPerChunk;
        s_freeInChunk = (ushort*)AddressSpace.Need(chunks * sizeof(ushort));
        s_guardBuffer = (nint*)AddressSpace.Need(Layout.SlotsPerChunk * 2 * sizeof(nint));
        GrownStacks.Initialize(address, capacity);
        TellDebugger();
    }

    /// <summary>Where native/weft-gdb.py finds the slots. A static of this kind never moves.</summary>
    private static void TellDebugger()
    {
        nint* table = (nint*)Switch.Layout()[RuntimeThread.FirstAddress + RuntimeThread.DebuggerTable];
        table[1] = s_base;
        fixed (nint* carved = &s_carved)
        {
            table[2] = (nint)carved;
        }
    }

    /// <summary>Whether the slot's page may hold something: false for those given back.</summary>
    internal static bool IsPresent(nint slot) => s_present[slot] != 0;

    /// <summary>A byte for each slot: core/GcAges.cs.</summary>
    internal static byte* Ages => s_ages;

    internal static Goroutine* At(nint slot) =>
        (Goroutine*)(s_base + (slot * Goroutine.SlotSize) + Os.PageSize + Goroutine.FirstStackSize);

    internal static nint SlotOf(Goroutine* g) => ((nint)g - s_base) / Goroutine.SlotSize;

    /// <summary>Takes up to <paramref name="count"/> dead goroutines, linked; at least one, or null when
    /// the range is used up or the kernel refuses another guard. The last ones are for threads that
    /// wait.</summary>
    internal static Goroutine* Take(int count, bool isStandIn = false)
    {
        Goroutine* list = null;
        nint kept = isStandIn ? 0 : s_keptForThreads;
        s_lock.Enter();
        for (int taken = 0; taken < count && s_freeCount + s_capacity - s_carved > kept; taken++)
        {
            nint slot = s_freeCount > 0 ? TakeFree() : Carve();
            if (slot < 0)
            {
                break;
            }
            Goroutine* g = At(slot);
            s_present[slot] = 1;
            g->Link = list;
            list = g;
        }
        s_lock.Exit();
        return list;
    }

    /// <summary>Gives back a linked list of dead goroutines, on their first stacks.</summary>
    internal static void Give(Goroutine* list)
    {
        s_lock.Enter();
        while (list != null)
        {
            Goroutine* next = list->Link;
            Check.Always(list->State == GoroutineState.Dead, "pages: a goroutine is not dead"u8);
            nint slot = SlotOf(list);
            s_free[s_freeCount++] = (int)slot;
            s_freeResident++;
            nint chunk = slot / Layout.SlotsPerChunk;
            if (++s_freeInChunk[chunk] == Layout.SlotsPerChunk)
            {
                s_wholeChunks++;
            }
            list = next;
        }
        s_lock.Exit();
    }

    private static nint TakeFree()
    {
        nint slot = s_free[--s_freeCount];
        nint chunk = slot / Layout.SlotsPerChunk;
        if (s_freeInChunk[chunk] == Layout.SlotsPerChunk)
        {
            s_wholeChunks--;
        }
        s_freeInChunk[chunk] = (ushort)((s_freeInChunk[chunk] & ~Returned) - 1);
        s_freeResident -= s_present[slot];
        return slot;
    }

    /// <summary>Gives a megabyte of pages back to the system, if there are too many. Takes about 0.3 ms, in
    /// which nobody else gets a page.</summary>
    internal static void ReturnSome()
    {
        for (int slots = 0; slots < SlotsReturnedAtOnce && HasTooMany; slots += Layout.SlotsPerChunk)
        {
            s_lock.Enter();
            if (HasTooMany)
            {
                DiscardChunk(NextWhole());
            }
            s_lock.Exit();
        }
    }

    /// <summary>There is one: it is counted.</summary>
    private static nint NextWhole()
    {
        nint chunks = s_guarded / Layout.SlotsPerChunk;
        do
        {
            s_nextWhole = s_nextWhole + 1 < chunks ? s_nextWhole + 1 : 0;
        }
        while (s_freeInChunk[s_nextWhole] != Layout.SlotsPerChunk);
        return s_nextWhole;
    }

    /// <summary>All of its slots are free. A dead page is all zero to its next owner. Present goes first: a
    /// collection between the steps finds dead ones either way.</summary>
    private static void DiscardChunk(nint chunk)
    {
        s_wholeChunks--;
        s_freeInChunk[chunk] |= Returned;
        nint first = chunk * Layout.SlotsPerChunk;
        for (nint slot = first; slot < first + Layout.SlotsPerChunk; slot++)
        {
            s_freeResident -= s_present[slot];
            s_present[slot] = 0;
        }
        // The guards lie within; giving pages back does not remove them.
        _ = Os.Discard(s_base + (first * Goroutine.SlotSize), Layout.SlotsPerChunk * Goroutine.SlotSize);
    }

    /// <summary>A new slot, guard installed; -1 when there is none.</summary>
    private static nint Carve()
    {
        Check.Debug(s_lock.IsHeld, "pages: carve without the lock"u8);
        nint slot = s_carved;
        if (slot == s_guarded && !GuardChunk())
        {
            return -1;
        }
        // The page is not read here: a read before the first write would cost a second page fault.
        Volatile.Write(ref s_carved, slot + 1);
        return slot;
    }

    private static bool GuardChunk()
    {
        nint end = Math.Min(s_guarded + Layout.SlotsPerChunk, s_capacity);
        if (end == s_guarded || (Os.GuardByProtection && end > s_protectedMost))
        {
            return false;
        }
        // First: the part in use is one mapping and the rest another, while nothing of the rest was touched.
        Os.IncludeInDumps(s_base + (s_guarded * Goroutine.SlotSize), (end - s_guarded) * Goroutine.SlotSize);
        nint error = Os.GuardEach(
            s_base + (s_guarded * Goroutine.SlotSize), Os.PageSize, Goroutine.SlotSize,
            (int)(end - s_guarded), s_guardBuffer);
        if (error < 0)
        {
            return false;
        }
        s_guarded = end;
        return true;
    }
}
