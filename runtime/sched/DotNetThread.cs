// The Thread object of a goroutine: Thread.CurrentThread makes one for each goroutine that asks, or waits in
// the base library. When the goroutine ends the object does what that of a thread does: mutexes that it owns
// are abandoned, and who joins it goes on.
//
// These are private parts of .NET's Thread; TheMutexOfAGoroutineThatEndedIsAbandoned fails on a version
// without them.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static class DotNetThread
{
    /// <summary>The calling goroutine has run its function. It has thread statics.</summary>
    internal static void End()
    {
        Thread? thread = Own(null!);
        if (thread != null)
        {
            ContextFlow.End(thread);
            OnThreadExiting(WaitInfo(thread));
            StopThread(null!, thread);
            Stopped(thread).Set();
        }
    }

    /// <summary>Null until somebody has asked for it. Makes thread statics where there are none.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.StaticField, Name = "t_currentThread")]
    internal static extern ref Thread? Own(Thread type);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_executionContext")]
    internal static extern ref ExecutionContext? Context(Thread thread);

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "StopThread")]
    private static extern void StopThread(Thread type, Thread thread);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_stopped")]
    private static extern ref ManualResetEvent Stopped(Thread thread);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_WaitInfo")]
    [return: UnsafeAccessorType(ThreadWaitInfo)]
    private static extern object WaitInfo(Thread thread);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "OnThreadExiting")]
    private static extern void OnThreadExiting([UnsafeAccessorType(ThreadWaitInfo)] object info);

    private const string ThreadWaitInfo =
        "System.Threading.WaitSubsystem+ThreadWaitInfo, System.Private.CoreLib";
}
