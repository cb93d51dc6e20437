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
    }
}
