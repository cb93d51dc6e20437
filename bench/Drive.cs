// What every benchmark needs, of Weft or of tasks: a clock, and on how many processors to ask.

using System.Diagnostics;

namespace Weft.Bench;

internal static partial class Drive
{
    /// <summary>1, 2, 4, 8 and so on, and all that there are; 1 and 2 on every machine.</summary>
    internal static int[] Processors { get; } = PowersOfTwo(Math.Max(2, Environment.ProcessorCount));

    /// <summary>Questions that are asked on each number of processors.</summary>
    internal static Question[] OnEach(Func<int, IEnumerable<Question>> of) => [.. Processors.SelectMany(of)];

    /// <summary>Questions that take long: on one, and on all.</summary>
    internal static Question[] OnOneAndAll(Func<int, IEnumerable<Question>> of) => [.. of(1), .. of(Processors[^1])];

    /// <summary>What so much of a sorted array is below.</summary>
    internal static double Percentile(double[] sorted, double part) => sorted[(int)(sorted.Length * part)];

    /// <summary>Starts tasks that run on as many threads of the pool at a time.</summary>
    internal static TaskFactory Tasks(int processors) => new(
        new ConcurrentExclusiveSchedulerPair(TaskScheduler.Default, processors).ConcurrentScheduler);

    /// <summary>Nanoseconds since a time stamp.</summary>
    internal static double Since(long start) => Stopwatch.GetElapsedTime(start).TotalNanoseconds;

    /// <summary>A benchmark that did not do its work must not give a number.</summary>
    internal static void Check(bool condition, string what)
    {
        if (!condition)
        {
            throw new InvalidOperationException($"benchmark: {what}");
        }
    }

    private static int[] PowersOfTwo(int most) =>
        [.. Enumerable.Range(0, 31).Select(bits => 1 << bits).Where(count => count < most), most];
}
