// Timers: setting one and having it fire, and setting one that is stopped before. Beside each the same with
// Task.Delay, in goroutines of their own here, in the thread pool there.
//
// timer_fire: all are set for a time that passes while they are being set, so that the row has no waiting in
// it, only the work. sleep_fire is the same for goroutines that sleep.
//
// timers: 100,000 goroutines that sleep for 1 to 50 ms from when each starts: how late they wake.

using System.Diagnostics;

namespace Weft.Bench;

internal static class TimerBench
{
    private const int Timers = 100_000;

    internal static Question[] Questions =>
    [
        .. Drive.OnEach(Of),
        Question.One("timer_fire_task_delay", "ns", "Task.Delay(1 ms), 100,000 at a time", DelayFire),
        Question.One("timer_stop_task_delay", "ns", "Task.Delay of an hour and its cancellation", DelayStop),
    ];

    private static Question[] Of(int processors) =>
    [
        Question.One($"timer_fire_{processors}p", "ns", "AfterFunc of 1 ms, 100,000 at a time",
            () => Drive.On(processors, Fire)),
        Question.One($"sleep_fire_{processors}p", "ns", "Go.Sleep of 1 ms, 100,000 goroutines, with their start",
            () => Drive.On(processors, Sleep)),
        new Question(
            $"timers_{processors}p",
            [
                new($"timers_{processors}p_p50", "us", "100,000 goroutines asleep for 1 to 50 ms: late by, median"),
                new($"timers_{processors}p_p99", "us", "99th percentile"),
            ],
            () => Drive.On(processors, Late),
            OwnProcess: false),
        Question.One($"timer_stop_{processors}p", "ns", "a timer of an hour set and stopped, 1,000 others set",
            () => Drive.On(processors, Stop)),
        Question.One($"timer_reset_{processors}p", "ns", "a timer of an hour set again, 1,000 others set",
            () => Drive.On(processors, Reset)),
    ];

    private static double Fire()
    {
        WaitGroup done = new();
        done.Add(Timers);
        Action fired = done.Done;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            _ = Timer.AfterFunc(TimeSpan.FromMilliseconds(1), fired);
        }
        done.Wait();
        return Drive.Since(start) / Timers;
    }

    private static double Sleep()
    {
        WaitGroup done = new();
        done.Add(Timers);
        Action<WaitGroup> sleep = static done =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
            done.Done();
        };
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            Go.Run(sleep, done);
        }
        done.Wait();
        return Drive.Since(start) / Timers;
    }

    private static double[] Late()
    {
        double[] late = new double[Timers];
        WaitGroup done = new();
        done.Add(Timers);
        Action<int> sleep = number =>
        {
            long start = Stopwatch.GetTimestamp();
            TimeSpan time = TimeSpan.FromMilliseconds(1 + (number * 7 % 50));
            Go.Sleep(time);
            late[number] = (Stopwatch.GetElapsedTime(start) - time).TotalMicroseconds;
            done.Done();
        };
        for (int i = 0; i < Timers; i++)
        {
            Go.Run(sleep, i);
        }
        done.Wait();
        Array.Sort(late);
        return [Drive.Percentile(late, 0.5), Drive.Percentile(late, 0.99)];
    }

    private static double Stop() => Beside(1000, () =>
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            _ = new Timer(TimeSpan.FromHours(1)).Stop();
        }
        return Drive.Since(start) / Timers;
    });

    private static double Reset() => Beside(1000, () =>
    {
        Timer timer = new(TimeSpan.FromHours(1));
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            _ = timer.Reset(TimeSpan.FromHours(1));
        }
        double time = Drive.Since(start) / Timers;
        _ = timer.Stop();
        return time;
    });

    private static double Beside(int others, Func<double> benchmark)
    {
        Timer[] timers = [.. Enumerable.Range(1, others).Select(i => new Timer(TimeSpan.FromMinutes(30 + i)))];
        double result = benchmark();
        foreach (Timer timer in timers)
        {
            _ = timer.Stop();
        }
        return result;
    }

    private static double DelayFire()
    {
        Task[] tasks = new Task[Timers];
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            tasks[i] = Task.Delay(1);
        }
        Task.WaitAll(tasks);
        return Drive.Since(start) / Timers;
    }

    private static double DelayStop()
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Timers; i++)
        {
            using CancellationTokenSource source = new();
            Task delay = Task.Delay(TimeSpan.FromHours(1), source.Token);
            source.Cancel();
            Drive.Check(delay.IsCanceled, "the delay was not cancelled");
        }
        return Drive.Since(start) / Timers;
    }
}
