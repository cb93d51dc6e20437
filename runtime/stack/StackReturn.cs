// How a grown stack goes home again: when its goroutine has waited on the network for a while, and what it
// uses fits. A server's idle connections have all called native code once, and hold two pages at least then;
// here they come down to one.
//
//   grown stack    [ guard ][ low ............................... <- sp ] high   given back
//   home           [ guard ][ low ....... <- sp ] high                           the same low 32 bits
//
// It is growth the other way round, but the goroutine is parked, and a parked stack does not move otherwise.
// Why it may here:
//
//   nobody runs        the world is stopped: no thread is in the assembly that switches, so a saved sp that
//                      is not 0 is true, and nobody has read it to use it later
//   nobody points in   it waits on the network: no channel has the address of an element, the kernel has none
//                      of a buffer (its calls do not wait), and Waiting means that its stop is complete
//   no native frames   the native depth is 0: only managed frames, of which growth moves the same words
//   no exception       nothing is in flight, and no frames are registered, which hold addresses of their own
//
// The collector is told of the stack's words right afterwards, where they are then; it keeps no addresses of
// words from one marking to the next.
//
// Rejected: giving back the pages below sp only (a page of the grown stack stays, and the first one); doing
// it at the park (the next request grows the stack again); for those who wait on channels (a peer may be
// about to write to the stack, stopped between reading the slot's address and writing).
// Raw code, the world stopped. Locks: none.

namespace Weft.Runtime;

internal static unsafe class StackReturn
{
    private const nint Most = Os.PageSize - Homes.MostAbove - 512; // Room to go on without growing at once.

    /// <summary>In one collection, for each of its threads: a system call each, with the world stopped.
    /// </summary>
    internal const int MostAtOnce = 256;

    private static long s_returns;

    /// <summary>How often a stack was moved back. For tests.</summary>
    internal static long Returns => Volatile.Read(ref s_returns);

    /// <summary>Whether g is one of those. The world is stopped; now is a time of Os.NowNs.</summary>
    internal static bool IsDue(Goroutine* g, long now) =>
        MayBecomeDue(g) && now - g->WaitSince >= Layout.IdleBeforeShrinkNs;

    /// <summary>The same, as soon as it has waited for long enough.</summary>
    internal static bool MayBecomeDue(Goroutine* g)
    {
        nint sp = g->Context.SavedSp;
        return GrownStacks.IsGrown(g->StackLow, g->StackHigh)
            && g->State == GoroutineState.Waiting
            && g->Reason == ParkReason.Network
            && g->Kind == GoroutineKind.Movable
            && sp != 0
            && g->StackHigh - sp <= Most
            && g->Context.HasPlainFrames;
    }

    /// <summary>Moves it.</summary>
    internal static void Move(Goroutine* g)
    {
        nint low = g->StackLow;
        nint high = g->StackHigh;
        nint home = Homes.EnterOwn(g->Home);
        nint distance = home - high; // Whole planes, as for growth.
        Check.Always((int)distance == 0, "stacks: a distance that changes low bytes"u8);
        StackGrowth.Copy(g->Context.SavedSp, high, low - Os.PageSize, distance);
        g->Context.SavedSp += distance;
        g->StackLow = (home - 1) & -Os.PageSize;
        g->StackHigh = home;
        g->Context.ReserveLow = g->StackLow;
        GrownStacks.GiveAll(g, low, high);
        Interlocked.Increment(ref s_returns);
    }
}
