// Whether a block is left by an exception, asked in its finally block: by what is in flight there, and was
// not when the block began.
//
// On the JIT the runtime tells only the newest exception in flight, by an address that is its own while it
// is. That is enough: an exception that leaves the block is newer than all that were in flight before.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal readonly struct ExceptionMark
{
    private readonly nint _before;

    private ExceptionMark(nint before) => _before = before;

    /// <summary>Where the block begins.</summary>
    internal static ExceptionMark Now() => new(Jit.IsOn ? Newest() : RuntimeThread.ExceptionsInFlight());

    /// <summary>Where it ends, on the same goroutine or thread.</summary>
    internal bool IsPassedByException()
    {
        if (Jit.IsOn)
        {
            nint newest = Newest();
            return newest != 0 && newest != _before;
        }
        return RuntimeThread.ExceptionsInFlight() > _before;
    }

#pragma warning disable CA1416 // Works on Unix too, for what it is used for here: JitTests.
    private static nint Newest() => Marshal.GetExceptionPointers();
#pragma warning restore CA1416
}
