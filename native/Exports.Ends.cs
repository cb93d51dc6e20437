// What ends waits: deadlines (..._until), the goroutine's context (weft_with), cancellation and interruption
// (Exports.Task.cs, Exports.Bundle.cs). One object does it for each goroutine: runtime/sched/WaitScope.cs.
//
// Locks, wait groups, conditions and semaphores are ended only in their _until forms: code that does not look
// at what the others return stays right in a goroutine that is cancelled.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_after")]
    private static long After(long nanoseconds) =>
        nanoseconds == TimerNode.Never ? TimerNode.Never : Scheduler.TimeAfter(Math.Max(nanoseconds, 0));

    [UnmanagedCallersOnly(EntryPoint = "weft_with")]
    private static int With(nint handle, nint* old)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            return Code.NotGoroutine;
        }
        ContextObject? context = null;
        if (handle != 0)
        {
            context = Handles.Get<ContextObject>(handle, Kind.Context);
            if (context == null)
            {
                return Handles.Fault(handle);
            }
        }
        try
        {
            GoroutineObjects objects = GoroutineObjects.Of(g);
            nint before = objects.ContextHandle;
            objects.Use(context?.Context, handle);
            if (old != null)
            {
                *old = before;
            }
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_shield")]
    private static int Shield(int isOn)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        Goroutine* g = Current.Goroutine();
        return g == null ? Code.NotGoroutine : GoroutineObjects.Of(g).Shield(isOn != 0) ? 1 : 0;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_cancelled")]
    private static int IsCancelled()
    {
        GoroutineObjects? objects = GoroutineObjects.OfCallerOrNull();
        WaitReason reasons = objects?.Reasons ?? WaitReason.None;
        return (reasons & WaitReason.Cancelled) != 0 ? Code.Cancelled
            : (reasons & WaitReason.Context) != 0 ? CodeOf(objects!.Context)
            : Code.Ok;
    }

    /// <summary>For a wait of the caller's: null where it has no deadline, and nobody else may end
    /// it.</summary>
    private static WaitScope? ScopeOf(long deadline)
    {
        Goroutine* g = Current.Goroutine();
        if (deadline == TimerNode.Never)
        {
            return g == null ? null : ScopeOwner.ScopeOf(g);
        }
        return g == null ? new WaitScope() : GoroutineObjects.Of(g).AnyScope;
    }

    /// <summary>What a wait returns that the scope has ended.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int CodeOfEnd(WaitScope? scope) => scope?.TakeReason() switch
    {
        WaitReason.Expired => Code.TimedOut,
        WaitReason.Interrupted => Code.Interrupted,
        WaitReason.Context => CodeOf(GoroutineObjects.OfCallerOrNull()?.Context),
        _ => Code.Cancelled,
    };

    /// <summary>Of one that is cancelled.</summary>
    private static int CodeOf(Context? context) => context?.Err is TimeoutException ? Code.TimedOut : Code.Cancelled;

    /// <summary>A wait with a deadline for what has a handle. The function is static, and false says that the
    /// wait was ended.</summary>
    private static int Until<T>(
        nint handle, Kind kind, long deadline, Func<T, WaitEnd, long, bool> wait, long argument)
        where T : class
    {
        T? target = Handles.Get<T>(handle, kind);
        if (target == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            WaitScope? scope = ScopeOf(deadline);
            WaitEnd end = scope == null ? default : new WaitEnd(scope, deadline);
            return wait(target, end, argument) ? Code.Ok : CodeOfEnd(scope);
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }
}
