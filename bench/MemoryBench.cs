// What a goroutine that waits costs: resident bytes, and the time to create and to wake all of
// them. Each sample in a new process, because memory once used stays with a process.
//
// Resident bytes: what the kernel counts for the process when all wait, less what it counted when a
// few had come and gone, divided by the number. Page tables, which the kernel counts apart, are not
// in it.

using System.Diagnostics;

namespace Weft.Bench;

internal static class MemoryBench
{
    private const int WarmUp = 100;
    private const double NsPerMs = 1e6;
    private const long Megabyte = 1 << 20;

    internal static Question[] Questions =>
    [
        .. Drive.OnEach(processors =>
        [
            Of($"mem_10k_{processors}p", 10_000, processors),
            Of($"mem_100k_{processors}p", 100_000, processors),
            Of($"mem_1m_{processors}p", 1_000_000, processors),
        ]),
        Of("mem_100k_native_2p", 100_000, 2, native: true),
        Of("mem_100k_idle_2p", 100_000, 2, native: true, idle: true),
    ];

    private static Question Of(
        string name, int count, int processors, bool native = false, bool idle = false)
    {
        string them = $"{count:N0} goroutines " + (native ? "after a P/Invoke" : "on a channel")
            + (idle ? ", some seconds later" : "");
        Row[] rows =
        [
            new($"{name}_rss", "B", $"resident, each of {them}"),
            new($"{name}_create", "ms", "to create them, until all wait"),
            new($"{name}_wake", "ms", "to wake them, until all have ended"),
        ];
        return new Question(
            name, rows, () => Drive.On(processors, () => Sample(count, native, idle)), OwnProcess: true);
    }

    private static double[] Sample(int count, bool native, bool idle)
    {
        _ = new Parked(WarmUp).Wake();
        long before = Environment.WorkingSet;
        long start = Stopwatch.GetTimestamp();
        Parked crowd = new(count, native);
        double create = Drive.Since(start);
        long resident = (idle ? AtRest() : Environment.WorkingSet) - before;
        double wake = crowd.Wake();
        return [(double)resident / count, create / NsPerMs, wake / NsPerMs];
    }

    /// <summary>What is resident when it has not become less for two seconds.</summary>
    private static long AtRest()
    {
        long least = long.MaxValue;
        for (int same = 0; same < 4; same++)
        {
            Go.Sleep(TimeSpan.FromSeconds(0.5));
            long now = Environment.WorkingSet;
            if (now < least - Megabyte)
            {
                same = -1;
            }
            least = Math.Min(now, least);
        }
        return least;
    }
}
