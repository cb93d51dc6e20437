// Channels of time for those who never stop them.

using Weft.Runtime;

namespace Weft;

/// <summary>Timers and tickers of which only the channel is needed. <see cref="Go.Sleep"/> waits.</summary>
public static class Time
{
    /// <summary>Returns a channel that receives the time, once. Go: time.After.</summary>
    /// <param name="delay">After how long; zero or less is at once.</param>
    /// <param name="timeProvider">The clock to use instead of the system's, in tests for example.</param>
    /// <returns>The channel, as <see cref="Timer.C"/>. Nothing is left of it once nobody refers to it:
    /// long times may be given up as often as one likes.</returns>
    public static ReceiveChan<DateTimeOffset> After(TimeSpan delay, TimeProvider? timeProvider = null)
    {
        ChanAlarm alarm = new(timeProvider);
        _ = alarm.Set(delay);
        return alarm.C;
    }

    /// <summary>Returns the channel of a ticker that never stops. Go: time.Tick.</summary>
    /// <param name="period">The time between two ticks, more than zero.</param>
    /// <param name="timeProvider">The clock to use instead of the system's, in tests for example.</param>
    /// <returns>The channel. The ticker goes with it once nobody refers to it.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The period is zero or less.</exception>
    public static ReceiveChan<DateTimeOffset> Tick(TimeSpan period, TimeProvider? timeProvider = null) =>
        new Ticker(period, timeProvider).C;
}
