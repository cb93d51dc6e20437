// The ExecutionContext: the values of AsyncLocal, with them Activity.Current and CurrentCulture. A goroutine
// begins with that of whoever starts it, as a task of Task.Run does; afterwards it is its own.
//
//   spawn    the caller's context -> FirstContext of the new goroutine, a root; nothing if it is the default
//   begin    FirstContext -> its Thread object; handlers of values that change are called
//   end      the default one -> its Thread object; the same
//
// .NET keeps it in the Thread object, which a goroutine has only once somebody has asked for it. So whoever
// has no thread statics, or no Thread object among them, has the default context, and to look must not make
// either: they and what belongs to them are 1 KB, and a native call, which needs room on the stack.
//
// Rejected: ExecutionContext.Run around the function. It catches every exception: nobody above it would be
// asked by the filters of the first pass (sched/CancelCause.cs), and the report of one that nobody catches
// would come when its stack is gone.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class ContextFlow
{
    /// <summary>The one without values, which Capture tells by null.</summary>
    internal static ExecutionContext DefaultContext => Default(null!);

    /// <summary>The caller's, for a goroutine to begin with; null where that is the default one, or its flow
    /// is suppressed. Allocates nothing.</summary>
    internal static ExecutionContext? Capture()
    {
        if (Jit.IsOn)
        {
            return ExecutionContext.Capture() is { } context && context != DefaultContext ? context : null;
        }
        if (!Current.IsStarted)
        {
            return CaptureFromStatics();
        }
        Switch.EnterCritical(); // The thread stays the same one.
        bool hasStatics = *Current.StaticsCell() != 0;
        Switch.LeaveCritical();
        return hasStatics ? CaptureFromStatics() : null;
    }

    /// <summary>The same for a caller that has thread statics; another one would get them.</summary>
    internal static ExecutionContext? CaptureFromStatics()
    {
        Thread? thread = DotNetThread.Own(null!);
        return thread == null || DotNetThread.Context(thread) == null ? null : ExecutionContext.Capture();
    }

    /// <summary>The calling goroutine begins with its FirstContext, which is not null.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Begin(Goroutine* g)
    {
        ExecutionContext context = Unsafe.As<ExecutionContext>(Goroutine.FirstContext(g)!);
        Goroutine.FirstContext(g) = null;
        ExecutionContext.Restore(context);
    }

    /// <summary>The calling goroutine, whose Thread object this is, has run its function: it leaves the
    /// context, as a thread of the pool does. Handlers are user code.</summary>
    internal static void End(Thread thread)
    {
        if (DotNetThread.Context(thread) != null)
        {
            ExecutionContext.Restore(DefaultContext);
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticField, Name = "Default")]
    private static extern ref ExecutionContext Default(ExecutionContext type);
}
