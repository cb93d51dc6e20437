namespace Weft.Tests;

internal sealed class StatsTests
{
    [Test]
    public async Task EachRunOfAGoroutineIsCounted()
    {
        const int count = 1000;
        long before = Go.Stats().Runs;
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Go(static () => { });
        }
        done.Wait();

        await Assert.That(Go.Stats().Runs - before).IsGreaterThanOrEqualTo(count);
    }

    [Test]
    public async Task TheFiguresAreThoseOfTheRuntime()
    {
        Chan<bool> end = new();
        WaitGroup done = new();
        for (int i = 0; i < 10; i++)
        {
            done.Go(() => end.Receive());
        }
        RuntimeStats stats = Go.Stats();
        long goroutines = Go.Count;
        end.Close();
        done.Wait();

        await Assert.That(stats.Goroutines).IsEqualTo(goroutines);
        await Assert.That(stats.Processors).IsEqualTo(Go.MaxProcs);
        await Assert.That(stats.Machines).IsGreaterThan(0);
        await Assert.That(stats.IdleProcessors).IsBetween(0, stats.Processors);
        await Assert.That(stats.IdleMachines).IsBetween(0, stats.Machines);
        await Assert.That(stats.BlockedMachines).IsBetween(0, stats.Machines);
    }

    [Test]
    public async Task WhoBlocksInNativeCodeIsCounted()
    {
        const int count = 8;
        int blocked = 0;
        string? failure = Crew.Run(2, crew =>
        {
            for (int i = 0; i < count; i++)
            {
                crew.Start(asThread: false, () => BlockingTests.Block(300));
            }
            for (int i = 0; i < 250 && blocked < count; i++)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1));
                blocked = Go.Stats().BlockedMachines;
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(blocked).IsGreaterThanOrEqualTo(count);
    }

    // The one that waits for the next timer sleeps too.
    [Test]
    public async Task WhoSleepsUntilATimerIsNotCountedAsBlocked()
    {
        bool seen = false;
        string? failure = Crew.Run(2, crew =>
        {
            int ended = 0;
            crew.Thread(() =>
            {
                for (int i = 0; i < 20_000 && !seen; i++)
                {
                    Thread.Sleep(1);
                    RuntimeStats stats = Go.Stats();
                    seen = stats.BlockedMachines == 0 && stats.IdleProcessors == stats.Processors;
                }
                Volatile.Write(ref ended, 1);
            });
            while (Volatile.Read(ref ended) == 0)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(50));
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(seen).IsTrue();
    }
}
