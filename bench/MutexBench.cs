// Mutexes: one goroutine that locks and unlocks, and eight that want the same one. Beside each the same with
// SemaphoreSlim and tasks, which is how asynchronous code of .NET waits for a lock.

using System.Diagnostics;

namespace Weft.Bench;

internal static class MutexBench
{
    private const int Locks = 1_000_000;
    private const int Contenders = 8;

    internal static Question[] Questions => [.. Of(1), .. Of(2)];

    private static Question[] Of(int processors) =>
    [
        Question.One($"mutex_unc_{processors}p", "ns", "Mutex, nobody else wants it",
            () => Drive.On(processors, () => Goroutines(1))),
        Question.One($"mutex_cont8_{processors}p", "ns", "Mutex, eight goroutines want it",
            () => Drive.On(processors, () => Goroutines(Contenders))),
        Question.One($"semslim_unc_{processors}p", "ns", "SemaphoreSlim, nobody else wants it",
            () => Tasks(processors, 1)),
        Question.One($"semslim_cont8_{processors}p", "ns", "SemaphoreSlim, eight tasks want it",
            () => Tasks(processors, Contenders)),
    ];

    private static double Goroutines(int contenders)
    {
        Mutex mutex = new();
        int each = Locks / contenders;
        int count = 0;
        Action work = () =>
        {
            for (int i = 0; i < each; i++)
            {
                mutex.Lock();
                count++;
                mutex.Unlock();
            }
        };
        double time = Drive.Time([.. Enumerable.Repeat(work, contenders)]);
        Drive.Check(count == Locks, "the mutex did not exclude");
        return time / Locks;
    }

    private static double Tasks(int processors, int contenders)
    {
        using SemaphoreSlim semaphore = new(1);
        TaskFactory factory = Drive.Tasks(processors);
        int each = Locks / contenders;
        int count = 0;
        long start = Stopwatch.GetTimestamp();
        Task.WaitAll([.. Enumerable.Range(0, contenders).Select(_ => factory.StartNew(async () =>
        {
            for (int i = 0; i < each; i++)
            {
                await semaphore.WaitAsync();
                count++;
                semaphore.Release();
            }
        }).Unwrap())]);
        double time = Drive.Since(start);
        Drive.Check(count == Locks, "the semaphore did not exclude");
        return time / Locks;
    }
}
