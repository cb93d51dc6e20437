// Mutual exclusion, whoever asks: goroutines, threads, with and without a token, under preemption.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class MutexTests(int procs)
{
    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_state")]
    private static extern ref int StateField(Mutex mutex);

    /// <summary>No bit is left behind: nobody would clear it.</summary>
    private static void ExpectFree(Crew crew, Mutex mutex) =>
        crew.Equal(Volatile.Read(ref StateField(mutex)), 0, "the state of a mutex that nobody has or wants");

    [Test]
    [Arguments(0)]
    [Arguments(2)]
    [Arguments(10)]
    public async Task ManyCountUnderItAndNoneIsLost(int threads)
    {
        const int Each = 3000;
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            WaitGroup done = new();
            int counted = 0;
            int tried = 0;
            for (int i = 0; i < 10; i++)
            {
                done.Add();
                crew.Start(i < threads, () =>
                {
                    for (int round = 0; round < Each; round++)
                    {
                        if (round % 3 == 0)
                        {
                            if (mutex.TryLock())
                            {
                                counted++;
                                mutex.Unlock();
                                Interlocked.Increment(ref tried);
                            }
                            continue;
                        }
                        using (mutex.EnterScope())
                        {
                            counted++;
                        }
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Equal(counted - tried, 10 * Each / 3 * 2, "the count");
            ExpectFree(crew, mutex);
        });

        await Assert.That(failure).IsNull();
    }

    // Inside the lock others run, so that there are waiters always: they wait, are woken, lose, starve.
    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task TheSameWhileTheOwnersYieldAndBlock(int threads)
    {
        const int Each = 300;
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            WaitGroup done = new();
            int counted = 0;
            for (int i = 0; i < 20; i++)
            {
                int id = i;
                done.Add();
                crew.Start(id < threads, () =>
                {
                    for (int round = 0; round < Each; round++)
                    {
                        mutex.Lock();
                        int before = counted;
                        if ((round + id) % 4 == 0)
                        {
                            Go.Yield();
                        }
                        if ((round + id) % 100 == 0)
                        {
                            Thread.Sleep(1);
                        }
                        counted = before + 1;
                        mutex.Unlock();
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Equal(counted, 20 * Each, "the count");
            ExpectFree(crew, mutex);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TryLockTellsWhetherItWasFree()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            crew.Expect(mutex.TryLock(), "free at first");
            crew.Expect(!mutex.TryLock(), "taken by TryLock");
            mutex.Unlock();
            mutex.Lock();
            crew.Expect(!mutex.TryLock(), "taken by Lock");
            crew.GoAndPark(ParkReason.Mutex, () =>
            {
                mutex.Lock();
                mutex.Unlock();
            });
            crew.Expect(!mutex.TryLock(), "taken, with one who waits");
            mutex.Unlock();
            crew.Until(() => Volatile.Read(ref StateField(mutex)) == 0, "the one who waited");
            crew.Expect(mutex.TryLock(), "free again");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task UnlockOfWhatIsNotLockedThrowsAndChangesNothing()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            crew.Throws<InvalidOperationException>(mutex.Unlock, "new");
            mutex.Lock();
            mutex.Unlock();
            crew.Throws<InvalidOperationException>(mutex.Unlock, "twice");
            ExpectFree(crew, mutex);
            Mutex.Scope scope = mutex.EnterScope();
            mutex.Unlock();
            bool thrown = false;
            try
            {
                scope.Dispose();
            }
            catch (InvalidOperationException)
            {
                thrown = true;
            }
            crew.Expect(thrown, "a scope that was left before throws");
            scope.Dispose();
            crew.Expect(mutex.TryLock(), "it can be locked after all that");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AScopeUnlocksOnceAndWhenAnExceptionLeavesIt()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            crew.Throws<FormatException>(
                () =>
                {
                    using (mutex.EnterScope())
                    {
                        crew.Expect(!mutex.TryLock(), "locked in the scope");
                        throw new FormatException();
                    }
                },
                "the exception");
            ExpectFree(crew, mutex);
            Mutex.Scope scope = mutex.EnterScope();
            scope.Dispose();
            mutex.Lock();
            scope.Dispose();
            crew.Expect(!mutex.TryLock(), "the second Dispose does nothing");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AnotherMayUnlock()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            for (int round = 0; round < 50; round++)
            {
                mutex.Lock();
                crew.Start(round % 2 == 0, mutex.Unlock);
                mutex.Lock();
                crew.Start(round % 2 == 1, mutex.Unlock);
            }
            mutex.Lock();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ThoseWhoWaitAreServedInOrderOfArrival()
    {
        const int Waiters = 50;
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            List<int> order = [];
            mutex.Lock();
            for (int i = 0; i < Waiters; i++)
            {
                int id = i;
                crew.GoAndPark(ParkReason.Mutex, () =>
                {
                    mutex.Lock();
                    order.Add(id);
                    mutex.Unlock();
                });
            }
            mutex.Unlock();
            crew.Until(() => Volatile.Read(ref StateField(mutex)) == 0, "all who wait");
            crew.Expect(order.SequenceEqual(Enumerable.Range(0, Waiters)), string.Join(' ', order));
        });

        await Assert.That(failure).IsNull();
    }

    // One keeps it nearly always, and would get it back each time: hand-off ends that.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task OneWhoKeepsItDoesNotStarveAnother(bool asThread)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            bool stop = false;
            WaitGroup done = new();
            done.Add();
            crew.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    mutex.Lock();
                    long start = Stopwatch.GetTimestamp();
                    while (Stopwatch.GetElapsedTime(start).TotalMicroseconds < 100)
                    {
                        Go.Yield();
                    }
                    mutex.Unlock();
                }
            });
            long began = Stopwatch.GetTimestamp();
            crew.Start(asThread, () =>
            {
                for (int i = 0; i < 10; i++)
                {
                    Thread.Sleep(1);
                    mutex.Lock();
                    mutex.Unlock();
                }
                done.Done();
            });
            done.Wait();
            Volatile.Write(ref stop, true);
            double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            crew.Expect(seconds < 10, $"ten times took {seconds} s");
        });

        await Assert.That(failure).IsNull();
    }

    // Each owner computes for more than a time slice, and is interrupted with the mutex held.
    [Test]
    [NotOnJit("counts how often Weft interrupts")]
    public async Task AnOwnerWhoIsInterruptedKeepsItAndGoesOn()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            WaitGroup done = new();
            int owners = 0;
            long preemptions = Scheduler.Preemptions;
            for (int i = 0; i < 8; i++)
            {
                done.Add();
                crew.Go(() =>
                {
                    for (int round = 0; round < 3; round++)
                    {
                        mutex.Lock();
                        crew.Equal(++owners, 1, "the owners");
                        long start = Stopwatch.GetTimestamp();
                        while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < 25)
                        {
                        }
                        owners--;
                        mutex.Unlock();
                    }
                    done.Done();
                });
            }
            // Others are there to run, on every processor: only then is anybody interrupted.
            while (Volatile.Read(ref StateField(mutex)) == 0)
            {
                Go.Yield();
            }
            bool stop = false;
            for (int i = 0; i < 2 * procs; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                        Go.Yield();
                    }
                });
            }
            done.Wait();
            Volatile.Write(ref stop, true);
            ExpectFree(crew, mutex);
            crew.Expect(Scheduler.Preemptions > preemptions, "nobody was interrupted");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ACancelledTokenIsRefusedBeforeAndDuringTheWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            crew.Throws<OperationCanceledException>(() => mutex.Lock(new CancellationToken(true)), "free");
            ExpectFree(crew, mutex);
            mutex.Lock(default);
            crew.Throws<OperationCanceledException>(() => mutex.Lock(new CancellationToken(true)), "taken");

            using CancellationTokenSource source = new();
            CancellationToken token = source.Token;
            int cancelled = 0;
            int locked = 0;
            int left = 0;
            for (int i = 0; i < 6; i++)
            {
                bool leaves = i % 2 == 0;
                crew.GoAndPark(ParkReason.Mutex, () =>
                {
                    try
                    {
                        mutex.Lock(leaves ? token : default);
                        locked++;
                        mutex.Unlock();
                        Interlocked.Increment(ref left);
                    }
                    catch (OperationCanceledException e) when (e.CancellationToken == token)
                    {
                        Interlocked.Increment(ref cancelled);
                    }
                });
            }
            source.Cancel();
            crew.Until(() => Volatile.Read(ref cancelled) == 3, "those whose token is cancelled");
            crew.Equal(Volatile.Read(ref locked), 0, "others went on");
            mutex.Unlock();
            crew.Until(() => Volatile.Read(ref left) == 3, "the others");
            ExpectFree(crew, mutex);
        });

        await Assert.That(failure).IsNull();
    }

    // Tokens, unlocks and hand-offs meet in any order: nobody's wake-up may be lost, no bit be left.
    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task TokensAndWakeUpsMeetInAnyOrder(int threads)
    {
        const int Lockers = 8;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 150 && !crew.Failed; round++)
            {
                Mutex mutex = new();
                WaitGroup done = new();
                int counted = 0;
                int expected = 0;
                using CancellationTokenSource source = new();
                CancellationToken token = source.Token;
                int seed = round;
                for (int i = 0; i < Lockers; i++)
                {
                    int id = i;
                    done.Add();
                    crew.Start(id < threads, () =>
                    {
                        for (int k = 0; k < 10; k++)
                        {
                            try
                            {
                                mutex.Lock(id % 4 == 3 ? default : token);
                            }
                            catch (OperationCanceledException)
                            {
                                continue;
                            }
                            int before = counted;
                            if (seed % 10 == 0)
                            {
                                Thread.Sleep(1); // Long enough to starve.
                            }
                            if (k % 3 == 0)
                            {
                                Go.Yield();
                            }
                            counted = before + 1;
                            mutex.Unlock();
                            Interlocked.Increment(ref expected);
                        }
                        done.Done();
                    });
                }
                for (int i = 0; i < round % 20; i++)
                {
                    Go.Yield();
                }
                source.Cancel();
                done.Wait();
                crew.Equal(counted, expected, $"round {round}: the count");
                ExpectFree(crew, mutex);
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ThreadsLockItWithoutAnyGoroutine()
    {
        Mutex mutex = new();
        int counted = 0;
        Thread[] threads = [.. Enumerable.Range(0, procs + 1).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                mutex.Lock();
                counted++;
                mutex.Unlock();
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        await Assert.That(counted).IsEqualTo(2000 * (procs + 1));
    }

    // Each spins on a processor of its own, or waits: when one has had it often, each has had it at times.
    [Test]
    public async Task ThoseWhoSpinForItGetTheirShares()
    {
        const int Least = 1000;
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            int[] had = new int[16 * procs];
            for (int i = 0; i < procs; i++)
            {
                int id = 16 * i;
                crew.Go(() =>
                {
                    bool all = false;
                    while (!all && !crew.Failed)
                    {
                        mutex.Lock();
                        had[id]++;
                        all = true;
                        for (int k = 0; k < had.Length; k += 16)
                        {
                            all &= had[k] >= Least;
                        }
                        crew.Expect(had[id] < 100_000 * Least, "others had it a hundred thousandth as often");
                        mutex.Unlock();
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
    }
}
