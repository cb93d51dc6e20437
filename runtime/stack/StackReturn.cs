// How the stacks of those become small that have waited for a while: one that has grown, and one in a page of
// its own where there are many. A server's idle connections have all called native code once, and hold a page
// of a grown stack at least then, and that of their home. Here they come down to what they use, in the store
// (StackStore.cs).
//
//   grown stack    [ guard ][ low ....................... <- sp ] high     given back
//   home           [ guard ][ low ....... <- sp ] high                     its addresses; the page, too
//   store          [ sp .... ]                                             where it lies while it waits
//
// Where there is no store, or it uses too much for that, a grown one goes to its home.
//
// It is growth the other way round, but the goroutine is parked, and a parked stack does not move otherwise.
// Why it may here:
//
//   nobody runs        the world is stopped: no thread is in the assembly that switches, so a saved sp that
//                      is not 0 is true, and nobody has read it to use it later
//   nobody points in   who waits for an element is in the queue of its channel still: a peer takes it out
//                      first, and reads the address of the slot then. Others have no address of its
//                      stack: the kernel none of a buffer, as its calls do not wait; nor the commit of a park
//   no native frames   the native depth is 0: only managed frames, of which growth moves the same words
//   no exception       nothing is in flight, and no frames are registered, which hold addresses of their own
//
// The collector is told of the stack's words right afterwards, where they are then; it keeps no addresses of
// words from one marking to the next.
//
// Each collection looks at a few of them, from where the last one stopped: pauses may not depend on their
// number, and what takes time is to give the pages back, 1 to 3 us for each. Where a process has many such
// goroutines and does not collect, because it does nothing at all, sysmon collects generation 0 as long as
// stacks come down, in a twentieth of the time.
//
// Rejected: giving back the pages below sp only (a page of the grown stack stays, and the first one); doing
// it at the park (the next call of native code grows the stack again); leaving it to the next collection that
// comes by itself (an idle server has none).
// Raw code, the world stopped. Locks: StackStore's, which is tried.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Weft.Runtime;

internal static unsafe class StackReturn
{
    private const nint Most = Os.PageSize - Homes.MostAbove - 512; // Room to go on without growing at once.
    private const int GroupSize = 64; // As GcRoots deals them out.
    private const int RangesAtOnce = 64;
    private const int Ahead = 8;
    private const int LooksOfSysmon = 4096;

    private static nint s_nextGroup; // Where to look first, of those that have grown,
    private static nint s_nextHome;  // and of those that have pages of their own.
    private static long s_returns;

    /// <summary>For how long a goroutine has to have waited. Set before the start.</summary>
    internal static long IdleNs { get; set; } = Layout.IdleBeforeShrinkNs;

    /// <summary>How often a stack came down. For tests.</summary>
    internal static long Returns => Volatile.Read(ref s_returns);

    private static nint Groups => (GoroutineTable.Carved + GroupSize - 1) / GroupSize;

    /// <summary>Looks at some of them in the marking of a collection of that generation, by one of its
    /// threads: at those whose numbers are its own.</summary>
    [SkipLocalsInit]
    internal static void Run(int number, int count, int generation)
    {
        if (GoroutineTable.GrownCount == 0 && Homes.Many == 0)
        {
            return;
        }
        nint* ranges = stackalloc nint[2 * (RangesAtOnce + 2)]; // A stack has up to two.
        int looks = generation == Collector.OldestGeneration ? Layout.ReturnLooksFull : Layout.ReturnLooks;
        Pass pass = new()
        {
            Now = Os.NowNs(),
            Number = number,
            Count = count,
            HasStore = Homes.AreShared && StackStore.TryEnterStopped(),
            Ranges = ranges,
        };
        if (GoroutineTable.GrownCount != 0)
        {
            nint next = LookAtGrown(&pass, looks);
            s_nextGroup = number == 0 ? next : s_nextGroup;
        }
        if (pass.HasStore)
        {
            nint next = LookAtHomes(&pass, looks);
            s_nextHome = number == 0 ? next : s_nextHome;
            StackStore.ExitStopped();
        }
        Os.DiscardEach(ranges, pass.RangeCount);
        _ = Interlocked.Add(ref s_returns, pass.Moved);
    }

    private static nint LookAtGrown(Pass* pass, int looks)
    {
        byte* grown = GoroutineTable.Grown;
        nint groups = Groups;
        nint at = s_nextGroup < groups ? s_nextGroup : 0;
        for (nint i = 0; i < groups && looks > 0; i++)
        {
            byte* group = grown + (at * GroupSize);
            if (at % pass->Count == pass->Number && !IsZero(group))
            {
                for (int k = 0; k < GroupSize; k++)
                {
                    if (group[k] != 0)
                    {
                        Goroutine.PrefetchBlock(GoroutineTable.At((at * GroupSize) + k));
                    }
                }
                for (int k = 0; k < GroupSize; k++)
                {
                    if (group[k] != 0)
                    {
                        looks--;
                        MoveIfDue(pass, GoroutineTable.At((at * GroupSize) + k));
                    }
                }
            }
            at = at + 1 == groups ? 0 : at + 1;
        }
        return at;
    }

