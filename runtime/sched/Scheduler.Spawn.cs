// A goroutine's beginning and end.
//
//   Spawn: a dead one from the processor's free ones -> the queue
//   Begin: a home from the processor's free ones, the last that was left -> its first frame
//   Main:  runs the delegate on the goroutine's stack
//   Exit:  leaves the stack for good; the receiver of the message recycles it
//
// So a spawn writes a line of the control block, and who ends without waiting leaves its stack, still in the
// cache, to the next one that begins.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int FetchAhead = 8;

    /// <summary>Takes a dead goroutine and makes it runnable, but in no queue yet: the caller stores what
    /// it needs, then calls Start. Throws InsufficientMemoryException when there is none.</summary>
    /// <param name="kind">What kind of goroutine.</param>
    /// <param name="fixedSize">Bytes of a fixed stack.</param>
    /// <param name="flows">Whether it begins with the caller's ExecutionContext; else with the default
    /// one, unless the caller stores another.</param>
    internal static Goroutine* Create(GoroutineKind kind, nint fixedSize, bool flows = false)
    {
        if (Jit.IsOn)
        {
            return JitThreads.Create(kind, fixedSize, flows);
        }
        Goroutine* starter = Current.Goroutine();
        bool isFixed = kind == GoroutineKind.Fixed;
        if (isFixed && fixedSize != Layout.FixedStackDefault)
        {
            fixedSize = StackSizes.RoundUp(fixedSize);
        }
        nint place;
        Goroutine* g;
        bool mayFlow;
        if (starter != null)
        {
            starter->NoPreempt = 1; // Its processor stays the same one.
            Machine* m = starter->Machine;
            place = isFixed ? FixedStacks.TakeKept(m->Processor, fixedSize) : 0;
            if (isFixed && place == 0)
            {
                starter->NoPreempt = 0;
                place = TakeFixedStack(fixedSize);
                starter->NoPreempt = 1;
                m = starter->Machine;
            }
            g = TakeFree(m->Processor);
            mayFlow = flows && *m->StaticsCell != 0;
            starter->NoPreempt = 0;
        }
        else
        {
            place = isFixed ? TakeFixedStack(fixedSize) : 0;
            g = TakeOutside(kind == GoroutineKind.Thread);
            mayFlow = flows && *Current.StaticsCell() != 0;
        }
        if (g == null)
        {
            if (place != 0)
            {
                FixedStacks.Give(place, fixedSize);
            }
            throw new InsufficientMemoryException(OutOfGoroutines());
        }
        g->Kind = kind;
        if (place != 0)
        {
            g->StackHigh = StackPieces.HighOf(place, fixedSize);
            g->StackLow = g->StackHigh - fixedSize;
        }
        g->NoPreempt = 1; // Until GoroutineMain has completed the stop of its predecessor.
        g->Transition(GoroutineState.Dead, GoroutineState.Runnable);
        if (mayFlow)
        {
            Goroutine.FirstContext(g) = ContextFlow.CaptureFromStatics();
        }
        return g;
    }

    /// <summary>A dead one for who is no goroutine: a thread, or a machine in its loop. Null where there is
    /// none.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Goroutine* TakeOutside(bool isStandIn)
    {
        Switch.EnterCritical();
        Machine* m = Current.Machine();
        Goroutine* g = null;
        if (m != null)
        {
            g = TakeFree(m->Processor);
        }
        else if (GoroutineTable.Take(&g, 1, isStandIn) > 0 && !isStandIn)
        {
            g->Id = Interlocked.Increment(ref s_nextId);
            Interlocked.Increment(ref s_externalLive);
        }
        Switch.LeaveCritical();
        return g;
    }

    /// <summary>Runs what Create made. The delegate and its argument are in place.</summary>
    internal static void Start(Goroutine* g)
    {
        Goroutine* starter = Current.Goroutine();
        if (starter != null && starter->IsBubbled)
        {
            StartIn(Bubble.Of(starter), g);
            Bubble.Point();
            return;
        }
        if (Jit.IsOn)
        {
            JitThreads.Start(g);
            return;
        }
        if (starter == null)
        {
            Submit(g);
            return;
        }
        starter->NoPreempt = 1; // As in Create.
        Processor* p = starter->Machine->Processor;
        TraceReady(p, g);
        // One that has not waited yet forks: see RunQueue.
        WakeAfter(p, starter->WaitSince == 0 ? PushFresh(p, g) : Push(p, g, next: true));
        starter->NoPreempt = 0;
    }

    /// <summary>g runs for the first time, on the machine that holds p: it gets its stack, and its first
    /// frame.</summary>
    private static void Begin(Processor* p, Goroutine* g)
    {
        if (g->Kind != GoroutineKind.Fixed)
        {
            int home = p->FreeHomeCount != 0 ? p->FreeHomes[--p->FreeHomeCount] : TakeHome(p);
            nint high = Homes.Enter(home);
            g->Home = home;
            g->StackLow = (high - 1) & -Os.PageSize;
            g->StackHigh = high;
            if (Homes.IsSharing(home))
            {
                g->SharesPage = true;
            }
            else
            {
                Homes.SetTenant(home, GoroutineTable.NumberOf(g));
            }
        }
        // 0 where no check need ever ask: it never moves, or grows on the fault, whatever runs.
        g->Context.ReserveLow = g->Kind == GoroutineKind.Movable ? g->StackLow : 0;
        g->Context.NativeDepth = -1; // The entry counts once: see Context.NativeDepth.
        g->WaitSince = 0;
        Switch.Prepare(g, g->StackHigh, &GoroutineMain, g);
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
        if (Jit.IsOn)
        {
            JitThreads.EndWait(g);
            return;
        }
        Goroutine.ParkObject(g) = null;
        g->Transition(GoroutineState.Running, GoroutineState.Dead);
        if (g->Extra != null)
        {
            GoroutineExtras.TakeFrom(g);
        }
        GoroutineTable.Give(&g, 1);
    }

    /// <summary>Ends the calling goroutine. Its frames are gone: nothing is unwound here.</summary>
    internal static void Exit(Goroutine* g)
    {
        g->NoPreempt = 1;
        if (*g->Machine->StaticsCell != 0)
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

    // What it catches does its work: a debugger need not stop there.
    [DebuggerDisableUserUnhandledExceptions]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void RunDelegate(Goroutine* g)
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
        catch (Exception e) when (Bubble.Takes(g, e))
        {
            // WeftTest.Run throws it.
        }
        catch (Exception e) when (Unhandled.Report(g, e))
        {
            // Report returns false: the runtime ends the process as for any thread.
        }
    }

    private static Goroutine* TakeFree(Processor* p)
    {
        int count = p->FreeCount;
        if (count == 0)
        {
            count = GoroutineTable.Take(p->Free, GoroutineTable.FreePerProcessor / 2);
            if (count == 0)
            {
                return null;
            }
        }
        Goroutine* g = p->Free[--count];
        p->FreeCount = count;
        if (Sse.IsSupported && count > FetchAhead)
        {
            Sse.Prefetch0((byte*)p->Free[count - FetchAhead] + Layout.CacheLine);
        }
        p->Live++;
        if (p->NextId == p->LastId)
        {
            p->LastId = Interlocked.Add(ref s_nextId, IdBatch);
            p->NextId = p->LastId - IdBatch;
        }
        g->Id = ++p->NextId;
        return g;
    }

    /// <summary>A home where p has none that is free, and some more for later.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int TakeHome(Processor* p)
    {
        nint taken = Homes.Take(p->FreeHomes, Math.Max(1, Homes.FreePerProcessor / 2));
        if (taken <= 0)
        {
            Fatal.Line line = new();
            line.Add("no memory for the stack of another goroutine, error "u8);
            line.Add(-taken);
            line.Add(Os.GuardByProtection
                ? "; a guard costs two mappings here: raise sysctl vm.max_map_count"u8
                : "; see ulimit -v and the memory limits of the container"u8);
            line.Throw();
        }
        p->FreeHomeCount = (int)taken;
        return p->FreeHomes[--p->FreeHomeCount];
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
        g->Machine = null; // It begins anew.
        if (g->Kind != GoroutineKind.Movable)
        {
            g->NativeX87 = 0; // C may end without a return to its callers.
        }
        if (g->Extra != null)
        {
            GoroutineExtras.TakeFrom(g);
        }
        if (g->Kind == GoroutineKind.Fixed)
        {
            FixedStacks.Give(p, StackPieces.PlaceOf(low), high - low);
        }
        else
        {
            if (GrownStacks.IsGrown(low, high))
            {
                GoroutineTable.SetGrown(g, false);
            }
            StackGrowth.GiveUp(g, low, high);
            GiveHome(p, g);
        }
        p->Free[p->FreeCount++] = g;
        p->Live--;
        if (p->FreeCount > GoroutineTable.FreePerProcessor)
        {
            GiveFree(p, GoroutineTable.FreePerProcessor / 2);
        }
    }

    /// <summary>Gives up that many dead goroutines, those that have been dead for longest.</summary>
    private static void GiveFree(Processor* p, int count)
    {
        GoroutineTable.Give(p->Free, count);
        p->FreeCount -= count;
        for (int i = 0; i < p->FreeCount; i++)
        {
            p->Free[i] = p->Free[i + count];
        }
    }

    private static void GiveHome(Processor* p, Goroutine* g)
    {
        int home = g->Home;
        if (g->SharesPage)
        {
            g->SharesPage = false;
            if (Homes.HasOwnPagesLeft)
            {
                Homes.Give(&home, 1);
                return;
            }
        }
        p->FreeHomes[p->FreeHomeCount++] = home;
        if (p->FreeHomeCount > Homes.FreePerProcessor)
        {
            GiveHomes(p, Math.Max(1, Homes.FreePerProcessor / 2));
        }
    }

    /// <summary>The same of homes.</summary>
    private static void GiveHomes(Processor* p, int count)
    {
        Homes.Give(p->FreeHomes, count);
        p->FreeHomeCount -= count;
        for (int i = 0; i < p->FreeHomeCount; i++)
        {
            p->FreeHomes[i] = p->FreeHomes[i + count];
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint TakeFixedStack(nint size)
    {
        nint place = FixedStacks.Take(size);
        return place > 0 ? place : throw new InsufficientMemoryException(OutOfGoroutines());
    }

    private static string OutOfGoroutines() => Os.GuardByProtection
        ? "No memory for another goroutine: a guard costs two mappings here. Raise sysctl vm.max_map_count."
        : "No memory for another goroutine: see ulimit -v and the memory limits of the container.";
}
