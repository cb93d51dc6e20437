// The counter and those who wait on it.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class WaitGroupTests(int procs)
{
    [Test]
    public async Task WaitReturnsAtOnceWhileTheCounterIsZero()
    {
        WaitGroup group = new();
        group.Wait();
        group.Add(2);
        group.Add(-2);
        group.Wait();
        group.Add(0);
        group.Wait();
        string? failure = Crew.Run(procs, crew =>
        {
            group.Wait();
            new WaitGroup().Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WaitReturnsWhenTheLastIsDoneAndNotBefore()
    {
        const int Waiters = 100;
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            group.Add(3);
            group.Add(4);
            int woken = 0;
            for (int i = 0; i < Waiters; i++)
            {
                crew.GoAndPark(ParkReason.WaitGroup, () =>
                {
                    group.Wait();
                    Interlocked.Increment(ref woken);
                });
            }
            for (int i = 0; i < 4; i++)
            {
                crew.Thread(() =>
                {
                    group.Wait();
                    Interlocked.Increment(ref woken);
                });
            }
            for (int i = 0; i < 5; i++)
            {
                group.Done();
                Crew.LetOthersRun();
                crew.Equal(Volatile.Read(ref woken), 0, $"woken when {i + 1} of 7 were done");
            }
            group.Add(-2);
            crew.Until(() => Volatile.Read(ref woken) == Waiters + 4, "all who wait");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatWasWrittenBeforeDoneIsSeenAfterWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 1; round <= 200; round++)
            {
                int[] results = new int[20];
                WaitGroup group = new();
                int value = round;
                for (int i = 0; i < results.Length; i++)
                {
                    int index = i;
                    group.Go(() => results[index] = value);
                }
                group.Wait();
                crew.Expect(results.All(n => n == value), $"a result is missing in round {round}");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AGroupMayBeUsedAgainAsSoonAsWaitHasReturned()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            int done = 0;
            for (int round = 1; round <= 20_000 && !crew.Failed; round++)
            {
                int value = round;
                group.Go(() => Volatile.Write(ref done, value));
                group.Wait();
                crew.Equal(Volatile.Read(ref done), round, "the round that is done");
            }
        });

        await Assert.That(failure).IsNull();
    }

    // The one who brought the counter to zero is held up before it looks who waits, until a second round
    // has begun: it must not wake those who wait for that. The lock is how it is held up.
    [Test]
    public async Task TheLastOfARoundDoesNotWakeThoseOfTheNext()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 2000 && !crew.Failed; round++)
            {
                WaitGroup group = new();
                group.Add();
                crew.Go(group.Done);
                group.Wait(); // The one who made it zero may still be releasing.
                group.Add();
                bool done = false;
                crew.Go(() =>
                {
                    group.Wait();
                    crew.Expect(Volatile.Read(ref done), "Wait returned while the counter was 1");
                });
                Go.Yield();
                Volatile.Write(ref done, true);
                group.Done();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_count")]
    private static extern ref long CountField(WaitGroup group);

    private static long Counter(WaitGroup group) => Volatile.Read(ref CountField(group));

    [Test]
    public async Task WaitersAndTheLastDoneMeetInAnyOrder()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 2000; round++)
            {
                WaitGroup group = new();
                WaitGroup returned = new();
                group.Add(2);
                returned.Add(3);
                for (int i = 0; i < 2; i++)
                {
                    crew.Go(() =>
                    {
                        group.Wait();
                        returned.Done();
                    });
                    crew.Go(group.Done);
                }
                crew.Go(() =>
                {
                    group.Wait();
                    returned.Done();
                });
                returned.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ThreadsWaitAndCountDownToo()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 50; round++)
            {
                WaitGroup group = new();
                group.Add(4);
                for (int i = 0; i < 4; i++)
                {
                    crew.Start(i % 2 == 0, group.Wait);
                    crew.Start(i % 2 == 1, group.Done);
                }
                group.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task BelowZeroIsRefusedAndLeavesTheCounter()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            crew.Throws<InvalidOperationException>(group.Done, "Done at zero");
            crew.Throws<InvalidOperationException>(() => group.Add(int.MinValue), "far below zero");
            group.Wait();
            group.Add(2);
            bool woken = false;
            crew.GoAndPark(ParkReason.WaitGroup, () =>
            {
                group.Wait();
                Volatile.Write(ref woken, true);
            });
            crew.Throws<InvalidOperationException>(() => group.Add(-3), "3 of 2 done");
            crew.Equal(Counter(group), 2, "the counter");
            group.Done();
            Crew.LetOthersRun();
            crew.Expect(!Volatile.Read(ref woken), "woken at 1");
            group.Done();
            crew.Until(() => Volatile.Read(ref woken), "the one who waits");
            crew.Throws<InvalidOperationException>(group.Done, "Done at zero again");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheCounterHoldsMoreThanAnInt()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            for (int i = 0; i < 3; i++)
            {
                group.Add(int.MaxValue);
            }
            crew.Equal(Counter(group), 3L * int.MaxValue, "the counter");
            for (int i = 0; i < 3; i++)
            {
                group.Add(-int.MaxValue);
            }
            group.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task GoRefusesNullAndCountsNothing()
    {
        WaitGroup group = new();
        await Assert.That(() => group.Go(null!)).Throws<ArgumentNullException>();
        group.Wait();
    }

    [Test]
    public async Task AGoroutineThatExitsIsCountedDown()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            bool after = false;
            group.Go(() =>
            {
                Go.Exit();
                after = true;
            });
            group.Wait();
            crew.Expect(!after, "the goroutine went on after Exit");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task GoroutinesMayAddToTheGroupThatWaitsForThem()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            int leaves = 0;
            void Branch(int depth)
            {
                if (depth == 0)
                {
                    Interlocked.Increment(ref leaves);
                    return;
                }
                group.Go(() => Branch(depth - 1));
                group.Go(() => Branch(depth - 1));
            }
            Branch(11);
            group.Wait();
            crew.Equal(leaves, 2048, "the leaves");
        });

        await Assert.That(failure).IsNull();
    }
}
