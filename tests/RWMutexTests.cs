// Any number of readers or one writer, and neither starves the other; counted in one word, or in stripes. In
// the small build there are stripes from the first reader on.
//
// Safeguards of RWMutex, taken out one at a time: a test here, or in TokenTests, fails each time or nearly.
// Not for those where two or three instructions of two processors have to meet; there the models fail
// (tests/models): "making", where a writer that finds the word 0 does not look whether there are stripes by now;
// "word", where a reader queues up without looking whether the gate is still shut; "stripes", where TryRLock takes
// back what it has added, and does not look after the writer; "excess", where RUnlock in one word subtracts first,
// or where Lock keeps what it waits with when it throws.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1, false)]
[Arguments(2, false)]
[Arguments(4, false)]
[Arguments(1, true)]
[Arguments(2, true)]
[Arguments(4, true)]
internal sealed class RWMutexTests(int procs, bool striped)
{
    private const int AWriter = 10_000;

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_state")]
    private static extern ref long StateField(RWMutex mutex);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_stripes")]
    private static extern ref long[]? StripesField(RWMutex mutex);

    private RWMutex Make()
    {
        RWMutex mutex = new();
        if (striped)
        {
            mutex.MakeStripes();
        }
        return mutex;
    }

    /// <summary>Nobody has it or wants it, and no bit is left that says so.</summary>
    private static void ExpectFree(Crew crew, RWMutex mutex)
    {
        crew.Equal(Volatile.Read(ref StateField(mutex)) & 15, 0, "the bits of one that nobody has or wants");
        crew.Expect(mutex.TryLock(), "free in the end");
        mutex.Unlock();
        crew.Throws<InvalidOperationException>(
            () =>
            {
                mutex.RUnlock();
                mutex.Lock(); // In stripes it may be here that it is found.
            },
            "RUnlock in the end");
    }

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
            RWMutex mutex = Make();
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
            ExpectFree(crew, mutex);
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
            RWMutex mutex = Make();
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
            RWMutex mutex = Make();
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
            RWMutex mutex = Make();
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
            RWMutex mutex = Make();
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
            RWMutex mutex = Make();
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

