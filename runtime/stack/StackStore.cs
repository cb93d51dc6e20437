// Where parked stacks are that share a page (Homes.cs), or have waited for long (StackReturn.cs): copied out,
// one close to the next, as long as they wait.
//
//   the page     [ low ............ <- sp | frames ] high       the next goroutine's, when they are out
//   store        [ frames ][ frames ][ frames ] ... [ rest ]    128 to 2,048 bytes; the addresses in them
//                                                               are those of the page
//
// Out goes who has just parked, on its own machine, after the switch and before anybody can see that it waits
// (Scheduler.Complete). In comes who is about to run (Scheduler.Settle), perhaps to another page of its
// column: then each word that is an address of the stack moves by whole planes, as when a stack grows. In
// between nothing but the collector and reports look at the frames, at Goroutine.Frames; and a peer that
// gives an element, by the slot of the waiter, which goes along.
//
// Not taken out, and left where they are: stacks with native frames, or with an exception in flight, or
// frames registered with the collector, which hold addresses of their own; grown ones, at first; those with
// more than the largest size; whoever is locked to its thread. And none that was stopped in the middle of
// something: its registers may hold addresses of its thread.
//
// Copying is raw code, with collections shut out: they find a stack either here or there.
//
// A chunk is a huge page, and what no place fits into at its end is left: a page that two chunks share would
// stay when both go back, and the kernel makes a huge page of every 2 MB that have one page in them.
//
// Rejected: to take out the one that has waited longest. It would have to be kept from being woken meanwhile:
// a word that everyone exchanges who runs a goroutine, 1.2 ns a switch. Who is among the first ones never
// pays anything here; who is not pays some 30 ns for each wait.
// Locks: s_lock guards the pools; a leaf.

namespace Weft.Runtime;

internal static unsafe class StackStore
{
    private const int Classes = StackPlaces.Sizes;
    private const int Smallest = 128;
    private const int Grain = 32; // All sizes are multiples.

    /// <summary>The most bytes of a stack that is taken out.</summary>
    internal const int Largest = 2048;

    private static ShortLock s_lock;
    private static SlotPool* s_pools;
    private static nint* s_bases;
    private static nint* s_prepared;
    private static long s_stored;

    /// <summary>How often a stack was taken out. For tests; about.</summary>
    internal static long Stored => Volatile.Read(ref s_stored);

    /// <summary>For that many goroutines, and what processors keep.</summary>
    internal static void Initialize(nint goroutines)
    {
        nint capacity = goroutines + (2 * Layout.StoredPerProcessor * Layout.MaxProcessors);
        s_pools = (SlotPool*)AddressSpace.Need(Classes * sizeof(SlotPool));
        s_bases = (nint*)AddressSpace.Need(2 * Classes * sizeof(nint));
        s_prepared = s_bases + Classes;
        for (int k = 0; k < Classes; k++)
        {
            nint bytes = (capacity + ChunkOf(k) - 1) / ChunkOf(k) * Layout.StoreChunk;
            Check.Always(bytes / Grain <= int.MaxValue, "store: more places than there are numbers"u8);
            nint address = AddressSpace.Need(bytes + Os.HugePageSize);
            Os.LeaveOutOfDumps(address, bytes + Os.HugePageSize);
            s_bases[k] = (address + Os.HugePageSize - 1) & -Os.HugePageSize;
            s_pools[k] = new SlotPool(capacity, ChunkOf(k), Layout.FreePagesKept);
        }
    }

    /// <summary>Whether the stack of g, which has just left it to wait, is taken out.</summary>
    internal static bool Takes(Goroutine* g) =>
        g->Kind == GoroutineKind.Movable
        && g->StackHigh - g->Context.SavedSp <= Largest
        && !GrownStacks.IsGrown(g->StackLow, g->StackHigh)
        && g->Context.HasPlainFrames
        && g->Locked == 0;

    /// <summary>Takes it out, on the machine that holds p, where it has stopped and nobody knows
    /// yet.</summary>
    internal static void Out(Processor* p, Goroutine* g)
    {
        int k = ClassOf(g->StackHigh - g->Context.SavedSp);
        nint place = TakePlace(p, k);
        Switch.Uncollected((nint)(delegate*<Goroutine*, nint, nint>)&CopyOut, g, place);
        Homes.Leave(g->Home, g->StackHigh);
        s_stored++;
    }

    /// <summary>Brings it back: g is about to run on the machine that holds p.</summary>
    internal static void In(Processor* p, Goroutine* g)
    {
        nint place = g->Frames;
        int k = ClassOf(g->StackHigh - g->Context.SavedSp);
        if (!g->SharesPage)
        {
            Homes.SetVacant(g->Home, false);
        }
        Switch.Uncollected((nint)(delegate*<Goroutine*, nint, nint>)&CopyIn, g, Homes.Enter(g->Home));
        GivePlace(p, k, place);
    }

    /// <summary>Whether those below may be used, in a collection, the world stopped.</summary>
    internal static bool TryEnterStopped() => s_lock.TryEnterStopped();

    internal static void ExitStopped() => s_lock.Release();

    /// <summary>Takes out the grown stack of g, whose guard is there: its addresses are moved by that
    /// distance.</summary>
    internal static void OutStopped(Goroutine* g, nint guard, nint distance)
    {
        nint sp = g->Context.SavedSp;
        nint size = g->StackHigh - sp;
        int k = ClassOf(size);
        nint place = s_bases[k] + (TakeNew(k) * Grain);
        StackGrowth.Copy(sp, place, size, guard, g->StackHigh, distance);
        KeepAt(g, place);
        g->Context.SavedSp = sp + distance;
    }

