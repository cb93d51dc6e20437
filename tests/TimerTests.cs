// Timers, tickers and their channels. The list is that of Go's time/sleep_test.go and tick_test.go, with the
// rules of Go 1.23; the programs are our own.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class TimerTests(int procs)
{
    private static readonly TimeSpan s_far = TimeSpan.FromHours(1);

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private static TimeSpan Soon() => TimeSpan.FromMicroseconds(Random.Shared.Next(300));

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task ATimerSendsTheTimeOnce(bool asThread)
    {
        string? failure = Crew.Run(procs, crew => crew.Start(asThread, () =>
        {
            DateTimeOffset before = DateTimeOffset.UtcNow;
            long start = Stopwatch.GetTimestamp();
            Timer timer = new(Ms(10));
            DateTimeOffset at = timer.C.Receive();
            crew.Expect(Stopwatch.GetElapsedTime(start) >= Ms(10), "too early");
            crew.Expect(at - before >= Ms(5) && at - before < Ms(30_000), $"the time {at}, set at {before}");
            crew.Expect(!timer.Stop(), "Stop of a timer that has fired");
            Go.Sleep(Ms(5));
            crew.Equal(timer.C.Count, 0, "fired again");
        }));

        await Assert.That(failure).IsNull();
    }

    // Fire is Reset to now, and waiting until the value is there. The model: what Stop and Reset return, and
    // whether a receive finds something.
    [Test]
    public async Task EveryOrderOfStopResetFireAndReceive()
    {
        const int Length = 5;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int sequence = 0; sequence < 1 << (2 * Length); sequence++)
            {
                int steps = sequence;
                crew.Go(() => Follow(crew, steps, Length));
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static void Follow(Crew crew, int steps, int length)
    {
        Timer timer = new(s_far);
        bool set = true;
        bool full = false;
        string done = "";
        for (int i = 0; i < length && !crew.Failed; i++)
        {
            int step = (steps >> (2 * i)) & 3;
            done += "SRFC"[step];
            bool expected = step == 3 ? full : set || full;
            bool actual = step switch
            {
                0 => timer.Stop(),
                1 => timer.Reset(s_far),
                2 => timer.Reset(TimeSpan.Zero),
                _ => timer.C.TryReceive(out _),
            };
            crew.Equal(actual, expected, $"the last of {done}");
            if (step == 2)
            {
                crew.Until(() => timer.C.Count == 1, $"the timer to fire in {done}");
            }
            full = step == 2;
            set = step == 1 || (step == 3 && set);
            crew.Equal(timer.C.Count, full ? 1 : 0, $"values after {done}");
        }
        _ = timer.Stop();
    }

    // Whatever happens at the same time: once Stop or Reset has returned there is nothing to receive.
    [Test]
    public async Task NothingStaleIsReceivedAfterStopOrReset()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 8; i++)
            {
                crew.Go(() =>
                {
                    Timer timer = new(Soon());
                    for (int round = 0; round < 500 && !crew.Failed; round++)
                    {
                        _ = timer.Reset(Soon());
                        if (round % 3 == 0)
                        {
                            Go.Sleep(Soon());
                        }
                        else
                        {
                            Go.Yield();
                        }
                        bool byStop = round % 2 == 0;
                        _ = byStop ? timer.Stop() : timer.Reset(s_far);
                        crew.Expect(!timer.C.TryReceive(out _), "a stale value");
                        Go.Yield();
                        crew.Expect(!timer.C.TryReceive(out _), "a stale value, later");
                    }
                    _ = timer.Stop();
                });
            }
        });

        await Assert.That(failure).IsNull();
    }

    // Each setting ends in one way: its function runs, or a Stop or Reset returns true.
    [Test]
    [Arguments(1)]
    [Arguments(3)]
    public async Task AStormOfStopAndResetLosesNothingAndFiresNothingTwice(int sharedBy)
    {
        long set = 0;
        long fired = 0;
        long stopped = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup storm = new();
            Timer[] timers = new Timer[40];
            for (int i = 0; i < timers.Length; i++)
            {
                Timer timer = timers[i] = Timer.AfterFunc(Soon(), () => Interlocked.Increment(ref fired));
                Interlocked.Increment(ref set);
                for (int user = 0; user < sharedBy; user++)
                {
                    Action use = () =>
                    {
                        for (int round = 0; round < 200; round++)
                        {
                            bool reset = Random.Shared.Next(3) != 0;
                            bool pending = reset ? timer.Reset(Soon()) : timer.Stop();
                            Interlocked.Add(ref set, reset ? 1 : 0);
                            Interlocked.Add(ref stopped, pending ? 1 : 0);
                            if (round % 4 == 0)
                            {
                                Go.Sleep(Soon());
                            }
                        }
                    };
                    storm.Add();
                    crew.Start(user == 2 && i % 8 == 0, () =>
                    {
                        use();
                        storm.Done();
                    });
                }
            }
            storm.Wait();
            foreach (Timer timer in timers)
            {
                stopped += timer.Stop() ? 1 : 0;
            }
            crew.Until(
                () => Volatile.Read(ref fired) + stopped == set,
                $"all settings to end: {set} set, {fired} fired, {stopped} stopped");
            Go.Sleep(Ms(2));
        });

        await Assert.That(failure).IsNull();
        await Assert.That(fired + stopped).IsEqualTo(set);
        await Assert.That(fired).IsGreaterThan(0);
        Scheduler.CheckTimers();
    }

    [Test]
    public async Task AFunctionRunsInAGoroutineThatMayWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<long> ids = new();
            Timer timer = Timer.AfterFunc(Ms(1), () =>
            {
                ids.Send(Go.Id);
                ids.Send(Go.Id);
            });
            long id = ids.Receive();
            crew.Expect(id != 0 && id != Go.Id, "the goroutine of the function");
            crew.Expect(!timer.Stop(), "Stop does not wait for the function");
            crew.Equal(ids.Receive(), id, "the rest of the function");
            crew.Throws<InvalidOperationException>(() => _ = timer.C, "C of AfterFunc");
            crew.Expect(!timer.Reset(TimeSpan.Zero), "Reset of one that has fired");
            crew.Expect(ids.Receive() != id, "the next goroutine");
            _ = ids.Receive();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task NegativeTimesAreNowAndEndlessOnesNever()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            _ = Time.After(TimeSpan.Zero).Receive();
            _ = Time.After(TimeSpan.FromTicks(-1)).Receive();
            _ = Time.After(TimeSpan.MinValue).Receive();
            Timer never = new(TimeSpan.MaxValue);
            Timer almost = new(TimeSpan.FromDays(365 * 293));
            Go.Sleep(Ms(2));
            crew.Expect(never.Stop() && almost.Stop(), "an endless timer has ended");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ManyTimersSetMovedAndStoppedLeaveAProperHeap()
    {
        long before = 0;
        long after = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            before = Scheduler.TimerCount;
            Timer[] timers = [.. Enumerable.Range(0, 6000).Select(_ => Timer.AfterFunc(s_far, () => { }))];
            WaitGroup done = new();
            for (int part = 0; part < 4; part++)
            {
                int first = part * 1500;
                done.Go(() =>
                {
                    for (int i = 0; i < 5000; i++)
                    {
                        Timer timer = timers[first + Random.Shared.Next(1500)];
                        _ = Random.Shared.Next(3) == 0
                            ? timer.Stop()
                            : timer.Reset(s_far + TimeSpan.FromTicks(Random.Shared.Next()));
                    }
                });
            }
            done.Wait();
            Scheduler.CheckTimers();
            foreach (Timer timer in timers)
            {
                _ = timer.Stop();
            }
            after = Scheduler.TimerCount;
        });

        await Assert.That(failure).IsNull();
        await Assert.That(after).IsEqualTo(before);
        Scheduler.CheckTimers();
    }

    [Test]
    public async Task ATickerTicks()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            long start = Stopwatch.GetTimestamp();
            Ticker ticker = new(Ms(5));
            for (int i = 0; i < 10; i++)
            {
                _ = ticker.C.Receive();
            }
            ticker.Stop();
            TimeSpan took = Stopwatch.GetElapsedTime(start);
            crew.Expect(took >= Ms(50), $"ten ticks in {took}");
            crew.Equal(ticker.C.Count, 0, "ticks after Stop");
            Go.Sleep(Ms(12));
            crew.Equal(ticker.C.Count, 0, "ticks after Stop, later");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ASlowReceiverMissesTicks()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Ticker ticker = new(Ms(2));
            Go.Sleep(Ms(30));
            crew.Equal(ticker.C.Count, 1, "ticks kept");
            DateTimeOffset first = ticker.C.Receive();
            DateTimeOffset second = ticker.C.Receive();
            crew.Expect(second - first >= Ms(15), $"the next tick is {second - first} later: not dropped");
            ticker.Reset(s_far);
            crew.Equal(ticker.C.Count, 0, "ticks after Reset");
            ticker.Reset(Ms(1));
            _ = ticker.C.Receive();
            ticker.Stop();
            ticker.Stop();
            ticker.Reset(Ms(1));
            _ = ticker.C.Receive();
            ticker.Stop();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task APeriodMustBeMoreThanZero()
    {
        await Assert.That(() => new Ticker(TimeSpan.Zero)).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => new Ticker(Ms(-1))).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => Time.Tick(TimeSpan.Zero)).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => Timer.AfterFunc(s_far, null!)).Throws<ArgumentNullException>();
        Ticker ticker = new(s_far);
        await Assert.That(() => ticker.Reset(TimeSpan.Zero)).Throws<ArgumentOutOfRangeException>();
        ticker.Stop();
    }

    // Tickers and timers of many goroutines and threads, all of them stopped at last.
    [Test]
    public async Task AStormOfTickersEnds()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 50; i++)
            {
                crew.Start(i % 10 == 0, () =>
                {
                    Ticker ticker = new(Ms(1) + Soon());
                    for (int tick = 0; tick < 20; tick++)
                    {
                        _ = ticker.C.Receive();
                        if (tick % 5 == 0)
                        {
                            ticker.Reset(Ms(1) + Soon());
                        }
                    }
                    ticker.Stop();
                    crew.Equal(ticker.C.Count, 0, "ticks after Stop");
                });
            }
        });

        await Assert.That(failure).IsNull();
        Scheduler.CheckTimers();
    }

    [Test]
    public async Task TimersSetByManyFireForAll()
    {
        int fired = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 20; i++)
            {
                crew.Start(i % 5 == 0, () =>
                {
                    for (int round = 0; round < 100; round++)
                    {
                        _ = Time.After(Soon()).Receive();
                        Interlocked.Increment(ref fired);
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(fired).IsEqualTo(2000);
    }
}
