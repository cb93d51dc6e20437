// What time it is for the caller: in a bubble of WeftTest.Run that of the bubble, else the system's.

namespace Weft.Runtime;

internal static unsafe class Clock
{
    /// <summary>Whether it stands for the clock that Weft goes by itself.</summary>
    internal static bool IsOwn(TimeProvider? provider) =>
        provider is null or WeftTimeProvider || provider == TimeProvider.System;

    internal static DateTimeOffset UtcNow(TimeProvider? provider = null)
    {
        if (provider != null && !IsOwn(provider))
        {
            return provider.GetUtcNow();
        }
        Bubble? bubble = Bubble.OfCaller();
        return bubble == null ? TimeProvider.System.GetUtcNow() : bubble.UtcNow;
    }

    /// <summary>The monotonic clock, in ns.</summary>
    internal static long Now()
    {
        Bubble? bubble = Bubble.OfCaller();
        return bubble == null ? Os.NowNs() : bubble.Now;
    }
}
