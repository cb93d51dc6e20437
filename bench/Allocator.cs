// Who allocates objects of 32 bytes, keeping the last 1,024: how many a second, the longest pause by the
// collector's account, and the longest time between two batches of 200, in which a pause shows as well. And how
// long collections take. For goroutines and for tasks.

using System.Diagnostics;

namespace Weft.Bench;

internal readonly record struct Allocator(double PerSecond, double Pause, double Gap)
{
    private const int Batch = 200;
    private const int Kept = 1024;
    private const double UsPerNs = 1e-3;

    private sealed class Node
    {
        internal long First { get; init; }

        internal long Second { get; init; }
    }

    /// <summary>The rows of what allocates beside a crowd that waits.</summary>
    internal static Row[] Rows(string name, string crowd) =>
    [
        new($"{name}_collect0", "us", $"a generation 0 collection, {crowd}"),
        new($"{name}_full", "us", $"a full collection, {crowd}"),
        new($"{name}_alloc", "M/s", $"objects of 32 bytes that one makes beside {crowd}"),
        new($"{name}_pausemax", "us", "the longest pause meanwhile, by the collector's account"),
        new($"{name}_hiccup", "us", "the longest time between two batches of 200 objects"),
    ];

    /// <summary>For so long.</summary>
    internal static Allocator For(TimeSpan time)
    {
        Node[] kept = new Node[Kept];
        long made = 0;
        TimeSpan gap = default, pause = default, paused = GC.GetTotalPauseDuration();
        int collections = GC.CollectionCount(0);
        long start = Stopwatch.GetTimestamp(), last = start;
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            for (int i = 0; i < Batch; i++, made++)
            {
                kept[made % Kept] = new Node { First = made, Second = i };
            }
            long now = Stopwatch.GetTimestamp();
            gap = Longer(gap, Stopwatch.GetElapsedTime(last, now));
            last = now;
            if (GC.CollectionCount(0) is int count && count != collections)
            {
                TimeSpan sum = GC.GetTotalPauseDuration();
                pause = Longer(pause, (sum - paused) / (count - collections));
                (collections, paused, last) = (count, sum, Stopwatch.GetTimestamp());
            }
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        GC.KeepAlive(kept);
        return new Allocator(made / seconds / 1e6, pause.TotalMicroseconds, gap.TotalMicroseconds);
    }

    /// <summary>What several did at once.</summary>
    internal static double[] Sum(Allocator[] each) =>
        [each.Sum(one => one.PerSecond), each.Max(one => one.Pause), each.Max(one => one.Gap)];

    /// <summary>One collection, us.</summary>
    internal static double Collect(int generation)
    {
        const int times = 3;
        GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < times; i++)
        {
            GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        }
        return Drive.Since(start) / times * UsPerNs;
    }

    private static TimeSpan Longer(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
