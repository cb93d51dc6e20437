// Time from somewhere else: a fake clock under Weft's timers, and Weft's timers under the library's.

using System.Diagnostics;

namespace Weft.Tests;

internal sealed class TimeProviderTests
{
    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>A clock that moves when it is told to. Callbacks run inside Advance.</summary>
    private sealed class FakeTime : TimeProvider
    {
        private readonly List<FakeTimer> _timers = [];
        private DateTimeOffset _now = new(2026, 11, 24, 0, 0, 0, TimeSpan.Zero);

        internal int TimerCount => _timers.Count;

        public override DateTimeOffset GetUtcNow() => _now;

        public override ITimer CreateTimer(
            TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            FakeTimer timer = new(this, () => callback(state));
            timer.Change(dueTime, period);
            return timer;
        }

        internal void Advance(TimeSpan time)
        {
            DateTimeOffset end = _now + time;
            while (_timers.Where(t => t.When <= end).MinBy(t => t.When) is FakeTimer next)
            {
                _now = next.When > _now ? next.When : _now;
                next.Fire();
            }
            _now = end;
        }

        private sealed class FakeTimer(FakeTime time, Action callback) : ITimer
        {
            private TimeSpan _period;

            internal DateTimeOffset When { get; private set; }

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                Dispose();
                _period = period;
                When = time._now + dueTime;
                time._timers.Add(this);
                return true;
            }

            public void Dispose() => time._timers.Remove(this);

            public ValueTask DisposeAsync()
            {
                Dispose();
                return default;
            }

