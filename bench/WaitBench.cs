// What the base library's own waits cost on goroutines: memory and threads of a crowd that waits, a pipeline of
// BlockingCollections, hand-overs by an event and by a semaphore, a lock and an event that nobody waits for.

using System.Collections.Concurrent;
using System.Diagnostics;

namespace Weft.Bench;

internal static class WaitBench
{
    private const int Crowd = 100_000;
    private const int Stages = 1_000;
    private const int Capacity = 8;
    private const int Elements = 500;
    private const int HandOvers = 100_000;
    private const int Locks = 5_000_000;
    private const double NsPerSecond = 1e9;
    private const double NsPerUs = 1e3;

    internal static Question[] Questions =>
    [
        Waiters("wait_sleep_100k_2p", "in Thread.Sleep(1000)", () => Thread.Sleep(1000)),
        Waiters("wait_task_100k_2p", "in Task.Wait on one task of a second", Task.Delay(1000).Wait),
        Question.One("wait_pipeline_1000_2p", "s", $"BlockingCollection, {Stages:N0} stages, {Elements} elements",
            () => Drive.On(2, Pipeline), ownProcess: true),
        Question.One("wait_event_1p", "us", "hand-over by AutoResetEvent", () => Drive.On(1, ByEvent)),
        Question.One("wait_semslim_1p", "us", "hand-over by SemaphoreSlim", () => Drive.On(1, BySemaphore)),
        Question.One("lock_unc_1p", "ns", "lock, nobody else wants it", () => Drive.On(1, Uncontended)),
        Question.One("lock_unc_thread", "ns", "the same on a thread", Uncontended),
        Question.One("event_unc_1p", "ns", "AutoResetEvent, set and wait", () => Drive.On(1, SetAndWait)),
        Question.One("event_unc_thread", "ns", "the same on a thread", SetAndWait),
    ];

    private static Question Waiters(string name, string how, Action wait)
    {
        Row[] rows =
        [
            new($"{name}_time", "s", $"{Crowd:N0} goroutines {how}, all"),
            new($"{name}_threads", "threads", "most while they wait"),
            new($"{name}_rss", "B", "resident, each"),
        ];
        return new Question(name, rows, () => Drive.On(2, () => Sample(wait)), OwnProcess: true);
    }

    private static double[] Sample(Action wait)
    {
        long before = Environment.WorkingSet;
        long resident = 0;
        double time = 0;
        int threads = Threads.Most(() =>
        {
            WaitGroup done = new();
            int ended = 0;
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Crowd; i++)
            {
                done.Go(() =>
                {
                    wait();
                    if (Interlocked.Increment(ref ended) == 1)
                    {
                        resident = Environment.WorkingSet - before;
                    }
                });
            }
            done.Wait();
            time = Drive.Since(start) / NsPerSecond;
        });
        return [time, threads, (double)resident / Crowd];
    }

    private static double Pipeline()
    {
        BlockingCollection<int>[] pipes =
            [.. Enumerable.Range(0, Stages + 1).Select(_ => new BlockingCollection<int>(Capacity))];
        long sum = 0;
        Action[] functions =
        [
            () =>
            {
                for (int i = 1; i <= Elements; i++)
                {
                    pipes[0].Add(i);
                }
                pipes[0].CompleteAdding();
            },
            .. Enumerable.Range(0, Stages).Select<int, Action>(stage => () =>
            {
                foreach (int element in pipes[stage].GetConsumingEnumerable())
                {
                    pipes[stage + 1].Add(element);
                }
                pipes[stage + 1].CompleteAdding();
            }),
            () => sum = pipes[Stages].GetConsumingEnumerable().Sum(element => (long)element),
        ];
        double time = Drive.Time(functions);
        Drive.Check(sum == Elements * (Elements + 1L) / 2, "an element was lost");
        return time / NsPerSecond;
    }

    private static double ByEvent()
    {
        using AutoResetEvent there = new(false);
        using AutoResetEvent back = new(false);
        return Drive.Time(
            () => Turns(() => there.Set(), () => back.WaitOne()),
            () => Turns(() => there.WaitOne(), () => back.Set())) / (2 * HandOvers) / NsPerUs;
    }

    private static double BySemaphore()
    {
        using SemaphoreSlim there = new(0);
        using SemaphoreSlim back = new(0);
        return Drive.Time(
            () => Turns(() => there.Release(), back.Wait),
            () => Turns(there.Wait, () => back.Release())) / (2 * HandOvers) / NsPerUs;
    }

    private static void Turns(Action first, Action second)
    {
        for (int i = 0; i < HandOvers; i++)
        {
            first();
            second();
        }
    }

    private static double Uncontended()
    {
        Lock gate = new();
        int count = 0;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Locks; i++)
        {
            lock (gate)
            {
                count++;
            }
        }
        return Drive.Since(start) / count;
    }

    private static double SetAndWait()
    {
        using AutoResetEvent signal = new(false);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Locks / 5; i++)
        {
            signal.Set();
            signal.WaitOne();
        }
        return Drive.Since(start) / (Locks / 5);
    }
}
