// The waits of sync/ that a CancellationToken ends, each against a token that is cancelled before, during, and
// about when the wait would end anyway. Mutex and Semaphore: MutexTests, SemaphoreTests.

using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class TokenTests(int procs)
{
    [Test]
    public async Task AWaitGroupIsNotWaitedForAnyMore()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup group = new();
            group.Wait(CancellationToken.None);
            crew.Throws<OperationCanceledException>(() => group.Wait(new CancellationToken(true)), "at zero");
            group.Add();
            EndsOne(crew, ParkReason.WaitGroup, group.Wait, group.Done);
            group.Add();
            Race(crew, round => new WaitGroup(), (each, token) =>
            {
                each.Add();
                crew.Go(() => Quietly(() => each.Wait(token)));
                crew.Go(each.Done);
                each.Wait(CancellationToken.None);
            });
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ACondsWaiterGetsTheMutexBackAndTakesNoSignalAlong()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Cond cond = new(new Mutex());
            void Wait(CancellationToken token)
            {
                cond.Mutex.Lock(CancellationToken.None);
                try
                {
                    cond.Wait(token);
                }
                finally
                {
                    cond.Mutex.Unlock(); // Throws if it is not locked.
                }
            }
            crew.Throws<OperationCanceledException>(() => Wait(new CancellationToken(true)), "before");
            crew.Throws<InvalidOperationException>(() => cond.Wait(CancellationToken.None), "not locked");
            EndsOne(crew, ParkReason.Cond, Wait, cond.Signal);

            // Three do not give up, so none of three signals may be taken along.
            Race(crew, round => new Cond(new Mutex()), (each, token) =>
            {
                WaitGroup done = new();
                int waiting = 0;
                int signalled = 0;
                int cancelled = 0;
                for (int i = 0; i < 6; i++)
                {
                    bool leaves = i % 2 == 0;
                    done.Go(() =>
                    {
                        each.Mutex.Lock();
                        waiting++;
                        try
                        {
                            each.Wait(leaves ? token : default);
                            signalled++;
                        }
                        catch (OperationCanceledException)
                        {
                            cancelled++;
                        }
                        each.Mutex.Unlock();
                    });
                }
                crew.Until(() => Volatile.Read(ref waiting) == 6, "six that wait");
                for (int i = 0; i < 3; i++)
                {
                    using (each.Mutex.EnterScope(CancellationToken.None))
                    {
                        each.Signal();
                    }
                }
                crew.Until(() => Volatile.Read(ref signalled) >= 3, "three signals to be taken");
                crew.Until(() => token.IsCancellationRequested, "the token");
                each.Broadcast();
                done.Wait(CancellationToken.None);
                crew.Equal(signalled + Volatile.Read(ref cancelled), 6, "all");
            });
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AWriterThatGivesUpLetsTheReadersBehindItIn()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            using CancellationTokenSource source = new();
            using CancellationTokenSource unused = new();
            crew.Throws<OperationCanceledException>(() => mutex.Lock(new CancellationToken(true)), "free");
            crew.Throws<OperationCanceledException>(() => mutex.RLock(new CancellationToken(true)), "free");
            mutex.RLock();
            int cancelled = 0;
            int reading = 0;
            crew.GoAndPark(ParkReason.RWMutex, () =>
            {
                crew.Throws<OperationCanceledException>(() => mutex.Lock(source.Token), "the writer");
                Interlocked.Increment(ref cancelled);
            });
            crew.GoAndPark(ParkReason.Mutex, () =>
            {
                crew.Throws<OperationCanceledException>(() => mutex.Lock(source.Token), "the next writer");
                Interlocked.Increment(ref cancelled);
            });
            for (int i = 0; i < 3; i++)
            {
                int id = i;
                crew.GoAndPark(ParkReason.RWMutex, () =>
                {
                    using (mutex.EnterReadScope(id == 0 ? unused.Token : default))
                    {
                        Interlocked.Increment(ref reading);
                        crew.Until(() => Volatile.Read(ref reading) == 3, "all three");
                    }
                });
            }
            crew.Equal(Volatile.Read(ref reading), 0, "readers behind a writer");
            source.Cancel();
            crew.Until(() => Volatile.Read(ref cancelled) == 2, "the writers");
            crew.Until(() => Volatile.Read(ref reading) == 3, "the readers");
            crew.Throws<InvalidOperationException>(mutex.Unlock, "nobody writes");
            mutex.RUnlock();
            crew.Until(mutex.TryLock, "all to leave");
            crew.Throws<InvalidOperationException>(mutex.RUnlock, "nobody reads");
            mutex.Unlock();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AReaderThatGivesUpIsNotCounted()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            mutex.Lock();
            EndsOne(crew, ParkReason.RWMutex, token => mutex.EnterReadScope(token).Dispose(), mutex.Unlock);
            crew.Until(mutex.TryLock, "all to leave");
            mutex.Unlock();
            using (mutex.EnterScope(CancellationToken.None))
            {
                crew.Expect(!mutex.TryRLock(), "read while it is written");
            }
        });

        await Assert.That(failure).IsNull();
    }

    // Readers and writers that give up at any moment: never two that exclude each other, and in the end it is
    // free.
    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task TokensReadersAndWritersMeetInAnyOrder(int threads)
    {
        const int AWriter = 10_000;
        string? failure = Crew.Run(procs, crew =>
        {
            Race(crew, round => new RWMutex(), (mutex, token) =>
            {
                WaitGroup done = new();
                int active = 0;
                for (int i = 0; i < 8; i++)
                {
                    int id = i;
                    CancellationToken mine = id % 4 == 3 ? default : token;
                    done.Add();
                    crew.Start(id < threads, () =>
                    {
                        for (int k = 0; k < 6; k++)
                        {
                            bool writes = (id + k) % 3 == 0;
                            int weight = writes ? AWriter : 1;
                            if (!Quietly(() => Enter(mutex, writes, mine)))
                            {
                                continue;
                            }
                            int now = Interlocked.Add(ref active, weight);
                            crew.Expect(writes ? now == AWriter : now < AWriter, $"{now} in it");
                            if (k % 2 == 0)
                            {
                                Go.Yield();
                            }
                            Interlocked.Add(ref active, -weight);
                            Leave(mutex, writes);
                        }
                        done.Done();
                    });
                }
                done.Wait(CancellationToken.None);
                crew.Expect(mutex.TryLock(), "locked in the end");
                mutex.Unlock();
                crew.Throws<InvalidOperationException>(mutex.RUnlock, "a reader in the end");
            });
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task OnceIsNotWaitedForAnyMoreAndHappensAllTheSame()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> gate = new();
            OnceValue<int> value = new(gate.Receive);
            crew.Throws<OperationCanceledException>(
                () => value.GetValue(new CancellationToken(true)), "before");
            crew.GoAndPark(ParkReason.ChanReceive, () => crew.Equal(value.Value, 5, "who computes"));
            EndsOne(
                crew,
                ParkReason.Mutex,
                token => crew.Equal(value.GetValue(token), 5, "who waits"),
                () => gate.Send(5));
            crew.Equal(value.GetValue(new CancellationToken(true)), 5, "what is there");
            Once once = new();
            once.Do(() => { }, CancellationToken.None);
            once.Do(() => crew.Expect(false, "twice"), new CancellationToken(true));
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AGroupGoesOnWhenNobodyWaitsForItAnyMore()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            group.SetLimit(1);
            Chan<int> gate = new();
            int ran = 0;
            group.Go(() => ran += gate.Receive());
            EndsOne(
                crew,
                ParkReason.Semaphore,
                token => group.Go(() => ran += gate.Receive(), token),
                () => gate.Send(1));
            EndsOne(crew, ParkReason.WaitGroup, group.Wait, () => gate.Send(1));
            crew.Equal(ran, 2, "goroutines that ran");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Two wait; the token ends one wait, and the event the other.</summary>
    private static void EndsOne(
        Crew crew, ParkReason reason, Action<CancellationToken> wait, Action happen)
    {
        using CancellationTokenSource source = new();
        int cancelled = 0;
        int waited = 0;
        crew.GoAndPark(reason, () =>
        {
            CancellationToken token = source.Token;
            try
            {
                wait(token);
            }
            catch (OperationCanceledException e) when (e.CancellationToken == token)
            {
                Interlocked.Increment(ref cancelled);
            }
        });
        crew.GoAndPark(reason, () =>
        {
            using CancellationTokenSource unused = new();
            wait(unused.Token);
            Interlocked.Increment(ref waited);
        });
        source.Cancel();
        crew.Until(() => Volatile.Read(ref cancelled) == 1, "the one whose token was cancelled");
        Crew.LetOthersRun();
        crew.Equal(Volatile.Read(ref waited), 0, "the other, too early");
        happen();
        crew.Until(() => Volatile.Read(ref waited) == 1, "the other");
    }

    /// <summary>Has something done a hundred times with a token that is cancelled somewhat later each
    /// time.</summary>
    private static void Race<T>(Crew crew, Func<int, T> make, Action<T, CancellationToken> act)
    {
        for (int round = 0; round < 100 && !crew.Failed; round++)
        {
            using CancellationTokenSource source = new();
            T thing = make(round);
            WaitGroup done = new();
            int after = round % 25;
            done.Go(() =>
            {
                for (int i = 0; i < after; i++)
                {
                    Go.Yield();
                }
                source.Cancel();
            });
            act(thing, source.Token);
            done.Wait();
        }
    }

    /// <summary>Whether it was not cancelled.</summary>
    private static bool Quietly(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private static void Enter(RWMutex mutex, bool writes, CancellationToken token)
    {
        if (writes)
        {
            mutex.Lock(token);
        }
        else
        {
            mutex.RLock(token);
        }
    }

    private static void Leave(RWMutex mutex, bool writes)
    {
        if (writes)
        {
            mutex.Unlock();
        }
        else
        {
            mutex.RUnlock();
        }
    }
}