    private static nint LookAtHomes(Pass* pass, int looks)
    {
        nint homes = Homes.Many;
        nint at = s_nextHome < homes ? s_nextHome : 0;
        for (nint i = 0; i < homes && looks > 0; i++)
        {
            nint ahead = at + Ahead < homes ? Homes.TenantOf(at + Ahead) : -1;
            if (ahead >= 0)
            {
                Goroutine.PrefetchBlock(GoroutineTable.At(ahead));
            }
            nint slot = Homes.TenantOf(at);
            if (slot >= 0 && slot / GroupSize % pass->Count == pass->Number)
            {
                looks--;
                if (GoroutineTable.At(slot)->Home == at)
                {
                    MoveIfDue(pass, GoroutineTable.At(slot));
                }
            }
            at = at + 1 == homes ? 0 : at + 1;
        }
        return at;
    }

    private static void MoveIfDue(Pass* pass, Goroutine* g)
    {
        if (IsDue(g, pass->Now) && (pass->HasStore || !Homes.AreShared))
        {
            Move(pass, g);
            if (pass->RangeCount >= RangesAtOnce)
            {
                Os.DiscardEach(pass->Ranges, pass->RangeCount);
                pass->RangeCount = 0;
            }
        }
    }

    /// <summary>Whether g is one that may come down. The world is stopped; or else a guess. Now is a time of
    /// Os.NowNs.</summary>
    private static bool IsDue(Goroutine* g, long now)
    {
        nint sp = g->Context.SavedSp;
        nint most = GrownStacks.IsGrown(g->StackLow, g->StackHigh) ? Most : StackStore.Largest;
        return g->State == GoroutineState.Waiting
            && now - g->WaitSince >= IdleNs
            && sp != 0
            && g->StackHigh - sp <= most
            && g->Kind == GoroutineKind.Movable
            && !g->IsStored
            && g->Context.HasPlainFrames
            && g->Locked == 0
            && GcRoots.IsSettled(g);
    }

    private static void Move(Pass* pass, Goroutine* g)
    {
        nint low = g->StackLow;
        nint high = g->StackHigh;
        bool isStored = pass->HasStore && high - g->Context.SavedSp <= StackStore.Largest;
        nint home = isStored ? Homes.HighOf(g->Home) : Homes.EnterOwn(g->Home);
        nint distance = home - high; // Whole planes, as for growth.
        if (isStored)
        {
            StackStore.OutStopped(g, low - Os.PageSize, distance);
            if (!g->SharesPage)
            {
                Homes.SetVacant(g->Home, true);
                Add(pass, Homes.LowOf(g->Home), Os.PageSize);
            }
        }
        else
        {
            StackGrowth.Copy(g->Context.SavedSp, high, low - Os.PageSize, distance);
            StackGrowth.MoveSlot(g, low, high, distance);
            g->Context.SavedSp += distance;
        }
        g->StackLow = (home - 1) & -Os.PageSize;
        g->StackHigh = home;
        g->Context.ReserveLow = g->StackLow;
        if (GrownStacks.IsGrown(low, high))
        {
            GoroutineTable.SetGrown(g, false);
            nint bytes = GrownStacks.GiveAll(g, low, high);
            if (bytes > 0)
            {
                Add(pass, low, bytes);
            }
        }
        pass->Moved++;
    }

    private static void Add(Pass* pass, nint address, nint bytes)
    {
        pass->Ranges[2 * pass->RangeCount] = address;
        pass->Ranges[(2 * pass->RangeCount) + 1] = bytes;
        pass->RangeCount++;
    }

    private static bool IsZero(byte* line)
    {
        Vector128<byte>* from = (Vector128<byte>*)line;
        return (from[0] | from[1] | from[2] | from[3]) == Vector128<byte>.Zero;
    }

    /// <summary>Whether a collection would let that many come down, at least 1. A guess, for
    /// sysmon.</summary>
    internal static bool WouldReturn(int least, long now)
    {
        int due = 0;
        int looks = LooksOfSysmon;
        byte* grown = GoroutineTable.Grown;
        nint groups = GoroutineTable.GrownCount > 0 ? Groups : 0;
        for (nint slot = 0; slot < groups * GroupSize && looks > 0 && due < least; slot += GroupSize)
        {
            for (nint i = slot; !IsZero(grown + slot) && i < slot + GroupSize; i++)
            {
                looks -= grown[i];
                due += grown[i] != 0 && IsDue(GoroutineTable.At(i), now) ? 1 : 0;
            }
        }
        nint homes = Homes.Many;
        for (nint home = 0; home < homes && due < least; home++)
        {
            nint slot = Homes.TenantOf(home);
            bool lives = slot >= 0 && GoroutineTable.At(slot)->Home == home;
            due += lives && IsDue(GoroutineTable.At(slot), now) ? 1 : 0;
        }
        return due >= least;
    }

    private struct Pass
    {
        internal long Now;
        internal int Number;
        internal int Count;
        internal bool HasStore;
        internal int Moved;
        internal int RangeCount;
        internal nint* Ranges; // To be given back: address and bytes.
    }
}