    private static nint CopyOut(Goroutine* g, nint place)
    {
        nint sp = g->Context.SavedSp;
        StackGrowth.CopyWords(sp, place, g->StackHigh - sp);
        KeepAt(g, place);
        return 0;
    }

    /// <summary>What g has from the saved sp up is there now.</summary>
    private static void KeepAt(Goroutine* g, nint place)
    {
        StackGrowth.MoveSlot(g, g->Context.SavedSp, g->StackHigh, place - g->Context.SavedSp);
        g->Frames = place;
        g->IsStored = true;
        g->Machine = null; // Whoever runs it next comes to Settle.
    }

    private static nint CopyIn(Goroutine* g, nint high)
    {
        nint sp = g->Context.SavedSp;
        nint size = g->StackHigh - sp;
        nint distance = high - g->StackHigh; // Whole planes, or nothing.
        if (distance == 0)
        {
            StackGrowth.CopyWords(g->Frames, sp, size);
        }
        else
        {
            Check.Always((int)distance == 0, "store: a distance that changes low bytes"u8);
            StackGrowth.Copy(
                g->Frames, sp + distance, size, g->StackLow - Os.PageSize, g->StackHigh, distance);
            g->Context.SavedSp = sp + distance;
            g->StackLow += distance;
            g->StackHigh = high;
            g->Context.ReserveLow = g->StackLow;
        }
        g->IsStored = false;
        return 0;
    }

    // 128 to 640 by 32, 704 to 1,024 by 64, 1,152 to 2,048 by 128: 17, 6 and 8 classes.

    private static int SizeOf(int k) =>
        k < 17 ? Smallest + (32 * k) : k < 23 ? 704 + (64 * (k - 17)) : 1152 + (128 * (k - 23));

    private static int ClassOf(nint bytes)
    {
        Check.Debug(bytes is > 0 and <= Largest, "store: a size there is no class for"u8);
        return bytes <= Smallest ? 0
            : bytes <= 640 ? (int)(bytes - Smallest + 31) / 32
            : bytes <= 1024 ? 17 + ((int)(bytes - 704 + 63) / 64)
            : 23 + ((int)(bytes - 1152 + 127) / 128);
    }

    private static nint ChunkOf(int k) => Layout.StoreChunk / SizeOf(k);

    private static nint TakePlace(Processor* p, int k)
    {
        StackPlaces* kept = p->StackPlaces + k;
        if (kept->Count == 0)
        {
            s_lock.Enter();
            for (int i = 0; i < Layout.StoredPerProcessor; i++)
            {
                kept->Grains[kept->Count++] = (int)TakeNew(k);
            }
            s_lock.Exit();
        }
        return s_bases[k] + ((nint)kept->Grains[--kept->Count] * Grain);
    }

    /// <summary>One that may be written to: how many grains above the base. Under the lock.</summary>
    private static nint TakeNew(int k)
    {
        nint number = s_pools[k].Take();
        if (s_pools[k].Carved > s_prepared[k])
        {
            PrepareChunks(k);
        }
        nint chunk = number / ChunkOf(k);
        return ((chunk * Layout.StoreChunk) + ((number - (chunk * ChunkOf(k))) * SizeOf(k))) / Grain;
    }

    /// <summary>The place that far above the base is free. Under the lock.</summary>
    private static void Give(int k, nint grains)
    {
        nint chunk = grains * Grain / Layout.StoreChunk;
        nint within = (grains * Grain) - (chunk * Layout.StoreChunk);
        s_pools[k].Give((chunk * ChunkOf(k)) + (within / SizeOf(k)));
    }

    private static void GivePlace(Processor* p, int k, nint place)
    {
        StackPlaces* kept = p->StackPlaces + k;
        if (kept->Count == 2 * Layout.StoredPerProcessor)
        {
            s_lock.Enter();
            for (int i = 0; i < Layout.StoredPerProcessor; i++)
            {
                Give(k, kept->Grains[i]);
                kept->Grains[i] = kept->Grains[i + Layout.StoredPerProcessor];
            }
            s_lock.Exit();
            kept->Count = Layout.StoredPerProcessor;
        }
        kept->Grains[kept->Count++] = (int)((nuint)(place - s_bases[k]) / Grain);
    }

    /// <summary>As GoroutineTable.PrepareChunk.</summary>
    private static void PrepareChunks(int k)
    {
        nint from = s_prepared[k];
        nint chunk = ChunkOf(k);
        s_prepared[k] = (s_pools[k].Carved + chunk - 1) / chunk * chunk;
        nint low = s_bases[k] + (from / chunk * Layout.StoreChunk);
        nint high = s_bases[k] + (s_prepared[k] / chunk * Layout.StoreChunk);
        Os.IncludeInDumps(low, high - low);
        if (from > 0 && Layout.StoreChunk >= Os.HugePageSize)
        {
            Os.AllowHugePages(low, high - low);
        }
    }

    /// <summary>Whether <see cref="ReturnSome"/> has something to do. Stale as soon as it is
    /// read.</summary>
    internal static bool HasTooMany
    {
        get
        {
            bool any = false;
            for (int k = 0; s_pools != null && k < Classes; k++)
            {
                any |= s_pools[k].HasTooMany;
            }
            return any;
        }
    }

    /// <summary>Gives memory back to the system, a chunk of each size that has too many.</summary>
    internal static void ReturnSome()
    {
        for (int k = 0; s_pools != null && k < Classes; k++)
        {
            s_lock.Enter();
            if (s_pools[k].HasTooMany)
            {
                nint chunk = s_pools[k].TakeWhole() / ChunkOf(k);
                _ = Os.Discard(s_bases[k] + (chunk * Layout.StoreChunk), Layout.StoreChunk);
            }
            s_lock.Exit();
        }
    }
}
