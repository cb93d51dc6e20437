// About what time it is, without a look at a clock: sysmon writes it at each of its rounds
// (Scheduler.Sysmon.cs), 20 us to 10 ms apart while anything runs.

namespace Weft.Runtime;

internal static class CoarseTime
{
    /// <summary>In ns, as Os.NowNs; 0 before the start.</summary>
    internal static long Now { get; set; }
}
