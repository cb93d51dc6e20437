// About what time it is, without a look at a clock: sysmon writes it at each of its rounds
// (Scheduler.Sysmon.cs), 20 us to 10 ms apart while anything runs.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static class CoarseTime
{
    private static long s_now;

    /// <summary>In ns, as Os.NowNs; 0 before the start. On the JIT nobody writes it.</summary>
    internal static long Now
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Jit.IsOn ? Os.NowNs() : s_now;

        set => s_now = value;
    }
}
