// Go.MaxProcs follows what the process may use (ProcessorLimit.cs) until the program, or WEFT_MAXPROCS, says
// how many it wants. Go: GOMAXPROCS since 1.25.
//
// Sysmon looks once a second, while anything runs; a change is made by a goroutine, because lowering waits
// for processors to be handed back.
//
// Rejected: a timer, which would keep an idle process awake, and hide that all are asleep for good.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long LimitEveryNs = 1_000_000_000;

    private static ProcessorLimit? s_limit;
    private static long s_nextLimit;
    private static int s_follows;
    private static int s_wanted;

    /// <summary>The number that the process starts with, and returns to: what it may use now, clamped to what
    /// is supported.</summary>
    internal static int DefaultProcessors()
    {
        s_limit ??= new ProcessorLimit("/proc/self");
        int count = s_limit.Count();
        return Math.Clamp(count == 0 ? Environment.ProcessorCount : count, 1, Layout.MaxProcessors);
    }

    /// <summary>Whether Go.MaxProcs follows. Set at start, and when the program sets a number of its own, or
    /// gives that up.</summary>
    internal static bool FollowsLimit
    {
        get => Volatile.Read(ref s_follows) != 0;
        set => Volatile.Write(ref s_follows, value ? 1 : 0);
    }

    /// <summary>On sysmon's thread.</summary>
    private static void FollowLimitIfDue()
    {
        if (CoarseNow < s_nextLimit || !FollowsLimit)
        {
            return;
        }
        s_nextLimit = CoarseNow + LimitEveryNs;
        int count = DefaultProcessors();
        if (count == MaxProcessors || Interlocked.Exchange(ref s_wanted, count) != 0)
        {
            return; // Nothing has changed, or the goroutine has not come to it yet.
        }
        try
        {
            Goroutine* g = Create(GoroutineKind.Movable, 0);
            g->Invoke = &FollowLimit;
            Start(g);
        }
        catch (InsufficientMemoryException)
        {
            s_wanted = 0; // In a second again.
        }
    }

    private static void FollowLimit(Goroutine* g)
    {
        int count = Interlocked.Exchange(ref s_wanted, 0);
        if (FollowsLimit)
        {
            SetMaxProcessors(count);
        }
    }
}
