// Starting goroutines that do nothing, and waiting for them.
//
// spawn_join starts a million before it waits. On one processor none of them runs until then, so
// all exist at once: it measures fresh memory as much as the scheduler. spawn_pooled waits after
// every 16,000, so after the first round each reuses the memory of one that ended. spawn_200k starts 200,000
// in a new process, and again in that process.

using System.Diagnostics;

namespace Weft.Bench;

internal static class SpawnBench
{
    private const int Goroutines = 1_000_000;
    private const int Fewer = 200_000;
    private const int PooledGoroutines = 320_000;
    private const int PooledAtOnce = 16_000;

    internal static Question[] Questions => Drive.OnEach(Of);

    private static Question[] Of(int processors) =>
    [
        Question.One($"spawn_join_{processors}p", "ns", "start a million, then wait for all",
            () => Drive.On(processors, () => Spawn(Goroutines, Goroutines)), ownProcess: true),
        Question.One($"spawn_pooled_{processors}p", "ns", "start and wait, 16,000 at a time",
            () => Drive.On(processors, () => Spawn(PooledGoroutines, PooledAtOnce))),
        new Question(
            $"spawn_200k_both_{processors}p",
            [
                new($"spawn_200k_first_{processors}p", "ns", "start 200,000, then wait for all, new process"),
                new($"spawn_200k_{processors}p", "ns", "the same again in that process"),
            ],
            () => Drive.On(processors, () => new[] { Spawn(Fewer, Fewer), Spawn(Fewer, Fewer) }),
            OwnProcess: true),
    ];

    internal static double Spawn(int goroutines, int atOnce)
    {
        WaitGroup done = new();
        long start = Stopwatch.GetTimestamp();
        for (int started = 0; started < goroutines; started += atOnce)
        {
            done.Add(atOnce);
            for (int i = 0; i < atOnce; i++)
            {
                Go.Run(static done => done.Done(), done);
            }
            done.Wait();
        }
        return Drive.Since(start) / goroutines;
    }
}
