// Any number of readers or one writer, and neither starves the other.

using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class RWMutexTests(int procs)
{
    private const int AWriter = 10_000;

    [Test]
    [Arguments(1, 0)]
    [Arguments(3, 0)]
    [Arguments(10, 0)]
    [Arguments(5, 4)]
    public async Task ReadersAndWritersNeverMeet(int readers, int threads)
    {
        const int Rounds = 1000;
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            WaitGroup done = new();
            int active = 0; // Readers count one each, a writer 10,000.
            void Write(int round)
            {
                if (round % 5 != 0 || !mutex.TryLock())
                {
                    mutex.Lock();
                }
                crew.Equal(Interlocked.Add(ref active, AWriter), AWriter, "those in it, with a writer");
                YieldAtTimes(round);
                Interlocked.Add(ref active, -AWriter);
                mutex.Unlock();
            }
            void Read(int round)
            {
                if (round % 5 != 0 || !mutex.TryRLock())
                {
                    mutex.RLock();
                }
                int count = Interlocked.Increment(ref active);
                crew.Expect(count is >= 1 and < AWriter, $"{count} in it, with a reader");
                YieldAtTimes(round);
                Interlocked.Decrement(ref active);
                mutex.RUnlock();
            }
            for (int i = 0; i < readers + 2; i++)
            {
                int id = i;
                done.Add();
                crew.Start(id % 2 == 1 && id < threads, () =>
                {
                    for (int round = 0; round < Rounds && !crew.Failed; round++)
                    {
                        if (id < 2)
                        {
                            Write(round);
                        }
                        else
                        {
                            Read(round + id);
                        }
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Expect(mutex.TryLock(), "free at the end");
        });

        await Assert.That(failure).IsNull();
    }

    private static void YieldAtTimes(int round)
    {
        if (round % 7 == 0)
        {
            Go.Yield();
        }
    }

    [Test]
    public async Task ReadersHaveItAllAtOnce()
    {
        const int Readers = 20;
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            WaitGroup inside = new();
            inside.Add(Readers);
            for (int i = 0; i < Readers; i++)
            {
                crew.Start(i % 5 == 0, () =>
                {
                    using (mutex.EnterReadScope())
                    {
                        inside.Done();
                        inside.Wait();
                    }
                });
            }
            inside.Wait();
            using (mutex.EnterScope())
            {
                crew.Expect(!mutex.TryRLock(), "a reader beside a writer");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheTryFormsTellWhetherTheyCould()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            crew.Expect(mutex.TryRLock() && mutex.TryRLock(), "two readers");
            crew.Expect(!mutex.TryLock(), "a writer beside readers");
            bool wrote = false;
            crew.GoAndPark(ParkReason.RWMutex, () =>
            {
                mutex.Lock();
                wrote = true;
                mutex.Unlock();
            });
            crew.Expect(!mutex.TryRLock(), "a reader while a writer waits");
            crew.Expect(!mutex.TryLock(), "a writer while a writer waits");
            mutex.RUnlock();
            Crew.LetOthersRun();
            crew.Expect(!Volatile.Read(ref wrote), "the writer went beside a reader");
            mutex.RUnlock();
            crew.Until(() => Volatile.Read(ref wrote), "the writer");
            crew.Until(mutex.TryLock, "the writer to leave");
            crew.Expect(!mutex.TryRLock() && !mutex.TryLock(), "beside a writer");
            mutex.Unlock();
            crew.Expect(mutex.TryRLock(), "free again");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AWriterThatWaitsGoesBeforeLaterReadersAndThoseBeforeTheNextWriter()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            List<string> order = [];
            void Note(string who)
            {
                lock (order)
                {
                    order.Add(who);
                }
            }
            void Writer(string who)
            {
                mutex.Lock();
                Note(who);
                mutex.Unlock();
            }
            mutex.RLock();
            crew.GoAndPark(ParkReason.RWMutex, () => Writer("writer 1"));
            crew.GoAndPark(ParkReason.Mutex, () => Writer("writer 2"));
            for (int i = 0; i < 3; i++)
            {
                crew.GoAndPark(ParkReason.RWMutex, () =>
                {
                    mutex.RLock();
                    Note("reader");
                    mutex.RUnlock();
                });
            }
            mutex.RUnlock();
            crew.Until(
                () =>
                {
                    lock (order)
                    {
                        return order.Count == 5;
                    }
                },
                "all");
            string expected = "writer 1, reader, reader, reader, writer 2";
            crew.Equal(string.Join(", ", order), expected, "the order");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task MisuseThrowsAndChangesNothing()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            crew.Throws<InvalidOperationException>(mutex.Unlock, "Unlock of a new one");
            crew.Throws<InvalidOperationException>(mutex.RUnlock, "RUnlock of a new one");
            mutex.RLock();
            crew.Throws<InvalidOperationException>(mutex.Unlock, "Unlock beside a reader");
            mutex.RUnlock();
            crew.Throws<InvalidOperationException>(mutex.RUnlock, "RUnlock twice");
            mutex.Lock();
            crew.Throws<InvalidOperationException>(mutex.RUnlock, "RUnlock beside a writer");
            bool read = false;
            crew.GoAndPark(ParkReason.RWMutex, () =>
            {
                mutex.RLock();
                Volatile.Write(ref read, true);
            });
            crew.Throws<InvalidOperationException>(mutex.RUnlock, "RUnlock while a reader waits");
            Crew.LetOthersRun();
            crew.Expect(!Volatile.Read(ref read), "the reader went beside the writer");
            mutex.Unlock();
            crew.Throws<InvalidOperationException>(mutex.Unlock, "Unlock twice");
            crew.Until(() => Volatile.Read(ref read), "the reader");

            // A writer that waits has it not yet.
            crew.GoAndPark(ParkReason.RWMutex, () =>
            {
                mutex.Lock();
                mutex.Unlock();
            });
            crew.Throws<InvalidOperationException>(mutex.Unlock, "Unlock while a writer waits");
            mutex.RUnlock();
            crew.Until(mutex.TryLock, "the writer");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AReaderThatWaitsAndTheWriterThatLeavesMeetInAnyOrder()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            for (int round = 0; round < 2000; round++)
            {
                WaitGroup done = new();
                done.Add(3);
                mutex.Lock();
                for (int i = 0; i < 2; i++)
                {
                    crew.Go(() =>
                    {
                        mutex.RLock();
                        mutex.RUnlock();
                        done.Done();
                    });
                }
                crew.Go(() =>
                {
                    mutex.Lock();
                    mutex.Unlock();
                    done.Done();
                });
                if (round % 3 != 0)
                {
                    Go.Yield();
                }
                mutex.Unlock();
                done.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }
}
