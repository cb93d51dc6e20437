// The runtime starts when the first thread has to wait. When it does not start, that thread gets an exception,
// and what it waited for stays usable; an RWMutex, where a wait cannot be taken back, waits all the same.

using Weft.Runtime;

namespace Weft.Tests;

internal sealed class LockStartTests
{
    [Test]
    public async Task AStartThatFailsLeavesLocksUsable()
    {
        ChildResult child = ChildProcess.Run(
            "failed-start-locks", [], new() { ["WEFT_MAXPROCS"] = "none" }, TimeSpan.FromSeconds(20));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    internal static int FailedStart(string[] args)
    {
        Startup.OwnsProcess = false;
        using CancellationTokenSource source = new();
        Mutex mutex = new();
        Cond cond = new(mutex);
        Semaphore semaphore = new(1);
        mutex.Lock();
        semaphore.Acquire();
        for (int i = 0; i < 2; i++)
        {
            if (!Fails(mutex.Lock)
                || !Fails(() => mutex.Lock(source.Token))
                || !Fails(cond.Wait)
                || !Fails(() => semaphore.Acquire()))
            {
                return 1;
            }
        }
        cond.Signal();
        mutex.Unlock();
        semaphore.Release();
        if (!mutex.TryLock() || !semaphore.TryAcquire())
        {
            return 2;
        }

        RWMutex both = new();
        both.Lock();
        Thread reader = Start(both.RLock);
        Thread.Sleep(20);
        both.Unlock();
        reader.Join();
        Thread writer = Start(both.Lock);
        Thread.Sleep(20);
        both.RUnlock();
        writer.Join();
        return both.TryRLock() ? 3 : 0;
    }

    private static bool Fails(Action action)
    {
        try
        {
            action();
            return false;
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    private static Thread Start(ThreadStart action)
    {
        Thread thread = new(action) { IsBackground = true };
        thread.Start();
        return thread;
    }
}
