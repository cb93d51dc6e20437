// A loop that calls nothing on each processor, and one goroutine that sleeps for a millisecond again and again: how
// late it wakes. Who computes is interrupted after 10 ms.

using System.Diagnostics;

namespace Weft.Bench;

internal static class HogBench
{
    private static readonly TimeSpan s_lasts = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan s_nap = TimeSpan.FromMilliseconds(1);

    internal static Question[] Questions => Drive.OnEach(processors =>
    [
        new Question(
            $"preempt_{processors}p",
            [
                new($"preempt_{processors}p_p50", "us", "asleep for 1 ms beside a busy loop on each processor: late by"),
                new($"preempt_{processors}p_p99", "us", "99th percentile"),
                new($"preempt_{processors}p_most", "us", "the latest"),
            ],
            () => Drive.On(processors, () => Sample(processors)),
            OwnProcess: false),
    ]);

    private static double[] Sample(int hogs)
    {
        bool stop = false;
        List<double> late = [];
        Action hog = () =>
        {
            while (!Volatile.Read(ref stop))
            {
            }
        };
        Action sleeper = () =>
        {
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < s_lasts)
            {
                long asleep = Stopwatch.GetTimestamp();
                Go.Sleep(s_nap);
                late.Add((Stopwatch.GetElapsedTime(asleep) - s_nap).TotalMicroseconds);
            }
            Volatile.Write(ref stop, true);
        };
        _ = Drive.Time([.. Enumerable.Repeat(hog, hogs), sleeper]);
        double[] sorted = [.. late.Order()];
        return [Drive.Percentile(sorted, 0.5), Drive.Percentile(sorted, 0.99), sorted[^1]];
    }
}
