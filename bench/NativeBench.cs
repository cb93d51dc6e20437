// What it costs to call a C function that does nothing: on a thread, where it is what .NET itself
// takes, and on a goroutine whose stack has grown already, where Weft's wrapper comes on top.

using System.Diagnostics;

namespace Weft.Bench;

internal static class NativeBench
{
    private const int Calls = 10_000_000;

    internal static Question[] Questions =>
    [
        Question.One("pinvoke_thread", "ns", "P/Invoke of an empty function, on a thread", Call),
        Question.One("pinvoke_goroutine", "ns", "the same on a goroutine", () => Drive.On(1, Call)),
    ];

    private static double Call()
    {
        FloorBench.Nothing();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Calls; i++)
        {
            FloorBench.Nothing();
        }
        return Drive.Since(start) / Calls;
    }
}
