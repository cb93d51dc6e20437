// The cheapest clock: the processor's counter, where the system itself takes its time from it, so that it
// runs at one speed and is the same on all cores; else the monotonic clock, at twice the price.
//
// What a tick is worth is found by looking at both clocks again and again (TickClock). Rejected: the counter
// without asking; a machine that sleeps or moves between sockets has others.

using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static class Ticks
{
    private const string Source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

    private static bool s_isCounter;

    /// <summary>Set at the start: WEFTDEBUG=counter=0 says no.</summary>
    internal static bool MayCount { get; set; } = true;

    /// <summary>Any unit, from any start, for differences.</summary>
    internal static long Now() => s_isCounter && !Jit.IsOn ? NativeNow() : Os.NowNs();

    /// <summary>Whether a tick is the counter's; else a nanosecond. For tests.</summary>
    internal static bool AreCounted => s_isCounter;

    /// <summary>Before the first look. Never on the JIT.</summary>
    internal static void Choose()
    {
        if (!MayCount)
        {
            return;
        }
        string source;
        try
        {
            source = File.ReadAllText(Source).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return;
        }
        s_isCounter = source == "arch_sys_counter"
            || (source is "tsc" or "kvm-clock" && X86Base.IsSupported && IsInvariant());
    }

    private static bool IsInvariant()
    {
        const int power = unchecked((int)0x80000007);
        (int most, _, _, _) = X86Base.CpuId(unchecked((int)0x80000000), 0);
        return (uint)most >= unchecked((uint)power) && (X86Base.CpuId(power, 0).Edx & (1 << 8)) != 0;
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_ticks")]
    private static extern long NativeNow();
}

/// <summary>From ticks to the monotonic clock's nanoseconds: by two looks at both, the last one and the one
/// before.</summary>
internal struct TickClock
{
    private long _ticks;
    private long _ns;
    private double _nsPerTick;

    /// <summary>The two looks lie a millisecond apart at least.</summary>
    internal static TickClock Start()
    {
        TickClock clock = default;
        (clock._ticks, clock._ns) = Look();
        clock._nsPerTick = 1;
        return clock;
    }

    /// <summary>Another look; what was between the last two is exact afterwards. Nothing where they are too
    /// close.</summary>
    internal void Sync()
    {
        (long ticks, long ns) = Look();
        if (ns - _ns > 500_000 && ticks > _ticks)
        {
            _nsPerTick = (double)(ns - _ns) / (ticks - _ticks);
            _ticks = ticks;
            _ns = ns;
        }
    }

    internal readonly long ToNs(long ticks) => _ns + (long)((ticks - _ticks) * _nsPerTick);

    /// <summary>Of a time span, in ns.</summary>
    internal readonly long ToTicks(long ns) => (long)(ns / Math.Max(1e-6, _nsPerTick));

    internal readonly double NsPerTick => _nsPerTick;

    private static (long Ticks, long Ns) Look()
    {
        long best = long.MaxValue;
        (long Ticks, long Ns) look = default;
        for (int i = 0; i < 3; i++) // The one that was least disturbed.
        {
            long before = Ticks.Now();
            long ns = Os.NowNs();
            long after = Ticks.Now();
            if (after - before < best)
            {
                best = after - before;
                look = (before + (best / 2), ns);
            }
        }
        return look;
    }
}