    [Test]
    public async Task StripesMayBeMadeWhileReadersAreInside()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            for (int i = 0; i < 3; i++)
            {
                mutex.RLock();
            }
            mutex.MakeStripes();
            mutex.RLock();
            bool wrote = false;
            crew.GoAndPark(ParkReason.RWMutex, () =>
            {
                mutex.Lock();
                Volatile.Write(ref wrote, true);
                mutex.Unlock();
            });
            for (int i = 0; i < 4; i++)
            {
                crew.Expect(!Volatile.Read(ref wrote), "a writer beside readers");
                crew.Expect(!mutex.TryRLock(), "a reader while a writer waits");
                WaitGroup left = new();
                left.Add();
                crew.Start(i == 2, () => // Each perhaps on another processor.
                {
                    mutex.RUnlock();
                    left.Done();
                });
                left.Wait();
            }
            crew.Until(() => Volatile.Read(ref wrote), "the writer");
            crew.Until(() => (Volatile.Read(ref StateField(mutex)) & 15) == 0, "it to leave");
            ExpectFree(crew, mutex);
        });

        await Assert.That(failure).IsNull();
    }

    // Readers and writers come and go all the time while the stripes are made: who comes just then is seen.
    [Test]
    public async Task StripesMayBeMadeAtAnyTime()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 200 && !crew.Failed; round++)
            {
                RWMutex mutex = new();
                WaitGroup done = new();
                int active = 0;
                for (int i = 0; i < 6; i++)
                {
                    int id = i;
                    done.Add();
                    crew.Go(() =>
                    {
                        for (int k = 0; k < 40; k++)
                        {
                            bool writes = (k + id) % 6 == 0;
                            if (writes)
                            {
                                mutex.Lock();
                            }
                            else
                            {
                                mutex.RLock();
                            }
                            int now = Interlocked.Add(ref active, writes ? AWriter : 1);
                            crew.Expect(writes ? now == AWriter : now < AWriter, $"{now} in it");
                            if (id == 0 && k == round % 40)
                            {
                                mutex.MakeStripes();
                            }
                            YieldAtTimes(k + id);
                            Interlocked.Add(ref active, writes ? -AWriter : -1);
                            if (writes)
                            {
                                mutex.Unlock();
                            }
                            else
                            {
                                mutex.RUnlock();
                            }
                        }
                        done.Done();
                    });
                }
                done.Wait();
                ExpectFree(crew, mutex);
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ReadersThatMeetOnSeveralProcessorsGetStripes()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            bool stop = false;
            for (int i = 0; i < 8; i++)
            {
                crew.Start(procs > 1 && i % 2 == 0, () =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                        using (mutex.EnterReadScope())
                        {
                            Go.Yield();
                        }
                    }
                });
            }
            if (procs > 1 || Layout.MeetingsBeforeStripes == 0)
            {
                crew.Until(() => Volatile.Read(ref StripesField(mutex)) is not null, "stripes");
            }
            else
            {
                Crew.LetOthersRun();
                crew.Expect(StripesField(mutex) is null, "stripes for one processor");
            }
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    // Two readers at least are inside at any time: without the gate a writer would never find nobody.
    [Test]
    public async Task ReadersDoNotStarveAWriterNorWritersAReader()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = Make();
            bool stop = false;
            int inside = 0;
            int waiting = 0;
            for (int i = 0; i < 4; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                        mutex.RLock();
                        Interlocked.Increment(ref inside);
                        for (int k = 0; k < 100 && Volatile.Read(ref inside) < 3; k++)
                        {
                            if (Volatile.Read(ref waiting) != 0)
                            {
                                break;
                            }
                            Go.Yield();
                        }
                        Interlocked.Decrement(ref inside);
                        mutex.RUnlock();
                    }
                });
            }
            for (int i = 0; i < 50; i++)
            {
                Volatile.Write(ref waiting, 1);
                mutex.Lock();
                crew.Equal(Volatile.Read(ref inside), 0, "readers beside a writer");
                Volatile.Write(ref waiting, 0);
                mutex.Unlock();
                Go.Yield();
            }
            Volatile.Write(ref stop, true);
        });
        string? other = Crew.Run(procs, crew =>
        {
            RWMutex mutex = Make();
            bool stop = false;
            for (int i = 0; i < 4; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                        using (mutex.EnterScope())
                        {
                            Go.Yield();
                        }
                    }
                });
            }
            for (int i = 0; i < 50; i++)
            {
                using (mutex.EnterReadScope())
                {
                    Go.Yield();
                }
            }
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
        await Assert.That(other).IsNull();
    }

    // In stripes a count may be negative because a reader has changed processors: that is no misuse.
    [Test]
    public async Task WhoLeavesOnAnotherProcessorIsNotTakenForOneTooMany()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = Make();
            WaitGroup done = new();
            Chan<int> inside = new(8);
            for (int i = 0; i < 4; i++)
            {
                done.Add(2);
                crew.Go(() =>
                {
                    for (int k = 0; k < 1000; k++)
                    {
                        mutex.RLock();
                        inside.Send(k);
                    }
                    done.Done();
                });
                crew.Start(i == 0, () =>
                {
                    for (int k = 0; k < 1000; k++)
                    {
                        inside.Receive();
                        mutex.RUnlock();
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Expect(mutex.TryLock(), "free in the end");
        });

        await Assert.That(failure).IsNull();
    }

    // What RUnlock does not see the next writer finds, says once, and puts right.
    [Test]
    public async Task AnUnlockTooManyIsFoundByAWriterAtTheLatest()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            mutex.MakeStripes();
            using CancellationTokenSource source = new();
            CancellationToken token = source.Token;
            ref long[]? stripes = ref StripesField(mutex);
            for (int i = 0; i < 4; i++)
            {
                stripes![ReaderStripes.Spacing]--; // As if another count had been too high by one.
                crew.Throws<InvalidOperationException>(
                    i switch
                    {
                        0 => mutex.Lock,
                        1 => () => mutex.TryLock(),
                        2 => () => mutex.Lock(token),
                        _ => () => mutex.EnterScope(),
                    },
                    "a writer after one RUnlock too many");
                crew.Expect(mutex.TryRLock(), "the gate is open again");
                mutex.RUnlock();
                crew.Expect(mutex.TryLock(), "it is right again");
                mutex.Unlock();
            }
        });

        await Assert.That(failure).IsNull();
    }

    // A thread reads all the time, and leaves on another processor, so to speak. Meanwhile RUnlock finds its
    // count lower than ever, and has all of them looked at; they are many here, so that it takes a while.
    [Test]
    public async Task ACheckOfTheCountsIsNoSnapshot()
    {
        const int Many = 1024;
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = new();
            long[] stripes = new long[(Many + 1) * ReaderStripes.Spacing];
            StripesField(mutex) = stripes;
            ref long last = ref stripes[Many * ReaderStripes.Spacing];
            bool stop = false;
            crew.Thread(() =>
            {
                while (!Volatile.Read(ref stop) && !crew.Failed)
                {
                    mutex.RLock();
                    Interlocked.Decrement(ref stripes[Many * ReaderStripes.Spacing]);
                }
            });
            for (int i = 0; i < 300 && !crew.Failed; i++)
            {
                // As if the one who has added here, and subtracts there, had changed processors as well.
                mutex.RLock();
                Interlocked.Add(ref last, i);
                Interlocked.Add(ref ReaderStripes.Count(stripes, ReaderStripes.Here()), -i);
                mutex.RUnlock();
            }
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    // A reader that tries and the writer come at the same moment, over and over.
    [Test]
    public async Task WhoOnlyTriesAndAWriterMeetAtAnyMoment()
    {
        const int Rounds = 30_000;
        string? failure = Crew.Run(procs, crew =>
        {
            RWMutex mutex = Make();
            int active = 0;
            int writes = 0;
            int reads = 0;
            crew.Go(() =>
            {
                for (; writes < Rounds && !crew.Failed; writes++)
                {
                    mutex.Lock();
                    crew.Equal(Interlocked.Add(ref active, AWriter), AWriter, "those in it, with a writer");
                    Interlocked.Add(ref active, -AWriter);
                    mutex.Unlock();
                }
            });
            crew.Go(() =>
            {
                while (Volatile.Read(ref writes) < Rounds && !crew.Failed)
                {
                    if (mutex.TryRLock())
                    {
                        reads++;
                        crew.Equal(Interlocked.Increment(ref active), 1, "those in it, with a reader");
                        Interlocked.Decrement(ref active);
                        mutex.RUnlock();
                    }
                    else
                    {
                        Go.Yield();
                    }
                }
            });
        });

        await Assert.That(failure).IsNull();
    }

    // The token is cancelled when the writer has shut the gate and is in no queue yet, at times.
    [Test]
    public async Task ATokenMayBeCancelledJustBeforeTheWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Random random = new(procs);
            RWMutex mutex = Make();
            for (int round = 0; round < 1000 && !crew.Failed; round++)
            {
                using CancellationTokenSource source = new();
                CancellationToken token = source.Token;
                WaitGroup done = new();
                bool began = false;
                mutex.RLock();
                done.Go(() =>
                {
                    Volatile.Write(ref began, true);
                    crew.Throws<OperationCanceledException>(
                        () => mutex.Lock(token), "a writer beside a reader");
                });
                crew.Until(() => Volatile.Read(ref began), "the writer");
                Thread.SpinWait(random.Next(30));
                source.Cancel();
                done.Wait(CancellationToken.None);
                crew.Expect(mutex.TryRLock(), "the gate is shut, and nobody has it or wants it");
                mutex.RUnlock();
                mutex.RUnlock();
            }
        });

        await Assert.That(failure).IsNull();
    }
}
