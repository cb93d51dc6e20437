// Signals reach those who wait, in order, and nobody else.

using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class CondTests(int procs)
{
    [Test]
    public async Task ASignalWakesOneAndABroadcastAll()
    {
        const int Waiters = 30;
        string? failure = Crew.Run(procs, crew =>
        {
            Cond cond = new(new Mutex());
            List<int> order = [];
            int woken = 0;
            for (int i = 0; i < Waiters; i++)
            {
                int id = i;
                crew.GoAndPark(ParkReason.Cond, () =>
                {
                    cond.Mutex.Lock();
                    cond.Wait();
                    order.Add(id);
                    Volatile.Write(ref woken, woken + 1);
                    cond.Mutex.Unlock();
                });
            }
            for (int i = 0; i < 10; i++)
            {
                crew.Equal(Volatile.Read(ref woken), i, "woken");
                if (i % 2 == 0)
                {
                    cond.Signal();
                }
                else
                {
                    using (cond.Mutex.EnterScope())
                    {
                        cond.Signal();
                    }
                }
                int expected = i + 1;
                crew.Until(() => Volatile.Read(ref woken) >= expected, "the one who was signalled");
                Crew.LetOthersRun();
            }
            crew.Equal(Volatile.Read(ref woken), 10, "woken by ten signals");
            crew.Expect(order.SequenceEqual(Enumerable.Range(0, 10)), string.Join(' ', order));
            cond.Broadcast();
            crew.Until(() => Volatile.Read(ref woken) == Waiters, "all");
            cond.Signal(); // Nobody waits: it is for nobody.
            cond.Broadcast();
            crew.GoAndPark(ParkReason.Cond, () =>
            {
                cond.Mutex.Lock();
                cond.Wait();
                cond.Mutex.Unlock();
            });
            cond.Signal();
        });

        await Assert.That(failure).IsNull();
    }

    // Whoever begins to wait after a signal does not take it from one who waited before.
    [Test]
    public async Task ALaterWaiterDoesNotStealASignal()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 500; round++)
            {
                Cond cond = new(new Mutex());
                WaitGroup first = new();
                WaitGroup second = new();
                WaitGroup waiting = new();
                first.Add();
                second.Add();
                waiting.Add();
                crew.Go(() =>
                {
                    cond.Mutex.Lock();
                    waiting.Done();
                    cond.Wait();
                    cond.Mutex.Unlock();
                    first.Done();
                });
                waiting.Wait();
                cond.Mutex.Lock(); // Only once the first waits.
                cond.Mutex.Unlock();
                waiting.Add();
                bool done = false;
                crew.Go(() =>
                {
                    cond.Mutex.Lock();
                    waiting.Done();
                    while (!done)
                    {
                        cond.Wait();
                    }
                    cond.Mutex.Unlock();
                    second.Done();
                });
                cond.Signal();
                first.Wait();
                waiting.Wait();
                using (cond.Mutex.EnterScope())
                {
                    done = true;
                }
                cond.Broadcast();
                second.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task ABoundedBufferLosesNothing(int threads)
    {
        const int Each = 1500;
        string? failure = Crew.Run(procs, crew =>
        {
            Mutex mutex = new();
            Cond notFull = new(mutex);
            Cond notEmpty = new(mutex);
            Queue<int> buffer = new();
            WaitGroup done = new();
            long sum = 0;
            for (int i = 0; i < 4; i++)
            {
                done.Add(2);
                crew.Start(i < threads, () =>
                {
                    for (int k = 1; k <= Each; k++)
                    {
                        mutex.Lock();
                        while (buffer.Count == 3)
                        {
                            notFull.Wait();
                        }
                        buffer.Enqueue(k);
                        notEmpty.Signal();
                        mutex.Unlock();
                    }
                    done.Done();
                });
                crew.Start(3 - i < threads, () =>
                {
                    for (int k = 1; k <= Each; k++)
                    {
                        mutex.Lock();
                        while (buffer.Count == 0)
                        {
                            notEmpty.Wait();
                        }
                        sum += buffer.Dequeue();
                        mutex.Unlock();
                        notFull.Signal();
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Equal(sum, 4L * Each * (Each + 1) / 2, "the sum");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ATurnGoesRoundAHundredWaiters()
    {
        const int Players = 100;
        string? failure = Crew.Run(procs, crew =>
        {
            Cond cond = new(new Mutex());
            int turn = 0;
            WaitGroup done = new();
            for (int i = 0; i < Players; i++)
            {
                int id = i;
                done.Add();
                crew.Start(id % 25 == 0, () =>
                {
                    for (int round = 0; round < 3; round++)
                    {
                        using (cond.Mutex.EnterScope())
                        {
                            while (turn != (round * Players) + id)
                            {
                                cond.Wait();
                            }
                            turn++;
                            cond.Broadcast();
                        }
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Equal(turn, 3 * Players, "the turn");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WaitWithoutTheMutexThrowsAndTakesNoSignalAlong()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Cond cond = new(new Mutex());
            crew.Throws<InvalidOperationException>(cond.Wait, "Wait without the mutex");
            bool woken = false;
            crew.GoAndPark(ParkReason.Cond, () =>
            {
                using (cond.Mutex.EnterScope())
                {
                    cond.Wait();
                }
                Volatile.Write(ref woken, true);
            });
            crew.Throws<InvalidOperationException>(cond.Wait, "the same while another waits");
            cond.Signal();
            crew.Until(() => Volatile.Read(ref woken), "the one who waits");
            crew.Throws<ArgumentNullException>(() => _ = new Cond(null!), "no mutex");
        });

        await Assert.That(failure).IsNull();
    }
}
