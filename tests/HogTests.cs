// No goroutine keeps another from running, whatever it does again and again.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class HogTests
{
    private const int Nappers = 40;
    private const int MostNaps = 40_000;

    public static IEnumerable<Func<(string Kind, int Procs)>> Kinds()
    {
        foreach (string kind in Hogs.Steps.Keys)
        {
            yield return () => (kind, 1);
            yield return () => (kind, 2);
        }
    }

    [Test]
    [MethodDataSource(nameof(Kinds))]
    public async Task ASleeperGetsItsTurns(string kind, int procs)
    {
        Skip.When(!Qemu.HasTls && kind == "sha256", Qemu.NoTls);
        List<double> late = [];
        string? failure = Crew.Run(
            procs, _ => late = Hogs.Beside(kind, procs, TimeSpan.FromSeconds(5), sleeps: 15));

        await Assert.That(failure).IsNull();
        // A slice is 10 ms; generous, because the machine may be busy. Most of these took 80 ms to 20 s.
        await Assert.That(late[late.Count / 2]).IsLessThan(50);
    }

    // The allocator lets them wait for the background collection: it runs for milliseconds, and often.
    [Test]
    public async Task WhoWaitsForACollectionToAllocateKeepsNoProcessor()
    {
        bool seen = false;
        bool stop = false;
        string? failure = Crew.Run(2, crew =>
        {
            for (int i = 0; i < 2; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                        Hogs.Steps["alloc100k"]();
                    }
                });
            }
            crew.Thread(() =>
            {
                long start = Stopwatch.GetTimestamp();
                while (!seen && Stopwatch.GetElapsedTime(start) < Qemu.Limit(TimeSpan.FromSeconds(20)))
                {
                    seen = AnyWaitsToAllocateWithoutAProcessor();
                }
                Volatile.Write(ref stop, true);
            });
        });

        await Assert.That(failure).IsNull();
        await Assert.That(seen).IsTrue();
    }

    private static unsafe bool AnyWaitsToAllocateWithoutAProcessor()
    {
        const int Waits = 2; // ALLOCATES_WAITS of asm/context.h.
        for (Machine* m = GcRoots.Machines; m != null; m = m->AllLink)
        {
            if (Volatile.Read(ref m->Allocates) == Waits && m->Processor == null)
            {
                return true;
            }
        }
        return false;
    }

    // The sleeper comes before the loop that has just used its slice, also where the global queue is due.
    [Test]
    public async Task ALoopGetsOneSliceForEachTurnOfASleeper()
    {
        const int turns = 40;
        long slices = 0;
        string? failure = Crew.Run(1, _ =>
        {
            long before = Scheduler.Preemptions;
            List<double> late = Hogs.Beside("empty", hogs: 1, TimeSpan.FromSeconds(10), turns);
            slices = Scheduler.Preemptions - before;
        });

        await Assert.That(failure).IsNull();
        await Assert.That(slices).IsGreaterThan(turns / 2);
        await Assert.That(slices).IsLessThan(turns * 3 / 2);
    }

    // Each of their calls has the processor taken away, and ends in the stopped half of the global queue.
    [Test]
    [Arguments(1, "sleep")]
    [Arguments(2, "sleep")]
    [Arguments(4, "sleep")]
    [Arguments(1, "chan")]
    [Arguments(1, "yield")]
    [Arguments(1, "global")]
    public async Task ThoseWhoBlockAgainAndAgainKeepNobodyWaiting(int procs, string other)
    {
        const int turns = 50;
        int taken = 0;
        long naps = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            WaitGroup done = new();
            for (int i = 0; i < Nappers; i++)
            {
                done.Go(() =>
                {
                    while (!Volatile.Read(ref stop) && Interlocked.Increment(ref naps) < MostNaps)
                    {
                        _ = Hogs.Nap(500);
                    }
                });
            }
            Chan<int> ping = new();
            Chan<int> pong = new();
            done.Go(() =>
            {
                while (ping.Receive(out int value))
                {
                    pong.Send(value);
                }
            });
            for (; taken < turns && Volatile.Read(ref naps) < MostNaps; taken++)
            {
                TakeTurn(other, ping, pong);
            }
            Volatile.Write(ref stop, true);
            ping.Close();
            done.Wait();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(taken).IsEqualTo(turns);
        await Assert.That(naps).IsLessThan(MostNaps);
    }

    private static void TakeTurn(string kind, Chan<int> ping, Chan<int> pong)
    {
        switch (kind)
        {
            case "sleep":
                Go.Sleep(TimeSpan.FromMilliseconds(1));
                break;
            case "chan":
                ping.Send(1);
                _ = pong.Receive();
                break;
            case "yield":
                Go.Yield();
                break;
            default: // A thread makes it ready, in the other half of the global queue.
                Task.Run(() => ping.Send(1)).ContinueWith(_ => { }, TaskScheduler.Default);
                _ = pong.Receive();
                break;
        }
    }

    // The other way round: two that never leave the local queue empty do not keep out those who come back
    // from native code.
    [Test]
    public async Task ThoseWhoComeBackFromNativeCodeGetTheirTurnBesideTwoThatYield()
    {
        const int most = 20_000_000;
        long yields = 0;
        int returns = 0;
        string? failure = Crew.Run(1, crew =>
        {
            bool stop = false;
            WaitGroup done = new();
            for (int i = 0; i < 2; i++)
            {
                done.Go(() =>
                {
                    while (!Volatile.Read(ref stop) && yields++ < most)
                    {
                        Go.Yield();
                    }
                });
            }
            while (returns < 50 && yields < most)
            {
                _ = Hogs.Nap(100);
                returns++;
            }
            Volatile.Write(ref stop, true);
            done.Wait();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(returns).IsEqualTo(50);
        await Assert.That(yields).IsLessThan(most);
    }
}
