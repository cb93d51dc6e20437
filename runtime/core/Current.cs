// The thread's current goroutine and machine, read by assembly from a native thread-local: a C#
// [ThreadStatic] belongs to the goroutine, not to the thread. What these return about the machine is
// stale after anything that may switch: call again, keep nothing.

using System.Runtime;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class Current
{
    private static bool s_started;

    /// <summary>The goroutine whose stack this is; null on a system stack and on other threads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Goroutine* Goroutine() => Jit.IsOn ? JitCurrent.Goroutine : NativeGoroutine();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_goroutine")]
    private static extern Goroutine* NativeGoroutine();

    /// <summary>The same, also before the runtime has started.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Goroutine* GoroutineOrNull() => Jit.IsOn || s_started ? Goroutine() : null;

    /// <summary>Whether there may be machines, and goroutines on them: never on the JIT.</summary>
    internal static bool IsStarted => s_started;

    /// <summary>Called once everything is in place.</summary>
    internal static void SetStarted() => Volatile.Write(ref s_started, true);

    /// <summary>This thread's machine; null on a thread that is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static Machine* Machine() => Jit.IsOn ? null : NativeMachine();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_machine")]
    private static extern Machine* NativeMachine();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_set_machine")]
    internal static extern void SetMachine(Machine* m);

    /// <summary>NativeAOT's Thread of this thread.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_thread")]
    internal static extern nint Thread();

    /// <summary>What this thread's thread-local addresses are computed from.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_thread_pointer")]
    internal static extern nint ThreadPointer();

    /// <summary>This thread's root cell for inlined thread statics.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_statics_cell")]
    internal static extern nint* StaticsCell();
}
