// What waiting goroutines cost the collector, which looks through all their stacks: time of one
// collection of generation 0 and of all generations, with a heap that is otherwise almost empty.
// Called from a thread: every goroutine waits.
//
// And how long the world stands still with a hundred that compute, goroutines or threads.

using System.Diagnostics;

namespace Weft.Bench;

internal static class GcBench
{
    private const int Collections = 10;
    private const double NsPerMs = 1e6;

    internal static Question[] Questions =>
    [
        Of("gc_parked_0", 0),
        Of("gc_parked_10k", 10_000),
        Of("gc_parked_100k", 100_000),
        Of("gc_parked_1m", 1_000_000),
        Question.One(
            "gc_running_goroutines",
            "ms",
            "the pause of a generation 0 collection, 100 goroutines computing on 2 processors",
            () => PauseWith(work => Go.Run(work)),
            ownProcess: true),
        Question.One(
            "gc_running_threads",
            "ms",
            "the same with 100 threads",
            () => PauseWith(work => new Thread(() => work()) { IsBackground = true }.Start()),
            ownProcess: true),
    ];

    private static Question Of(string name, int count)
    {
        Row[] rows =
        [
            new($"{name}_gen0", "ms", $"a generation 0 collection, {count:N0} goroutines waiting"),
            new($"{name}_gen2", "ms", $"a full collection, {count:N0} goroutines waiting"),
        ];
        return new Question(name, rows, () => Sample(count), OwnProcess: true);
    }

    private static double[] Sample(int count)
    {
        Parked crowd = Drive.On(2, () => new Parked(count));
        double[] result = [Collect(0), Collect(2)];
        _ = Drive.On(2, crowd.Wake);
        return result;
    }

    private static double PauseWith(Action<Action> start)
    {
        const int count = 100;
        Go.MaxProcs = 2;
        int begun = 0;
        bool stop = false;
        for (int i = 0; i < count; i++)
        {
            start(() =>
            {
                Interlocked.Increment(ref begun);
                object[] kept = new object[16];
                for (int n = 0; !Volatile.Read(ref stop); n++)
                {
                    kept[n % kept.Length] = n;
                }
            });
        }
        while (Volatile.Read(ref begun) < count)
        {
            Thread.Sleep(1);
        }
        TimeSpan before = GC.GetTotalPauseDuration();
        int collections = GC.CollectionCount(0);
        for (int i = 0; i < Collections; i++)
        {
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        }
        TimeSpan paused = GC.GetTotalPauseDuration() - before;
        collections = GC.CollectionCount(0) - collections;
        Volatile.Write(ref stop, true);
        return paused.TotalMilliseconds / collections;
    }

    private static double Collect(int generation)
    {
        GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Collections; i++)
        {
            GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        }
        return Drive.Since(start) / Collections / NsPerMs;
    }
}
