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
// Beyond the first ones, which are as many as OwnPages, there are too many to have a page each. Homes whose
// addresses are equal in the low 32 bits, 4 GB apart, make a column, and share the page of the first of them,
// in which nobody lives:
//
//   plane 0   [ own pages of the first homes )[ shared page ][ shared page ] ...
//   plane 1                                   [ home        ][ home        ] ...   its own page, where it
//   ...                                                                            has to: mostly nothing
//   plane 31                                  [ home        ][ home        ] ...
//
// A goroutine with such a home runs in its column's page, if nobody else is there, and takes its stack out of
// it when it parks (StackStore.cs). What cannot be taken out stays, and the others of the column use their
// own pages meanwhile. A stack moves between the two by whole planes, as it does when it grows. Nobody ever
// waits for a page.
//
// Guards are installed a chunk of homes at a time, and pages given back a chunk at a time: one system call
// for hundreds. With guards by protection each costs two mappings, and there are no more homes than that
// leaves room for (Os.LimitProtected).
//
// Core dumps have what was guarded, and of the places to grow to what was used: the kernel looks for every
// page of what it dumps, which takes half an hour for the whole reservation.
//
// Rejected: a home from the start. Whoever starts a million before the first one runs would fill a million
// pages.
// Locks: s_lock guards the pool. Never taken in a signal handler.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class Homes
{
    /// <summary>From one to the next.</summary>
    internal const nint Size = 2 * Os.PageSize;

    /// <summary>What is left free above a stack, at most.</summary>
    internal const nint MostAbove = (Colors - 1) * Layout.CacheLine;

    private const nint Colors = 16;
    private const nint CapacityWanted = 16 * 1024 * 1024;
    private const nint CapacityLeast = 16;
    private const nint CapacityUnlimited = 8 * 1024;
    private const int ShareOfLimit = 2;
    private const int HomesReturnedAtOnce = 256;
    private const int ChunksInUse = 3; // Of columns, when goroutines are started in a row.
    private const nint Columns = (nint)((1L << 32) / Size);
    private const nint Planes = CapacityWanted / Columns;
    private const nint PerColumn = Planes - 1; // Nobody lives in the shared page.

    // Of a page, in s_states, where some are shared.
    private const byte Taken = 1;    // A shared one: a stack is in it.
    private const byte Guarded = 2;  // A home of a column: it has been used.
    private const byte Vacant = 4;   // A first home: its goroutine's stack is stored.

    private static ShortLock s_lock;
    private static SlotPool s_pool;
    private static SlotPool s_sharing;
    private static nint s_base;
    private static nint s_ownPages;
    private static nint s_guarded; // Of plane 0.
    private static nint* s_guardBuffer;
    private static byte* s_states;
    private static int* s_tenants; // Numbers of the goroutines who live, or lived last, in the first homes.

    /// <summary>How many free ones a processor keeps: none where there are few.</summary>
    internal static int FreePerProcessor { get; private set; }

    /// <summary>Whether there are homes that share pages: not where address space is limited, or guards are
    /// by protection.</summary>
    internal static bool AreShared { get; private set; }

    /// <summary>From how many on homes share pages; what there may be at all, where address space is limited.
    /// </summary>
    internal static nint OwnPages
    {
        get => s_ownPages == 0 ? Layout.HomesLimit : s_ownPages;
        set => s_ownPages = value;
    }

    /// <summary>Free homes whose pages still hold memory. For tests.</summary>
    internal static nint FreeResident => s_pool.FreeResident + s_sharing.FreeResident;

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is
    /// read.</summary>
    internal static bool HasTooMany => s_pool.HasTooMany || s_sharing.HasTooMany;

    /// <summary>Reserves the range, and says for how many goroutines there are homes, wherever processors
    /// keep some.</summary>
    /// <param name="mappings">How many mappings guards may make, where they cost any.</param>
    internal static nint Initialize(long mappings)
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
        Os.ChooseGuards(address);
        GrownStacks.Initialize(address, capacity);
        s_guardBuffer = (nint*)AddressSpace.Need(Layout.HomesPerChunk * 2 * sizeof(nint));
        AreShared = capacity == CapacityWanted && !Os.GuardByProtection && OwnPages < Columns;
        nint usable = AreShared ? OwnPages
            : Os.GuardByProtection ? (nint)Math.Min(mappings / Os.MappingsPerGuard, capacity)
            : capacity;
        s_ownPages = usable;
        s_pool = new SlotPool(usable, Layout.HomesPerChunk, Layout.FreePagesKept);
        if (AreShared)
        {
            usable += (Columns - OwnPages) / Layout.ColumnsPerChunk * SharingPerChunk;
            s_sharing = new SlotPool(usable - OwnPages, SharingPerChunk, Layout.FreePagesKept * PerColumn);
            s_states = (byte*)AddressSpace.Need(capacity);
            s_tenants = (int*)AddressSpace.Need(OwnPages * sizeof(int));
        }
        FreePerProcessor = (int)Math.Min(usable / (16 * Layout.MaxProcessors), Layout.FreeHomesPerProcessor);
        return usable - (FreePerProcessor * Layout.MaxProcessors);
    }

    // Of homes that share pages as many at once as fill some columns.
    private const int SharingPerChunk = Layout.ColumnsPerChunk * (int)PerColumn;

    /// <summary>Whether it shares a page.</summary>
    internal static bool IsSharing(int home) => home >= Columns;

    /// <summary>The first byte of its own page.</summary>
    internal static nint LowOf(int home) => s_base + (home * Size) + Os.PageSize;

    /// <summary>One past the highest byte of a stack in its own page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nint HighOf(int home) => s_base + ((home + 1) * Size) - Above(home);

    /// <summary>How many bytes are left free above the stacks of that home, wherever they are.</summary>
    internal static nint Above(int home) => (home & (Colors - 1)) * Layout.CacheLine;

    /// <summary>Makes room for a stack that begins, or comes back: in the page that the home shares, if it
    /// does and nobody is there, or in its own. Where that is: one past the highest byte.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static nint Enter(int home) => IsSharing(home) ? EnterSharing(home) : HighOf(home);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint EnterSharing(int home)
    {
        int page = PageOf(home);
        return Interlocked.CompareExchange(ref s_states[page], Taken, 0) == 0
            ? HighOf(page)
            : EnterOwn(home);
    }

    /// <summary>The same in its own page. Raw code.</summary>
    internal static nint EnterOwn(int home)
    {
        if (IsSharing(home) && s_states[home] == 0)
        {
            s_states[home] = Guarded;
            nint error = Os.Guard(LowOf(home) - Os.PageSize, Os.PageSize);
            Check.Always(error == 0, "homes: no memory for a guard"u8);
        }
        return HighOf(home);
    }

    /// <summary>The stack that was in [.., high) of one of the home's pages is gone. Raw code; in a signal
    /// handler.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Leave(int home, nint high)
    {
        if (IsSharing(home))
        {
            LeaveSharing(home, high);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveSharing(int home, nint high)
    {
        int page = PageOf(home);
        if (high == HighOf(page))
        {
            Volatile.Write(ref s_states[page], 0); // Pairs with the exchange in Enter.
        }
        else if (high == HighOf(home))
        {
            _ = Os.Discard(LowOf(home), Os.PageSize);
        }
    }

    /// <summary>Notes who starts in a home, for <see cref="TenantOf"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void SetTenant(int home, nint number)
    {
        if (AreShared && home < s_ownPages)
        {
            s_tenants[home] = (int)number;
        }
    }

    /// <summary>The number of the goroutine that was the last one to start in one of the first homes, or -1
    /// where its stack is not there.</summary>
    internal static nint TenantOf(nint home) =>
        (Volatile.Read(ref s_states[home]) & Vacant) != 0 ? -1 : s_tenants[home];

    /// <summary>The stack of who lives in one of the first homes is stored, or has come back. Raw
    /// code.</summary>
    internal static void SetVacant(int home, bool value) => s_states[home] = value ? Vacant : (byte)0;

    /// <summary>How many of the first homes have been used, if some of them share pages and many of the first
    /// have somebody now: else 0. A guess.</summary>
    internal static nint Many =>
        AreShared && s_pool.Capacity - s_pool.Left > Layout.ManyHomes ? s_pool.Carved : 0;

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
                error = GuardChunk(s_pool.Capacity);
                if (error < 0)
                {
                    break;
                }
            }
            into[taken++] = (int)s_pool.Take();
        }
        while (taken < count && s_pool.Left == 0 && s_sharing.Left > 0)
        {
            if (s_sharing.IsNextNew && PageOf(HomeOf(s_sharing.Carved)) >= s_guarded)
            {
                error = GuardChunk(Columns);
                if (error < 0)
                {
                    break;
                }
            }
            if (s_sharing.IsNextNew && s_sharing.Carved % SharingPerChunk == 0)
            {
                LeaveBehind((s_sharing.Carved / SharingPerChunk) - ChunksInUse);
            }
            into[taken++] = HomeOf(s_sharing.Take());
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
            if (IsSharing(from[i]))
            {
                s_sharing.Give(NumberOf(from[i]));
            }
            else
            {
                s_pool.Give(from[i]);
            }
        }
        s_lock.Exit();
    }

    /// <summary>Whether homes that share no page are free: who keeps one of the others gives it back
    /// then. Stale as soon as it is read.</summary>
    internal static bool HasOwnPagesLeft => s_pool.LooksFree;

    /// <summary>Gives a megabyte of pages back to the system, if there are too many. Takes about 0.3 ms, in
    /// which nobody else gets a page.</summary>
    internal static void ReturnSome()
    {
        for (int homes = 0; homes < HomesReturnedAtOnce && s_pool.HasTooMany; homes += Layout.HomesPerChunk)
        {
            s_lock.Enter();
            if (s_pool.HasTooMany)
            {
                // The guards lie within; giving pages back does not remove them.
                _ = Os.Discard(s_base + (s_pool.TakeWhole() * Size), Layout.HomesPerChunk * Size);
            }
            s_lock.Exit();
        }
        s_lock.Enter();
        if (s_sharing.HasTooMany)
        {
            // Of whole columns, nobody of which has a stack.
            int page = PageOf(HomeOf(s_sharing.TakeWhole()));
            _ = Os.Discard(s_base + (page * Size), Layout.ColumnsPerChunk * Size);
        }
        s_lock.Exit();
    }

    /// <summary>The pages that some columns share have served their goroutines, who started one after the
    /// other and wait by now: they go back to the system. Where one is in use, none do.</summary>
    private static void LeaveBehind(nint chunk)
    {
        if (chunk < 0)
        {
            return;
        }
        nint first = OwnPages + (chunk * Layout.ColumnsPerChunk);
        nint taken = 0;
        while (taken < Layout.ColumnsPerChunk
            && Interlocked.CompareExchange(ref s_states[first + taken], Taken, 0) == 0)
        {
            taken++;
        }
        if (taken == Layout.ColumnsPerChunk)
        {
            _ = Os.Discard(s_base + (first * Size), Layout.ColumnsPerChunk * Size);
        }
        while (taken > 0)
        {
            Volatile.Write(ref s_states[first + --taken], 0); // As Leave.
        }
    }

    // Homes that share pages have numbers of their own: row by row of some columns. Who runs next is often
    // the one that was started next, and enters before the one that stops has left.

    private static int HomeOf(nint number)
    {
        nint within = number % SharingPerChunk;
        nint column = (number / SharingPerChunk * Layout.ColumnsPerChunk) + (within % Layout.ColumnsPerChunk);
        return (int)(OwnPages + column + (((within / Layout.ColumnsPerChunk) + 1) * Columns));
    }

    private static nint NumberOf(int home)
    {
        nint column = PageOf(home) - OwnPages;
        nint row = (home / Columns) - 1;
        return (column / Layout.ColumnsPerChunk * SharingPerChunk) + (row * Layout.ColumnsPerChunk)
            + (column % Layout.ColumnsPerChunk);
    }

    private static int PageOf(int home) => (int)(home & (Columns - 1));

    /// <summary>Some more of plane 0.</summary>
    private static nint GuardChunk(nint most)
    {
        nint end = Math.Min(s_guarded + Layout.HomesPerChunk, most);
        // First: the part in use is one mapping and the rest another, while nothing of the rest was touched.
        Os.IncludeInDumps(s_base + (s_guarded * Size), (end - s_guarded) * Size);
        nint error = Os.GuardEach(
            s_base + (s_guarded * Size), Os.PageSize, Size, (int)(end - s_guarded), s_guardBuffer);
        s_guarded = error < 0 ? s_guarded : end;
        return error;
    }
}
