// Bubbles: their clock, what waits durably, deadlocks, failures. The rules are those of Go's testing/synctest;
// the programs are our own.

using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Weft.Tests;

internal sealed class VirtualTimeTests
{
    private static readonly DateTimeOffset s_beginning = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static DateTimeOffset Now => WeftTimeProvider.Instance.GetUtcNow();

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    private static TimeSpan Elapsed => Now - s_beginning;

    private static void Expect(bool condition, string what)
    {
        if (!condition)
        {
            throw new InvalidOperationException(what);
        }
    }

    private static WeftTestException Fails(Action body)
    {
        try
        {
            WeftTest.Run(body);
        }
        catch (WeftTestException e)
        {
            return e;
        }
        throw new InvalidOperationException("it did not fail");
    }

    [Test]
    public async Task AnHourPassesInNoTime()
    {
        int ticks = 0, granted = 0, expired = 0;
        void Hour()
        {
            ticks = granted = expired = 0;
            Chan<Unit> tokens = new(10);
            (Context hour, Action cancel) = Context.Background.WithTimeout(TimeSpan.FromHours(1));
            Go.Run(() =>
            {
                Ticker ticker = new(Seconds(0.5));
                while (Select.Wait(ticker.C.ReceiveCase(), hour.Done.ReceiveCase()) == 0)
                {
                    _ = tokens.TrySend(default);
                }
            });
            Go.Run(() =>
            {
                while (Select.Wait(tokens.ReceiveCase(), hour.Done.ReceiveCase()) == 0)
                {
                    granted++;
                }
            });
            Go.Run(() =>
            {
                while (Select.Wait(Time.After(Seconds(10)).ReceiveCase(), hour.Done.ReceiveCase()) == 0)
                {
                    expired++;
                }
            });
            Ticker second = new(Seconds(1));
            while (Elapsed < TimeSpan.FromHours(1))
            {
                _ = second.C.Receive();
                ticks++;
            }
            WeftTest.Wait();
            cancel();
            Expect(hour.Err is TimeoutException, "the context's error");
            Expect(Elapsed == TimeSpan.FromHours(1), $"after {Elapsed}");
        }
        long least = long.MaxValue;
        for (int i = 0; i < 20 && least > Stopwatch.Frequency / 20; i++) // The machine may be busy.
        {
            long start = Stopwatch.GetTimestamp();
            WeftTest.Run(Hour);
            least = Math.Min(least, Stopwatch.GetTimestamp() - start);
        }
        Console.WriteLine($"an hour: {Stopwatch.GetElapsedTime(0, least).TotalMilliseconds:0.0} ms");

        await Assert.That(ticks).IsEqualTo(3600);
        await Assert.That(granted).IsBetween(7198, 7200);
        await Assert.That(expired).IsBetween(358, 360);
        int most = Go.Mode == GoMode.Jit || Qemu.IsHere ? 1000 : 100; // On the JIT each step is one of threads.
        await Assert.That(Stopwatch.GetElapsedTime(0, least)).IsLessThan(TimeSpan.FromMilliseconds(most));
    }

