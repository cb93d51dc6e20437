// Mutexes: one goroutine that locks and unlocks; eight, or one for each processor, that want the same one. Beside
// the first the same with SemaphoreSlim and tasks, which is how asynchronous code of .NET waits for a lock. And
// an RWMutex that all read, and each writes once in 1,024 times, or in 100, or never.

using System.Diagnostics;

namespace Weft.Bench;

internal static class MutexBench
{
    private const int Locks = 1_000_000;
    private const int Contenders = 8;
    private const int ReadsAndWrite = 1024;

    internal static Question[] Questions => Drive.OnEach(Of);

    private static Question[] Of(int processors) =>
    [
        Question.One($"mutex_unc_{processors}p", "ns", "Mutex, nobody else wants it",
            () => Drive.On(processors, () => Goroutines(1))),
        Question.One($"mutex_cont8_{processors}p", "ns", "Mutex, eight goroutines want it",
            () => Drive.On(processors, () => Goroutines(Contenders))),
        Question.One($"mutex_cont_P_{processors}p", "ns", "Mutex, a goroutine for each processor wants it",
            () => Drive.On(processors, () => Goroutines(processors))),
        Question.One($"rwmutex_{processors}p", "ns", "RWMutex, a goroutine for each processor, 1,023 reads to a write",
            () => Drive.On(processors, () => ReadMostly(processors, ReadsAndWrite))),
        Question.One($"rwmutex_100_{processors}p", "ns", "RWMutex, a goroutine for each processor, 99 reads to a write",
            () => Drive.On(processors, () => ReadMostly(processors, 100))),
        Question.One($"rwmutex_read_{processors}p", "ns", "RWMutex, a goroutine for each processor, which reads",
            () => Drive.On(processors, () => ReadMostly(processors, int.MaxValue))),
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
        double time = Drive.Time(contenders, () =>
        {
            for (int i = 0; i < each; i++)
            {
                mutex.Lock();
                count++;
                mutex.Unlock();
            }
        });
        Drive.Check(count == each * contenders, "the mutex did not exclude");
        return time / count;
    }

    private static double ReadMostly(int goroutines, int every)
    {
        RWMutex mutex = new();
        int each = Locks / goroutines;
        int value = 0;
        double time = Drive.Time(goroutines, () =>
        {
            long seen = 0;
            int untilWrite = every; // A division takes as long as the lock.
            for (int i = 1; i <= each; i++)
            {
                if (--untilWrite == 0)
                {
                    untilWrite = every;
                    mutex.Lock();
                    value++;
                    mutex.Unlock();
                }
                else
                {
                    mutex.RLock();
                    seen += value;
                    mutex.RUnlock();
                }
            }
            GC.KeepAlive(seen);
        });
        Drive.Check(value == each / every * goroutines, "the mutex did not exclude");
        return time / (each * goroutines);
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
