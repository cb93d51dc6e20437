// The system's clock with Weft's timers, for libraries that take a TimeProvider; and the way to the clock of
// a bubble, for code that is tested there.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// A TimeProvider whose timers are Weft's: each callback runs in a new goroutine, and setting or stopping a
/// timer costs no lock that all timers share. The clock is the system's. Timers have a resolution of some
/// 50 microseconds, not of milliseconds. On a goroutine of <c>WeftTest.Run</c> all of it is the bubble's.
/// </summary>
public sealed class WeftTimeProvider : TimeProvider
{
    private static readonly TimeSpan s_most = TimeSpan.FromMilliseconds(uint.MaxValue - 1);

    private WeftTimeProvider()
    {
    }

    /// <summary>The only one.</summary>
    public static WeftTimeProvider Instance { get; } = new();

    /// <summary>1,000,000,000: timestamps are nanoseconds.</summary>
    public override long TimestampFrequency => 1_000_000_000;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => Clock.UtcNow();

    /// <inheritdoc/>
    public override long GetTimestamp() => Clock.Now();

    /// <summary>Makes a timer; does not wait. See <see cref="TimeProvider.CreateTimer"/>.</summary>
    /// <param name="callback">What to run, with the caller's ExecutionContext. It may run again before it has
    /// returned.</param>
    /// <param name="state">Its argument.</param>
    /// <param name="dueTime">After how long first: zero is at once, Timeout.InfiniteTimeSpan never.</param>
    /// <param name="period">After how long again: zero or Timeout.InfiniteTimeSpan is never.</param>
    /// <returns>The timer.</returns>
    /// <exception cref="ArgumentNullException">The callback is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A time is negative and not infinite, or above
    /// 4294967294 ms.</exception>
    public override ITimer CreateTimer(
        TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentNullException.ThrowIfNull(callback);
        Check(dueTime, nameof(dueTime));
        Check(period, nameof(period));
        CallbackAlarm alarm = new(callback, state);
        _ = alarm.Change(dueTime, period);
        return alarm;
    }

    private static void Check(TimeSpan time, string name)
    {
        if ((time < TimeSpan.Zero && time != Timeout.InfiniteTimeSpan) || time > s_most)
        {
            throw new ArgumentOutOfRangeException(name, time, "0 to 4294967294 ms, or infinite.");
        }
    }

    private sealed class CallbackAlarm(TimerCallback callback, object? state)
        : Alarm(null, isWatched: true), ITimer
    {
        private readonly ExecutionContext? _context = ContextFlow.Capture();
        private readonly Lock _gate = new();
        private TaskCompletionSource? _ended;
        private int _running;
        private bool _disposed;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Check(dueTime, nameof(dueTime));
            Check(period, nameof(period));
            lock (_gate)
            {
                if (_disposed)
                {
                    return false;
                }
                if (dueTime == Timeout.InfiniteTimeSpan)
                {
                    _ = Clear();
                }
                else
                {
                    _ = Set(dueTime, period == Timeout.InfiniteTimeSpan ? TimeSpan.Zero : period);
                }
                return true;
            }
        }

        public void Dispose() => _ = BeginDispose();

        /// <summary>Completes when no callback runs.</summary>
        public ValueTask DisposeAsync() => new(BeginDispose());

        protected override void Deliver(DateTimeOffset stamp) => Interlocked.Increment(ref _running);

        protected override void Start() =>
            Go.RunIn(_context, static alarm => alarm.Call(), this, MadeIn);

        private void Call()
        {
            try
            {
                callback(state);
            }
            finally
            {
                // Who disposes: _ended, full barrier, _running. Here the other way round.
                if (Interlocked.Decrement(ref _running) == 0)
                {
                    _ = Volatile.Read(ref _ended)?.TrySetResult();
                }
            }
        }

        private Task BeginDispose()
        {
            lock (_gate)
            {
                if (!_disposed)
                {
                    _disposed = true;
                    _ = Clear();
                    TaskCompletionSource ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    Volatile.Write(ref _ended, ended);
                    Interlocked.MemoryBarrier(); // Pairs with the exchange in Call.
                    if (Volatile.Read(ref _running) == 0)
                    {
                        _ = _ended!.TrySetResult();
                    }
                }
                return _ended!.Task;
            }
        }
    }
}