            internal void Fire()
            {
                if (_period > TimeSpan.Zero)
                {
                    When += _period;
                }
                else
                {
                    Dispose();
                }
                callback();
            }
        }
    }

    [Test]
    public async Task TimersFollowAFakeClock()
    {
        string? failure = Crew.Run(1, crew =>
        {
            FakeTime time = new();
            DateTimeOffset start = time.GetUtcNow();
            Timer timer = new(TimeSpan.FromHours(1), time);
            time.Advance(TimeSpan.FromMinutes(59));
            crew.Equal(timer.C.Count, 0, "too early");
            time.Advance(TimeSpan.FromMinutes(2));
            crew.Equal(timer.C.Receive(), start + TimeSpan.FromHours(1), "the time received");
            crew.Expect(!timer.Reset(Ms(5)), "Reset of one that has fired");
            time.Advance(Ms(5));
            crew.Expect(timer.Stop(), "Stop with a value that nobody has received");
            crew.Expect(!timer.Stop(), "Stop again");
            crew.Expect(!timer.Reset(Ms(5)), "Reset of one that was stopped");
            crew.Expect(timer.Reset(Ms(50)), "Reset of one that is set");
            time.Advance(Ms(10));
            crew.Equal(timer.C.Count, 0, "an earlier setting fired");
            crew.Expect(timer.Stop(), "Stop of one that is set");
            time.Advance(Ms(100));
            crew.Equal(timer.C.Count, 0, "fired after Stop");
            crew.Equal(time.TimerCount, 0, "timers left in the provider");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TickersAndFunctionsFollowAFakeClock()
    {
        string? failure = Crew.Run(2, crew =>
        {
            FakeTime time = new();
            Ticker ticker = new(Ms(10), time);
            for (int i = 0; i < 5; i++)
            {
                time.Advance(Ms(10));
                crew.Expect(ticker.C.TryReceive(out _), "a tick");
            }
            time.Advance(Ms(95));
            crew.Equal(ticker.C.Count, 1, "ticks kept");
            ticker.Reset(Ms(50));
            crew.Equal(ticker.C.Count, 0, "ticks after Reset");
            time.Advance(Ms(49));
            crew.Equal(ticker.C.Count, 0, "a tick too early");
            time.Advance(Ms(1));
            crew.Equal(ticker.C.Count, 1, "a tick of the new period");
            ticker.Stop();
            crew.Equal(time.TimerCount, 0, "timers left in the provider");

            Chan<bool> ran = new();
            _ = Timer.AfterFunc(Ms(3), () => ran.Send(Go.IsGoroutine), time);
            time.Advance(Ms(3));
            crew.Expect(ran.Receive(), "a goroutine");
            ReceiveChan<DateTimeOffset> after = Time.After(Ms(3), time);
            ReceiveChan<DateTimeOffset> tick = Time.Tick(Ms(2), time);
            time.Advance(Ms(3));
            crew.Equal(after.Count + tick.Count, 2, "After and Tick");

            (Context context, Action cancel) = Context.Background.WithTimeout(Ms(20), null, time);
            crew.Equal(context.Deadline, time.GetUtcNow() + Ms(20), "the deadline");
            time.Advance(Ms(20));
            _ = context.Done.Receive();
            crew.Expect(context.Err is TimeoutException, "the deadline's error");
            cancel();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task TheLibraryMayUseWeftsTimers(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WeftTimeProvider time = WeftTimeProvider.Instance;
            long start = Stopwatch.GetTimestamp();
            crew.Expect(Task.Delay(Ms(20), time).Wait(30_000), "Task.Delay");
            crew.Expect(Stopwatch.GetElapsedTime(start) >= Ms(19.9), "too early");

            using CancellationTokenSource source = new(Ms(5), time);
            crew.Expect(source.Token.WaitHandle.WaitOne(30_000), "CancellationTokenSource");

            using PeriodicTimer periodic = new(Ms(2), time);
            for (int i = 0; i < 5; i++)
            {
                crew.Expect(periodic.WaitForNextTickAsync().AsTask().Wait(30_000), "PeriodicTimer");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ATimerOfTheProviderChangesStopsAndFlowsTheContext()
    {
        string? failure = Crew.Run(2, crew =>
        {
            AsyncLocal<string> local = new() { Value = "flows" };
            Chan<string> calls = new(100);
            ITimer timer = WeftTimeProvider.Instance.CreateTimer(
                state => calls.Send($"{state} {local.Value} {Go.IsGoroutine}"),
                "state",
                Ms(1),
                Ms(1));
            for (int i = 0; i < 5; i++)
            {
                crew.Equal(calls.Receive(), "state flows True", "a callback");
            }
            crew.Expect(timer.Change(Timeout.InfiniteTimeSpan, Ms(1)), "Change to never");
            timer.DisposeAsync().AsTask().Wait();
            crew.Expect(!timer.Change(Ms(1), Ms(1)), "Change after Dispose");
            while (calls.TryReceive(out _))
            {
            }
            Go.Sleep(Ms(10));
            crew.Equal(calls.Count, 0, "callbacks after DisposeAsync");

            ITimer once = WeftTimeProvider.Instance.CreateTimer(
                _ => calls.Send("once"), null, TimeSpan.Zero, TimeSpan.Zero);
            crew.Equal(calls.Receive(), "once", "a callback at once");
            Go.Sleep(Ms(5));
            crew.Equal(calls.Count, 0, "more callbacks without a period");
            once.Dispose();
            once.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task DisposeAsyncWaitsForACallbackThatRuns()
    {
        string? failure = Crew.Run(2, crew =>
        {
            Chan<int> inside = new();
            bool ended = false;
            ITimer timer = WeftTimeProvider.Instance.CreateTimer(
                _ =>
                {
                    inside.Send(1);
                    _ = inside.Receive();
                    Volatile.Write(ref ended, true);
                },
                null,
                TimeSpan.Zero,
                Timeout.InfiniteTimeSpan);
            _ = inside.Receive();
            Task disposed = timer.DisposeAsync().AsTask();
            Go.Sleep(Ms(5));
            crew.Expect(!disposed.IsCompleted, "disposed while a callback runs");
            inside.Send(2);
            disposed.Wait();
            crew.Expect(Volatile.Read(ref ended), "the callback has ended");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task BadTimesAreRefused()
    {
        WeftTimeProvider time = WeftTimeProvider.Instance;
        await Assert.That(() => time.CreateTimer(null!, null, default, default))
            .Throws<ArgumentNullException>();
        await Assert.That(() => time.CreateTimer(_ => { }, null, Ms(-2), default))
            .Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => time.CreateTimer(_ => { }, null, default, TimeSpan.MaxValue))
            .Throws<ArgumentOutOfRangeException>();
    }
}
