// A million goroutines asleep, each until a random moment of one second: how late they wake. All are asleep
// before the first is due. A new process for each sample: memory that was never used before.

using System.Diagnostics;

namespace Weft.Bench;

internal static class SleeperBench
{
    private const int Sleepers = 1_000_000;
    private const int Trial = 20_000;

    internal static Question[] Questions => [Of(1), Of(2)];

    private static Question Of(int processors)
    {
        Row[] rows =
        [
            new($"sleepers_1m_{processors}p_p50", "us", "a million asleep, due within one second: late by, median"),
            new($"sleepers_1m_{processors}p_p99", "us", "99th percentile"),
            new($"sleepers_1m_{processors}p_most", "us", "the latest"),
        ];
        return new Question(
            $"sleepers_1m_{processors}p", rows, () => Drive.On(processors, Sample), OwnProcess: true);
    }

    private static double[] Sample()
    {
        float[] late = new float[Sleepers];
        double[] due = new double[Sleepers]; // In us from the start.
        WaitGroup done = new();
        done.Add(Sleepers);
        int started = 0;
        long start = Stopwatch.GetTimestamp();
        Action<int> sleeper = number =>
        {
            double moment = due[number];
            Interlocked.Increment(ref started);
            Go.Sleep(TimeSpan.FromMicroseconds(moment - (Drive.Since(start) / 1000)));
            late[number] = (float)((Drive.Since(start) / 1000) - moment);
            done.Done();
        };
        double first = 4 * Sleepers * TimeToStart(); // Longer than it takes, on a machine whose speed changes.
        for (int i = 0; i < Sleepers; i++)
        {
            due[i] = first + Random.Shared.Next(1_000, 1_000_000);
            Go.Run(sleeper, i);
        }
        while (Volatile.Read(ref started) < Sleepers)
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
        }
        Drive.Check(Drive.Since(start) < first * 1000, "some were due before all were asleep");
        done.Wait();
        Array.Sort(late);
        Drive.Check(late[0] >= 0, "a goroutine woke too early");
        return [late[Sleepers / 2], late[(int)(Sleepers * 0.99)], late[^1]];
    }

    /// <summary>Microseconds to start a goroutine that sleeps, in memory never used before.</summary>
    private static double TimeToStart()
    {
        WaitGroup done = new();
        done.Add(Trial);
        Action<WaitGroup> sleeper = static done =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
            done.Done();
        };
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Trial; i++)
        {
            Go.Run(sleeper, done);
        }
        double time = Drive.Since(start) / 1000 / Trial;
        done.Wait();
        return time;
    }
}
