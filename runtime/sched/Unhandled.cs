// Exceptions that end something: the one by which Go.Exit unwinds, and those that nobody catches.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

/// <summary>Thrown by Go.Exit, caught by the goroutine's main. Not for users to catch.</summary>
internal sealed class GoroutineExit : Exception
{
    internal GoroutineExit()
        : base("The goroutine ends (Go.Exit). Code that catches every exception must throw this one again.")
    {
    }
}

internal static unsafe class Unhandled
{
    /// <summary>An exception filter: names the goroutine and lets the exception stay unhandled, so that
    /// the runtime does what it does for a thread.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static bool Report(Goroutine* g, Exception e)
    {
        Fatal.Line line = new();
        line.Add("goroutine "u8);
        line.Add(g->Id);
        line.Add(": unhandled exception"u8);
        line.Write();
        return false;
    }
}
