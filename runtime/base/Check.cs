// Assertions. Always: in every build, for what would corrupt memory if it were wrong. Debug: compiled in
// with WEFT_CHECKS (the tests), for duplicates on hot paths and whole-structure invariants.

using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static class Check
{
    /// <summary>Ends the process with <paramref name="message"/> when the condition is false.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Always(bool condition, ReadOnlySpan<byte> message)
    {
        if (!condition)
        {
            Fatal.Throw(message);
        }
    }

    [Conditional("WEFT_CHECKS")]
    internal static void Debug(bool condition, ReadOnlySpan<byte> message)
    {
        if (!condition)
        {
            Fatal.Throw(message);
        }
    }
}
