// A million goroutines asleep, or a million timers set, each until a random moment of one second: how late they
// wake. All are asleep before the first is due. A new process for each sample: memory that was never used before.

using System.Diagnostics;

namespace Weft.Bench;

internal static class SleeperBench
{
    private const int Sleepers = 1_000_000;
    private const int Trial = 20_000;

    internal static Question[] Questions => Drive.OnEach(processors =>
    [
        Of($"sleepers_1m_{processors}p", "a million asleep", () => Drive.On(processors, Asleep)),
        Of($"timers_1m_{processors}p", "a million AfterFunc set", () => Drive.On(processors, Set)),
    ]);

    private static Question Of(string name, string them, Func<double[]> sample)
    {
        Row[] rows =
        [
            new($"{name}_p50", "us", $"{them}, due within one second: late by, median"),
            new($"{name}_p99", "us", "99th percentile"),
            new($"{name}_most", "us", "the latest"),
        ];
        return new Question(name, rows, sample, OwnProcess: true);
    }

    private static double[] Asleep()
    {
        int asleep = 0;
        return Late(
            wakes =>
            {
                Action<int> sleeper = number =>
                {
                    Interlocked.Increment(ref asleep);
                    Go.Sleep(wakes.Until(number));
                    wakes.Now(number);
                };
                return number => Go.Run(sleeper, number); // No object for each but the goroutine.
            },
            () => Volatile.Read(ref asleep));
    }

    private static double[] Set()
    {
        int set = 0;
        return Late(
            wakes => number =>
            {
                _ = Timer.AfterFunc(wakes.Until(number), () => wakes.Now(number));
                set++;
            },
            () => set);
    }

    /// <summary>When each is due, and by how much it woke too late.</summary>
    private sealed class Wakes(double first)
    {
        private readonly long _start = Stopwatch.GetTimestamp();
        private readonly double[] _due = // In us from the start.
            [.. Enumerable.Range(0, Sleepers).Select(_ => first + Random.Shared.Next(1_000, 1_000_000))];

        internal double[] Late { get; } = new double[Sleepers];

        internal WaitGroup Left { get; } = new();

        internal double Elapsed => Drive.Since(_start) / 1000;

        internal TimeSpan Until(int number) => TimeSpan.FromMicroseconds(_due[number] - Elapsed);

        internal void Now(int number)
        {
            Late[number] = Elapsed - _due[number];
            Left.Done();
        }
    }

    private static double[] Late(Func<Wakes, Action<int>> starter, Func<int> started)
    {
        double first = 10 * Sleepers * TimeToStart(); // Longer than it takes, on a machine whose speed changes.
        Wakes wakes = new(first);
        wakes.Left.Add(Sleepers);
        Action<int> start = starter(wakes);
        for (int i = 0; i < Sleepers; i++)
        {
            start(i);
        }
        while (started() < Sleepers)
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
        }
        Drive.Check(wakes.Elapsed < first, "some were due before all were asleep");
        wakes.Left.Wait();
        double[] late = wakes.Late;
        Array.Sort(late);
        Drive.Check(late[0] >= 0, "one woke too early");
        return [Drive.Percentile(late, 0.5), Drive.Percentile(late, 0.99), late[^1]];
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
