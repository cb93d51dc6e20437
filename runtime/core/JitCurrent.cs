// On the JIT (base/Jit.cs): the calling thread's goroutine. A thread static, which is right here and nowhere
// else in Weft: there a goroutine is one thread from its beginning to its end.

namespace Weft.Runtime;

internal static unsafe class JitCurrent
{
    [ThreadStatic]
    private static Goroutine* t_goroutine;

    /// <summary>Null where the thread is none.</summary>
    internal static Goroutine* Goroutine
    {
        get => t_goroutine;
        set => t_goroutine = value;
    }
}
