// Allocation and pauses: goroutines that allocate on every processor, and one that does beside a crowd that waits
// (gc_*: the rows that Go and tasks have as well; GcBench and GcCrowdBench look closer).

namespace Weft.Bench;

internal static class AllocBench
{
    private static readonly TimeSpan s_together = TimeSpan.FromSeconds(0.3);
    private static readonly TimeSpan s_alone = TimeSpan.FromSeconds(1);

    internal static Question[] Questions =>
    [
        .. Drive.OnEach(processors => [Together(processors)]),
        .. Drive.OnOneAndAll(processors =>
        [
            Beside("gc_0", 0, processors),
            Beside("gc_10k", 10_000, processors),
            Beside("gc_100k", 100_000, processors),
            Beside("gc_1m", 1_000_000, processors),
        ]),
    ];

    private static Question Together(int processors)
    {
        string name = $"alloc_par_{processors}p";
        Row[] rows =
        [
            new(name, "M/s", "objects of 32 bytes, a goroutine for each processor makes them"),
            new($"{name}_pausemax", "us", "the longest pause meanwhile, by the collector's account"),
            new($"{name}_hiccup", "us", "the longest time between two batches of 200 objects"),
        ];
        return new Question(name, rows, () => Drive.On(processors, () =>
        {
            Allocator[] each = new Allocator[processors];
            int number = 0;
            _ = Drive.Time(processors, () =>
            {
                int mine = Interlocked.Increment(ref number) - 1;
                each[mine] = Allocator.For(s_together);
            });
            return Allocator.Sum(each);
        }), OwnProcess: false);
    }

    private static Question Beside(string crowd, int count, int processors)
    {
        string name = $"{crowd}_{processors}p";
        return new Question(name, Allocator.Rows(name, $"{count:N0} that wait"), () => Drive.On(processors, () =>
        {
            Parked parked = new(count);
            double young = Allocator.Collect(0), full = Allocator.Collect(2);
            Allocator beside = Allocator.For(s_alone);
            _ = parked.Wake();
            return new[] { young, full, beside.PerSecond, beside.Pause, beside.Gap };
        }), OwnProcess: true);
    }
}
