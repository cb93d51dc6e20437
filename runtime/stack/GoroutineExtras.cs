// The memory of what lies beside control blocks (core/GoroutineExtra.cs): carved from one reserved range, and
// used again. It is never given back to the system: 0.8 KB for each goroutine that had one at the same time.
//
// Locks: s_lock, a leaf. Never taken in a signal handler.

namespace Weft.Runtime;

internal static unsafe class GoroutineExtras
{
    private const nint DumpedAtOnce = 1024;

    private static ShortLock s_lock;
    private static GoroutineExtra* s_next;
    private static GoroutineExtra* s_end;
    private static GoroutineExtra* s_dumped; // In core dumps below it: see Homes.cs.
    private static GoroutineExtra* s_free;

    internal static void Initialize(nint capacity)
    {
        s_next = (GoroutineExtra*)AddressSpace.Need(capacity * sizeof(GoroutineExtra));
        s_end = s_next + capacity;
        s_dumped = s_next;
        Os.LeaveOutOfDumps((nint)s_next, capacity * sizeof(GoroutineExtra));
    }

    /// <summary>The calling goroutine's, or stand-in's. There is one for each.</summary>
    internal static GoroutineExtra* Of(Goroutine* g)
    {
        if (g->Extra == null)
        {
            g->Extra = Take();
        }
        return g->Extra;
    }

    /// <summary>Takes it from a goroutine that ends.</summary>
    internal static void TakeFrom(Goroutine* g)
    {
        GoroutineExtra* extra = g->Extra;
        g->Extra = null;
        extra->LocalsSet = 0;
        extra->Name[0] = 0;
        s_lock.Enter();
        extra->Link = s_free;
        s_free = extra;
        s_lock.Exit();
    }

    private static GoroutineExtra* Take()
    {
        s_lock.Enter();
        GoroutineExtra* extra = s_free;
        if (extra != null)
        {
            s_free = extra->Link;
        }
        else
        {
            Check.Always(s_next < s_end, "extras: more than goroutines"u8);
            if (s_next == s_dumped)
            {
                s_dumped = s_end - s_next < DumpedAtOnce ? s_end : s_next + DumpedAtOnce;
                Os.IncludeInDumps((nint)s_next, (nint)s_dumped - (nint)s_next);
            }
            extra = s_next++;
        }
        s_lock.Exit();
        return extra;
    }
}
