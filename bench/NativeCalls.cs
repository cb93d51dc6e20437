// An empty C function called again and again. Compiled into weft-bench, and into weft-bench-bare, which
// is linked without Weft.

using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Weft.Bench;

internal static partial class NativeCalls
{
    private const int Calls = 10_000_000;

    /// <summary>Nanoseconds for each call.</summary>
    internal static double Time()
    {
        Nothing();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Calls; i++)
        {
            Nothing();
        }
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / Calls;
    }

    [LibraryImport("weft-bench-floor", EntryPoint = "weft_bench_nothing")] // Bound at link time.
    internal static partial void Nothing();
}
