// How a new goroutine calls its delegate: one static function for each form of the argument. The
// goroutine's slots are cleared first, so that they keep nothing alive while it runs.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class Invoker
{
    internal static void Call(Goroutine* g) => Unsafe.As<Action>(Take(g))();

    internal static void CallInline<TState>(Goroutine* g)
    {
        TState state = Goroutine.TakeState<TState>(g);
        Unsafe.As<Action<TState>>(Take(g))(state);
    }

    /// <summary>For any class: an Action of it is called as one of objects.</summary>
    internal static void CallObject(Goroutine* g)
    {
        object? state = Goroutine.StateObject(g);
        Goroutine.StateObject(g) = null;
        Unsafe.As<Action<object?>>(Take(g))(state);
    }

    internal static void CallBoxed<TState>(Goroutine* g)
    {
        object state = Goroutine.StateObject(g)!;
        Goroutine.StateObject(g) = null;
        Unsafe.As<Action<TState>>(Take(g))((TState)state);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Delegate Take(Goroutine* g)
    {
        Delegate function = Goroutine.Delegate(g)!;
        Goroutine.Delegate(g) = null;
        Scheduler.TraceFunction(function);
        return function;
    }
}
