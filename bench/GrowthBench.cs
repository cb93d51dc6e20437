// What it costs a stack to grow: the fault, the larger stack, the copy. A goroutine recurses twice
// to the same depth: the second time nothing grows, so the difference is the growth, page faults of
// the new stack included. StackGrowth.Growths says how many there were.
//
// The goroutines come one after another, so each grows into a stack that another one left: of that,
// the pool keeps the top 64 KB resident and has given the rest back to the system.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Bench;

internal static class GrowthBench
{
    private const int FrameBytes = 512;

    internal static Question[] Questions =>
    [
        Question.One("growth_64k", "ns", "growth of a stack from 2 KB to 64 KB, on a fault",
            () => Drive.On(1, () => PerGrowth(2_000, () => Recurse(8 * 1024 / FrameBytes)))),
        Question.One("growth_1m", "ns", "the mean of five growths, 2 KB to 1 MB, on faults",
            () => Drive.On(1, () => PerGrowth(50, () => Recurse(600 * 1024 / FrameBytes)))),
        Question.One("growth_pinvoke", "ns", "growth from 2 KB to 512 KB, at a first P/Invoke",
            () => Drive.On(1, () => PerGrowth(20_000, NativeCalls.Nothing))),
    ];

    /// <summary>Mean nanoseconds for each growth that the function causes in a new
    /// goroutine.</summary>
    private static double PerGrowth(int goroutines, Action function)
    {
        long ticks = 0;
        long growths = StackGrowth.Growths;
        long start = Stopwatch.GetTimestamp();
        long startTicks = FloorBench.Ticks();
        for (int i = 0; i < goroutines; i++)
        {
            _ = Drive.Time(() => ticks += ExtraOfFirstCall(function));
        }
        double nsPerTick = Drive.Since(start) / (FloorBench.Ticks() - startTicks);
        growths = StackGrowth.Growths - growths;
        Drive.Check(growths >= goroutines, "stacks did not grow");
        return ticks * nsPerTick / growths;
    }

    private static long ExtraOfFirstCall(Action function)
    {
        long start = FloorBench.Ticks();
        function();
        long grown = FloorBench.Ticks();
        function();
        return (grown - start) - (FloorBench.Ticks() - grown);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    [SkipLocalsInit]
    private static unsafe int Recurse(int depth)
    {
        byte* frame = stackalloc byte[FrameBytes];
        frame[0] = (byte)depth;
        return depth == 0 ? 0 : Recurse(depth - 1) + frame[0];
    }
}
