// On what goroutines run.

using Weft.Runtime;

namespace Weft;

/// <summary>On what goroutines run: see <see cref="Go.Mode"/>.</summary>
public enum GoMode
{
    /// <summary>On small stacks of their own, many on a thread: the program is compiled ahead of time.
    /// </summary>
    NativeAot,

    /// <summary>Each on a thread of its own: the program runs on the JIT, by <c>dotnet run</c>,
    /// <c>dotnet test</c> or under a debugger.</summary>
    Jit,
}

public static unsafe partial class Go
{
    /// <summary>
    /// On what goroutines run: <see cref="GoMode.NativeAot"/> in what <c>dotnet publish</c> has made with
    /// PublishAot, else <see cref="GoMode.Jit"/>, for development.
    /// </summary>
    /// <remarks>On the JIT the same code does the same, more slowly: each goroutine is a background thread.
    /// There may be <see cref="MaxThreads"/> of them; <see cref="MaxProcs"/> is a number
    /// and limits nothing; <see cref="MaxStack"/> is not heeded, each has 16 MB;
    /// <see cref="FindLeaks"/> throws PlatformNotSupportedException; and <see cref="Dump(TextWriter)"/> has
    /// no stacks. A constant: the compiler drops what a program does in the other mode only.</remarks>
    public static GoMode Mode => Jit.IsOn ? GoMode.Jit : GoMode.NativeAot;
}
