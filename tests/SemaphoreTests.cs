// Units are neither lost nor invented, and those who wait are served in their order.

using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class SemaphoreTests(int procs)
{
    /// <summary>Nobody has any of it, and nobody waits.</summary>
    private static void ExpectFree(Crew crew, Semaphore semaphore)
    {
        crew.Expect(semaphore.TryAcquire(semaphore.Size), "all of it is free");
        semaphore.Release(semaphore.Size);
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task NoMoreIsOutThanThereIs(int threads)
    {
        const int Size = 10;
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(Size);
            WaitGroup done = new();
            long held = 0;
            for (int i = 0; i < 16; i++)
            {
                int id = i;
                done.Add();
                crew.Start(id < threads, () =>
                {
                    Random random = new(id);
                    for (int round = 0; round < 300; round++)
                    {
                        int count = random.Next(Size + 1);
                        if (round % 4 != 0 || !semaphore.TryAcquire(count))
                        {
                            semaphore.Acquire(count);
                        }
                        long sum = Interlocked.Add(ref held, count);
                        crew.Expect(sum <= Size, $"{sum} are out");
                        Go.Yield();
                        Interlocked.Add(ref held, -count);
                        semaphore.Release(count);
                    }
                    done.Done();
                });
            }
            done.Wait();
            ExpectFree(crew, semaphore);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TryAcquireTakesWhatThereIsAndNoMore()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(2);
            crew.Expect(semaphore.TryAcquire(1), "1 of 2");
            crew.Expect(!semaphore.TryAcquire(2), "2 of 1");
            crew.Expect(!semaphore.TryAcquire(3), "3 of 1");
            crew.Expect(semaphore.TryAcquire(1), "1 of 1");
            crew.Expect(!semaphore.TryAcquire(1), "1 of 0");
            crew.Expect(semaphore.TryAcquire(0), "0 of 0");
            semaphore.Release(2);
            crew.Expect(semaphore.TryAcquire(2), "2 of 2");
            crew.Equal(semaphore.Size, 2, "the size");
            crew.Expect(!new Semaphore(0).TryAcquire(), "1 of none at all");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatMakesNoSenseIsRefusedAndChangesNothing()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(2);
            crew.Throws<InvalidOperationException>(() => semaphore.Release(), "of a new one");
            semaphore.Acquire();
            crew.Throws<InvalidOperationException>(() => semaphore.Release(2), "2 of 1");
            crew.Throws<InvalidOperationException>(() => semaphore.Release(long.MaxValue), "too much");
            crew.Throws<ArgumentOutOfRangeException>(() => semaphore.Release(-1), "Release(-1)");
            crew.Throws<ArgumentOutOfRangeException>(() => semaphore.Acquire(-1), "Acquire(-1)");
            crew.Throws<ArgumentOutOfRangeException>(() => semaphore.TryAcquire(-1), "TryAcquire(-1)");
            crew.Throws<ArgumentOutOfRangeException>(() => semaphore.Acquire(3), "more than there is");
            crew.Throws<ArgumentOutOfRangeException>(() => _ = new Semaphore(-1), "a negative size");
            semaphore.Release();
            ExpectFree(crew, semaphore);
            Semaphore large = new(long.MaxValue);
            large.Acquire(long.MaxValue);
            crew.Expect(!large.TryAcquire(long.MaxValue), "twice all of it");
            large.Release(long.MaxValue);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ABigRequestIsNotStarvedBySmallOnes()
    {
        const int Size = 8;
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(Size);
            bool stop = false;
            WaitGroup running = new();
            running.Add(Size);
            for (int i = 0; i < Size; i++)
            {
                crew.Go(() =>
                {
                    semaphore.Acquire();
                    running.Done();
                    while (!Volatile.Read(ref stop))
                    {
                        Go.Yield();
                        semaphore.Release();
                        semaphore.Acquire();
                    }
                    semaphore.Release();
                });
            }
            running.Wait();
            semaphore.Acquire(Size);
            crew.Expect(!semaphore.TryAcquire(), "a small one beside all of it");
            Volatile.Write(ref stop, true);
            semaphore.Release(Size);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ThoseWhoWaitAreServedInOrderOfArrival()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(10);
            semaphore.Acquire(10);
            int woken = 0;
            List<int> order = [];
            int[] counts = [1, 9, 2, 3, 0, 10, 1];
            for (int i = 0; i < counts.Length; i++)
            {
                int id = i;
                crew.GoAndPark(ParkReason.Semaphore, () =>
                {
                    semaphore.Acquire(counts[id]);
                    lock (order)
                    {
                        order.Add(id);
                    }
                    Interlocked.Increment(ref woken);
                });
            }
            void Expect(int released, int expected)
            {
                semaphore.Release(released);
                crew.Until(() => Volatile.Read(ref woken) >= expected, $"{expected} to be served");
                Crew.LetOthersRun();
                crew.Equal(Volatile.Read(ref woken), expected, "served");
            }
            Expect(released: 9, expected: 1); // 8 are free: the next one wants 9.
            crew.Expect(!semaphore.TryAcquire(), "one who waits not beside those who wait");
            Expect(released: 1, expected: 2);
            Expect(released: 4, expected: 3);
            Expect(released: 3, expected: 5);
            crew.Expect(order.Order().SequenceEqual([0, 1, 2, 3, 4]), string.Join(' ', order));
            Expect(released: 3, expected: 5);
            Expect(released: 5, expected: 6);
            Expect(released: 10, expected: 7);
            semaphore.Release(1);
            ExpectFree(crew, semaphore);
        });

        await Assert.That(failure).IsNull();
    }

    // The first waits for more than there is; the others wait only because it does.
    [Test]
    public async Task OneThatGivesUpLetsThoseBehindItThrough()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(10);
            semaphore.Acquire(1);
            using CancellationTokenSource source = new();
            CancellationToken token = source.Token;
            bool cancelled = false;
            int served = 0;
            crew.GoAndPark(ParkReason.Semaphore, () =>
            {
                OperationCanceledException? e = crew.Throws<OperationCanceledException>(
                    () => semaphore.Acquire(10, token), "the one that gives up");
                crew.Expect(e?.CancellationToken == token, "its token");
                Volatile.Write(ref cancelled, true);
            });
            for (int i = 0; i < 3; i++)
            {
                crew.GoAndPark(ParkReason.Semaphore, () =>
                {
                    semaphore.Acquire(3);
                    Interlocked.Increment(ref served);
                });
            }
            Crew.LetOthersRun();
            crew.Equal(Volatile.Read(ref served), 0, "served behind the first");
            source.Cancel();
            crew.Until(() => Volatile.Read(ref cancelled), "the one that gives up");
            crew.Until(() => Volatile.Read(ref served) == 3, "those behind it");
            crew.Throws<OperationCanceledException>(() => semaphore.Acquire(0, token), "a cancelled token");
            semaphore.Release(10);
            ExpectFree(crew, semaphore);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task TokensAndReleasesMeetInAnyOrder(int threads)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Semaphore semaphore = new(2);
            for (int round = 0; round < 500 && !crew.Failed; round++)
            {
                using CancellationTokenSource source = new();
                CancellationToken token = source.Token;
                WaitGroup done = new();
                semaphore.Acquire(2);
                for (int i = 0; i < 5; i++)
                {
                    int id = i;
                    done.Add();
                    crew.Start(id < threads && round % 10 == 0, () =>
                    {
                        try
                        {
                            semaphore.Acquire(1 + (id % 2), id == 4 ? default : token);
                            semaphore.Release(1 + (id % 2));
                        }
                        catch (OperationCanceledException)
                        {
                            crew.Expect(id != 4, "cancelled without a token");
                        }
                        done.Done();
                    });
                }
                for (int i = 0; i < round % 4; i++)
                {
                    Go.Yield();
                }
                crew.Start(threads > 0 && round % 10 == 5, source.Cancel);
                semaphore.Release(2);
                done.Wait();
                crew.Until(() => token.IsCancellationRequested, "the token");
                ExpectFree(crew, semaphore);
            }
        });

        await Assert.That(failure).IsNull();
    }
}
