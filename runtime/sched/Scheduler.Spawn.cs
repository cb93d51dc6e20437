// A goroutine's beginning and end.
//
//   Spawn: a dead one from the processor's free list -> its first frame -> the queue
//   Main:  runs the delegate on the goroutine's stack
//   Exit:  leaves the stack for good; the receiver of the message recycles it

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    // What the runtime takes for the stack's bounds on a goroutine. Low, so that
    // EnsureSufficientExecutionStack passes; and holding no address at all, because the collector
    // ignores interior pointers between the bounds.
    private const nint BoundsLow = 0;
    private const nint BoundsHigh = 1;

    /// <summary>Takes a dead goroutine and makes it runnable, but in no queue yet: the caller stores what
    /// it needs, then calls Start. Throws InsufficientMemoryException when there is none.</summary>
    /// <param name="kind">What kind of goroutine.</param>
    /// <param name="fixedSize">Bytes of a fixed stack.</param>
    /// <param name="flows">Whether it begins with the caller's ExecutionContext; else with the default
    /// one, unless the caller stores another.</param>
    internal static Goroutine* Create(GoroutineKind kind, nint fixedSize, bool flows = false)
    {
        nint fixedStack = kind == GoroutineKind.Fixed ? TakeFixedStack(fixedSize) : 0;
        Switch.EnterCritical();
        Machine* m = Current.Machine();
        Goroutine* g;
        if (m == null)
        {
            g = GoroutinePages.Take(1, isStandIn: kind == GoroutineKind.Thread);
            if (g != null && kind != GoroutineKind.Thread)
            {
                g->Id = Interlocked.Increment(ref s_nextId);
                Interlocked.Increment(ref s_externalLive);
            }
        }
        else
        {
            g = TakeFree(m->Processor);
        }
        bool mayFlow = flows && *Current.StaticsCell() != 0;
        Switch.LeaveCritical();
        if (g == null)
        {
            if (fixedStack != 0)
            {
                FixedStacks.Give(fixedStack, StackSizes.RoundUp(fixedSize));
            }
            throw new InsufficientMemoryException(OutOfGoroutines());
        }
        g->Kind = kind;
        g->StackLow = Goroutine.FirstStackLow(g);
        g->StackHigh = (nint)g;
        g->Context.ReserveLow = g->StackLow;
        g->Context.NativeDepth = -1; // The entry counts once: see Context.NativeDepth.
        g->Context.BoundsLow = BoundsLow;
        g->Context.BoundsHigh = BoundsHigh;
        g->Machine = null;
        if (kind == GoroutineKind.Fixed)
        {
            g->StackLow = fixedStack;
            g->StackHigh = fixedStack + StackSizes.RoundUp(fixedSize);
            g->Context.ReserveLow = 0; // Never moved, so no check need ever ask.
        }
        else if (kind == GoroutineKind.NativeMovable)
        {
            g->Context.ReserveLow = 0; // Grows on the fault, whatever runs.
        }
        g->NoPreempt = 1; // Until GoroutineMain has completed the stop of its predecessor.
        g->Transition(GoroutineState.Dead, GoroutineState.Runnable);
        if (mayFlow)
        {
            Goroutine.FirstContext(g) = ContextFlow.CaptureFromStatics();
        }
        return g;
    }

    /// <summary>Runs what Create made. The delegate and its argument are in place.</summary>
    internal static void Start(Goroutine* g)
    {
        Switch.Prepare(g, g->StackHigh, &GoroutineMain, g);
        Submit(g);
    }

    /// <summary>What the caller waits with: its goroutine, or a stand-in for a thread that is none. Give it
    /// to LeaveWait afterwards.</summary>
    internal static Goroutine* EnterWait()
    {
        EnsureStarted();
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            g = Create(GoroutineKind.Thread, 0);
            g->Transition(GoroutineState.Runnable, GoroutineState.Running);
        }
        return g;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void LeaveWait(Goroutine* g)
    {
        if (g->Kind == GoroutineKind.Thread)
        {
            EndStandIn(g);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EndStandIn(Goroutine* g)
    {
        Goroutine.ParkObject(g) = null;
        g->Transition(GoroutineState.Running, GoroutineState.Dead);
        g->Link = null;
        GoroutinePages.Give(g);
    }

    /// <summary>Ends the calling goroutine. Its frames are gone: nothing is unwound here.</summary>
    internal static void Exit(Goroutine* g)
    {
        g->NoPreempt = 1;
        if (*Current.StaticsCell() != 0)
        {
            g->NoPreempt = 0;
            DotNetThread.End();
            g->NoPreempt = 1;
        }
        g->Reason = ParkReason.Exit;
        SwitchAway(g);
        Fatal.Throw("scheduler: a goroutine that ended runs again"u8);
    }

    [UnmanagedCallersOnly]
    private static void GoroutineMain(Goroutine* g, Goroutine* message)
    {
        if (message != null)
        {
            Complete(message);
        }
        g->NoPreempt = 0;
        RunDelegate(g);
        Exit(g);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunDelegate(Goroutine* g)
    {
        try
        {
            try
            {
                if (Goroutine.FirstContext(g) != null)
                {
                    ContextFlow.Begin(g);
                }
                g->Invoke(g);
            }
            catch (Exception e) when (CancelCause.IsReplaced(g, e))
            {
                throw; // Nothing has replaced it: the exception of an old wait was thrown again, say.
            }
        }
        catch (GoroutineExit)
        {
            // Go.Exit: the frames above have run their finally blocks.
        }
        catch (Exception e) when (Unhandled.Report(g, e))
        {
            // Report returns false: the runtime ends the process as for any thread.
        }
    }

    private static Goroutine* TakeFree(Processor* p)
    {
        Goroutine* g = p->Free;
        if (g == null)
        {
            g = GoroutinePages.Take(GoroutinePages.FreePerProcessor / 2);
            if (g == null)
            {
                return null;
            }
            for (Goroutine* each = g; each != null; each = each->Link)
            {
                p->FreeCount++;
            }
        }
        p->Free = g->Link;
        p->FreeCount--;
        p->Live++;
        if (p->NextId == p->LastId)
        {
            p->LastId = Interlocked.Add(ref s_nextId, IdBatch);
            p->NextId = p->LastId - IdBatch;
        }
        g->Id = ++p->NextId;
        return g;
    }

    /// <summary>g has left its stack for good, on the machine that holds p.</summary>
    private static void Recycle(Processor* p, Goroutine* g)
    {
        Goroutine.Delegate(g) = null;
        Goroutine.StateObject(g) = null;
        Goroutine.ParkObject(g) = null;
        nint low = g->StackLow;
        nint high = g->StackHigh;
        // Dead before the stack is given away: from here on a collection does not look at it.
        g->Transition(GoroutineState.Running, GoroutineState.Dead);
        g->Context = default;
        if (g->Kind != GoroutineKind.Movable)
        {
            g->NativeFloat = 0; // C may end without a return to its callers.
        }
        if (g->Kind == GoroutineKind.Fixed)
        {
            FixedStacks.Give(p, low, high - low);
        }
        else if (low != Goroutine.FirstStackLow(g))
        {
            GrownStacks.Give(g, low, high);
        }
        g->Link = p->Free;
        p->Free = g;
        p->Live--;
        if (++p->FreeCount > GoroutinePages.FreePerProcessor)
        {
            GiveHalf(p);
        }
    }

    private static void GiveHalf(Processor* p)
    {
        Goroutine* list = null;
        for (int i = 0; i < GoroutinePages.FreePerProcessor / 2; i++)
        {
            Goroutine* g = p->Free;
            p->Free = g->Link;
            p->FreeCount--;
            g->Link = list;
            list = g;
        }
        GoroutinePages.Give(list);
    }

    private static nint TakeFixedStack(nint bytes)
    {
        nint size = StackSizes.RoundUp(bytes);
        Switch.EnterCritical();
        Machine* m = Current.Machine();
        nint low = m == null ? 0 : FixedStacks.TakeKept(m->Processor, size);
        Switch.LeaveCritical();
        low = low != 0 ? low : FixedStacks.Take(size);
        return low > 0 ? low : throw new InsufficientMemoryException(OutOfGoroutines());
    }

    private static string OutOfGoroutines() => Os.GuardByProtection
        ? "No memory for another goroutine: a guard costs two mappings here. Raise sysctl vm.max_map_count."
        : "No memory for another goroutine: see ulimit -v and the memory limits of the container.";
}