    [Test]
    public async Task TimeStandsStillWhileAGoroutineComputes()
    {
        WeftTest.Run(() =>
        {
            Go.Run(() => Go.Sleep(Seconds(1)));
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(50))
            {
                Expect(Elapsed == TimeSpan.Zero, "the clock has moved");
            }
            Go.Sleep(Seconds(2));
            Expect(Elapsed == Seconds(2), $"{Elapsed} after a sleep of 2 s");
        });
        await Assert.That(Now - s_beginning).IsGreaterThan(TimeSpan.FromDays(1000));
    }

    [Test]
    public void TimersTickersAndContextsGoByTheBubblesClock() => WeftTest.Run(() =>
    {
        Timer timer = new(Seconds(5));
        Expect(timer.C.Receive() == s_beginning + Seconds(5), "the timer's time");
        Expect(!timer.Reset(Seconds(10)), "Reset of one that has fired");
        Go.Sleep(Seconds(15));
        Expect(timer.C.TryReceive(out DateTimeOffset at) && at == s_beginning + Seconds(15), $"looked at late: {at}");
        bool ran = false;
        Timer func = Timer.AfterFunc(Seconds(1), () => ran = Elapsed == Seconds(21));
        WeftTest.Wait();
        Expect(!ran && func.Stop(), "AfterFunc too early");
        _ = func.Reset(Seconds(1));
        Go.Sleep(Seconds(1) - TimeSpan.FromTicks(1));
        WeftTest.Wait();
        Expect(!ran, "AfterFunc a moment too early");
        WeftTest.Sleep(TimeSpan.FromTicks(1));
        Expect(ran, "not at 21");
        (Context context, Action cancel) = Context.Background.WithTimeout(Seconds(5));
        Expect(context.Deadline == Now + Seconds(5), "the deadline");
        WeftTest.Sleep(Seconds(5) - TimeSpan.FromTicks(1));
        Expect(context.Err == null, "cancelled too early");
        WeftTest.Sleep(TimeSpan.FromTicks(1));
        Expect(context.Err is TimeoutException, "not cancelled");
        cancel();
        using CancellationTokenSource source = new(Seconds(3), WeftTimeProvider.Instance);
        long before = WeftTimeProvider.Instance.GetTimestamp();
        try
        {
            _ = new Chan<int>().Receive(source.Token);
            Expect(false, "received");
        }
        catch (OperationCanceledException)
        {
            Expect(WeftTimeProvider.Instance.GetElapsedTime(before) == Seconds(3), "the token's time");
        }
    });

    [Test]
    public async Task WhatNobodyWaitsForAnyMoreDoesNotMoveTheClock()
    {
        TimeSpan end = default;
        _ = Fails(() =>
        {
            Chan<int> channel = new();
            Go.Run(() =>
            {
                Go.Sleep(Seconds(1));
                channel.Send(1);
            });
            Expect(Select.Wait(Time.After(Seconds(3600)).ReceiveCase(), channel.ReceiveCase()) == 1, "the case");
            try
            {
                _ = channel.Receive();
            }
            finally
            {
                end = Elapsed;
            }
        });
        await Assert.That(end).IsEqualTo(Seconds(1));
    }

    [Test]
    public async Task AContextsChannelIsOfWhereTheContextWasMade()
    {
        (Context context, Action cancel) = Context.Background.WithCancel();
        WeftTest.Run(() => Expect(!context.Done.TryReceive(out _, out bool isClosed) && !isClosed, "cancelled"));
        cancel();
        await Assert.That(context.Done.Receive(out _)).IsFalse();
    }

    [Test]
    [OnlyOnJit]
    public async Task ASeedIsRefusedOnTheJit()
    {
        await Assert.That(() => WeftTest.Run(1, () => { })).Throws<PlatformNotSupportedException>();
        await Assert.That(() => WeftTest.Explore(1, () => { })).Throws<PlatformNotSupportedException>();
    }

    [Test]
    public void WaitReturnsWhenAllOthersWait() => WeftTest.Run(() =>
    {
        int done = 0;
        Chan<int> channel = new();
        for (int i = 0; i < 10; i++)
        {
            Go.Run(() =>
            {
                Interlocked.Increment(ref done);
                _ = channel.Receive();
                Interlocked.Increment(ref done);
                Go.Sleep(Seconds(1));
                Interlocked.Increment(ref done);
            });
        }
        WeftTest.Wait();
        Expect(done == 10, $"{done} have begun");
        channel.Close();
        WeftTest.Wait();
        Expect(done == 20 && Elapsed == TimeSpan.Zero, $"{done} have gone on at {Elapsed}");
        Go.Sleep(Seconds(1));
        WeftTest.Wait();
        Expect(done == 30, $"{done} have ended");
    });

    [Test]
    public async Task RunWaitsForAllButTheClockStandsStillOnceTheBodyHasEnded()
    {
        bool ended = false;
        WeftTest.Run(() => Go.Run(() =>
        {
            Go.Yield();
            ended = true;
        }));
        await Assert.That(ended).IsTrue();
        WeftTestException e = Fails(() => Go.Run(() => Go.Sleep(Seconds(1))));
        await Assert.That(e.Message).Contains("the body has ended, so the clock stands still").And.Contains("[sleep");
    }

    [Test]
    public async Task ADeadlockIsAFailureWithStacks()
    {
        bool unwound = false;
        WeftTestException e = Fails(() =>
        {
            Chan<int> channel = new();
            Go.Run(() => WaitForNothing(channel, ref unwound));
            new WaitGroup().Wait();
            _ = Select.Wait(new Chan<string>().ReceiveCase(), channel.ReceiveCase());
        });
        await Assert.That(e.Message).StartsWith("Deadlock: all goroutines of the bubble wait")
            .And.Contains("[chan receive").And.Contains("[select");
        if (Go.Mode == GoMode.NativeAot)
        {
            await Assert.That(e.Message).Contains(nameof(WaitForNothing));
        }
        await Assert.That(unwound).IsTrue();
        await Assert.That(e.Seed).IsNull();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForNothing(Chan<int> channel, ref bool unwound)
    {
        try
        {
            _ = channel.Receive();
        }
        finally
        {
            unwound = true;
        }
    }

    [Test]
    public async Task EveryWayToWaitForEverIsADeadlock()
    {
        (string What, Action Wait)[] waits =
        [
            ("chan receive", () => new Chan<int>().Receive()),
            ("chan send", () => new Chan<int>().Send(1)),
            ("select", () => Select.Wait(new Chan<int>().ReceiveCase(), new Chan<int>().SendCase(1))),
            ("no channel", () => default(ReceiveChan<int>).Receive()),
            ("wait group", () =>
            {
                WaitGroup group = new();
                group.Add();
                group.Wait();
            }
            ),
            ("semaphore", () =>
            {
                Semaphore semaphore = new(1);
                semaphore.Acquire();
                semaphore.Acquire();
            }
            ),
            ("cond", () =>
            {
                Cond cond = new(new Mutex());
                cond.Mutex.Lock();
                cond.Wait();
            }
            ),
            ("mutex", () =>
            {
                Mutex mutex = new();
                mutex.Lock();
                mutex.Lock();
            }
            ),
            ("rw mutex", () =>
            {
                RWMutex mutex = new();
                mutex.RLock();
                mutex.Lock();
            }
            ),
            ("WeftTest.Wait", () =>
            {
                Mutex mutex = new();
                mutex.Lock();
                Go.Run(mutex.Lock);
                WeftTest.Wait();
            }
            ),
        ];
        foreach ((string what, Action wait) in waits)
        {
            await Assert.That(Fails(wait).Message).Contains($"[{what}");
        }
    }

    [Test]
    public async Task WhoWaitsForALockOrTheNetworkKeepsTheClockStill()
    {
        Mutex mutex = new();
        mutex.Lock();
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        Chan<int> channel = new();
        SemaphoreSlim dotNet = new(0);
        (Action Wait, Action Release)[] foreign =
        [
            (mutex.Lock, mutex.Unlock),
            (() => listener.Accept().Dispose(), () => Net.Dial("tcp", listener.Address!.ToString()!).Dispose()),
            (() => channel.Receive(), () => channel.Send(1)),
            (() => Select.Wait(channel.ReceiveCase(), new Chan<int>().ReceiveCase()), () => channel.Send(1)),
            (dotNet.Wait, () => dotNet.Release()),
        ];
        foreach ((Action wait, Action release) in foreign)
        {
            bool waits = false;
            bool moved = false;
            Thread run = new(() => WeftTest.Run(() =>
            {
                Go.Run(() =>
                {
                    Volatile.Write(ref waits, true);
                    wait();
                });
                Go.Sleep(Seconds(1));
                Volatile.Write(ref moved, true);
            }));
            run.Start();
            _ = SpinWait.SpinUntil(() => Volatile.Read(ref waits), Seconds(30));
            Thread.Sleep(50);
            await Assert.That(Volatile.Read(ref moved)).IsFalse();
            release();
            run.Join();
            await Assert.That(Volatile.Read(ref moved)).IsTrue();
        }
    }

    [Test]
    public async Task ARunInARunIsRefused()
    {
        await Assert.That(() => WeftTest.Run(() => WeftTest.Run(() => { }))).Throws<InvalidOperationException>();
        await Assert.That(WeftTest.Wait).Throws<InvalidOperationException>();
        WeftTestException twice = Fails(() =>
        {
            Go.Run(WeftTest.Wait);
            Go.Run(WeftTest.Wait);
            Go.Sleep(Seconds(1));
            new Chan<int>().Receive();
        });
        await Assert.That(twice.InnerException).IsTypeOf<InvalidOperationException>();
    }

    [Test]
    public async Task WhatIsMadeInABubbleIsUsedThereOnly()
    {
        Chan<int>? channel = null;
        Timer? timer = null;
        WaitGroup? group = null;
        Chan<int> outside = new(1);
        WeftTest.Run(() =>
        {
            channel = new Chan<int>(2);
            channel.Send(1);
            timer = new Timer(Seconds(1));
            group = new WaitGroup();
            outside.Send(1); // May be used, its waits are not durable.
            _ = outside.Receive();
            Exception? failure = null;
            Thread thread = new(() =>
            {
                try
                {
                    channel.Send(1);
                }
                catch (Exception e)
                {
                    failure = e;
                }
            });
            thread.Start();
            thread.Join();
            Expect(failure is InvalidOperationException, "a thread sends");
            Expect(channel.Count == 1, "it was sent");
        });
        Action[] uses =
        [
            () => channel!.Send(1), () => channel!.Receive(), () => channel!.TrySend(1),
            () => channel!.TryReceive(out _), channel!.Close, () => Select.TryWait(channel!.ReceiveCase()),
            () => Select.Wait(channel!.ReceiveCase(), outside.ReceiveCase()),
            () => timer!.Stop(), () => timer!.Reset(Seconds(1)), () => timer!.C.Receive(), () => group!.Add(),
        ];
        foreach (Action use in uses)
        {
            await Assert.That(use).Throws<InvalidOperationException>();
            await Assert.That(() => WeftTest.Run(use)).Throws<InvalidOperationException>();
        }
    }

    [Test]
    public async Task AnExceptionFailsTheTest()
    {
        ArgumentException thrown = new("of the body");
        await Assert.That(() => WeftTest.Run(() => throw thrown)).Throws<ArgumentException>().WithMessage("of the body");
        bool unwound = false;
        WeftTestException e = Fails(() =>
        {
            Go.Run(() => throw thrown);
            try
            {
                while (true)
                {
                    Go.Sleep(Seconds(1)); // The clock stands still soon.
                }
            }
            finally
            {
                unwound = true;
            }
        });
        await Assert.That(e.InnerException).IsEqualTo(thrown);
        await Assert.That(e.Message).Contains("of the body");
        await Assert.That(unwound).IsTrue();
        WeftTest.Run(() => Go.Run(Go.Exit));
        WeftTest.Run(Go.Exit);
    }

    [Test]
    public async Task WhatIsOutsideIsNotAffected()
    {
        int ended = 0;
        WaitGroup outside = new();
        using CancellationTokenSource stop = new();
        long start = Stopwatch.GetTimestamp();
        outside.Go(() =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(100));
            ended++;
        });
        Thread[] runs = [.. Enumerable.Range(0, 4).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < 20; i++)
            {
                WeftTest.Run(() =>
                {
                    Chan<int> ping = new(), pong = new();
                    Go.Run(() =>
                    {
                        foreach (int each in ping)
                        {
                            Go.Sleep(Seconds(1));
                            pong.Send(each);
                        }
                    });
                    for (int j = 0; j < 200; j++)
                    {
                        ping.Send(j);
                        Expect(pong.Receive() == j, "a wrong answer");
                    }
                    ping.Close();
                    Expect(Elapsed == Seconds(200), $"after {Elapsed}");
                });
            }
        }))];
        Array.ForEach(runs, run => run.Start());
        Array.ForEach(runs, run => run.Join());
        outside.Wait();
        await Assert.That(ended).IsEqualTo(1);
        await Assert.That(Stopwatch.GetElapsedTime(start)).IsGreaterThan(TimeSpan.FromMilliseconds(99));
    }

    [Test]
    public void TheCallerMayBeAGoroutine()
    {
        WaitGroup group = new();
        for (int i = 0; i < 8; i++)
        {
            group.Go(() => WeftTest.Run(() =>
            {
                Go.Sleep(Seconds(5));
                WeftTest.Wait();
                Expect(Elapsed == Seconds(5), "the time");
            }));
        }
        group.Wait();
    }

    [Test]
    public void ManyGoroutinesInABubble() => WeftTest.Run(() =>
    {
        const int Count = 2000;
        WaitGroup group = new();
        long sum = 0;
        for (int i = 1; i <= Count; i++)
        {
            int mine = i;
            group.Go(() =>
            {
                Go.Sleep(Seconds(mine % 100));
                Interlocked.Add(ref sum, mine);
            });
        }
        group.Wait();
        Expect(sum == Count * (Count + 1L) / 2 && Elapsed == Seconds(99), $"{sum} at {Elapsed}");
    });
}
