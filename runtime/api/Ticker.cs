// Tickers: a timer that sets itself again.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// Sends the time to a channel again and again. A receiver that is slow finds one tick there, and misses the
/// others: they are dropped, not delivered late. Go: time.Ticker. Safe for any number of goroutines and
/// threads at once; no member waits. A ticker that nobody can reach any more is collected, stopped or
/// not; one that nobody waits for costs nothing meanwhile.
/// </summary>
public sealed class Ticker
{
    private const string What = "The ticker";

    private readonly ChanAlarm _alarm;

    /// <summary>Makes a ticker whose first tick comes after one period. Go: time.NewTicker.</summary>
    /// <param name="period">The time between two ticks, more than zero.</param>
    /// <param name="timeProvider">The clock to use instead of the system's, in tests for example. It may
    /// keep the ticker alive until it is stopped.</param>
    /// <exception cref="ArgumentOutOfRangeException">The period is zero or less.</exception>
    public Ticker(TimeSpan period, TimeProvider? timeProvider = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(period, TimeSpan.Zero);
        _alarm = new ChanAlarm(timeProvider);
        _ = _alarm.Set(period, period);
    }

    /// <summary>Where the ticks go, in UTC. It holds one and is never closed. As <see cref="Timer.C"/> if
    /// nobody waits.</summary>
    public ReceiveChan<DateTimeOffset> C => _alarm.C;

    /// <summary>Ends the ticks. After it returns none is received. Does not close the channel.</summary>
    public void Stop()
    {
        _alarm.CheckCaller(What);
        _ = _alarm.Clear();
    }

    /// <summary>Starts anew, with another period, also after Stop. The first tick comes after one period; no
    /// earlier one is received.</summary>
    /// <param name="period">The time between two ticks, more than zero.</param>
    /// <exception cref="ArgumentOutOfRangeException">The period is zero or less.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another timer: somebody waits for
    /// it.</exception>
    public void Reset(TimeSpan period)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(period, TimeSpan.Zero);
        _alarm.CheckCaller(What);
        _ = _alarm.Set(period, period);
    }
}
