// Skynet (github.com/atemerev/skynet): a goroutine starts ten, each of those ten, to a million
// leaves; each leaf sends its number up, each parent the sum of its ten. First: in a new process,
// memory never used. The other row: again in that process.

using System.Diagnostics;

namespace Weft.Bench;

internal sealed record SkynetNode(Chan<long> Parent, long First, long Leaves)
{
    private const int Fan = 10;
    private const long AllLeaves = 1_000_000;
    private const double NsPerMs = 1e6;

    internal static Question[] Questions => Drive.OnEach(processors => [Of(processors)]);

    private static Question Of(int processors)
    {
        Row[] rows =
        [
            new($"skynet_first_{processors}p", "ms", "a tree with a million leaves, new process"),
            new($"skynet_{processors}p", "ms", "the same again in that process"),
        ];
        return new Question(
            $"skynet_both_{processors}p",
            rows,
            () => Drive.On(processors, () => new[] { Time(), Time() }),
            OwnProcess: true);
    }

    private static double Time()
    {
        long start = Stopwatch.GetTimestamp();
        Chan<long> result = new();
        Go.Run(static node => node.Run(), new SkynetNode(result, 0, AllLeaves));
        long sum = result.Receive();
        double time = Drive.Since(start) / NsPerMs;
        Drive.Check(sum == AllLeaves * (AllLeaves - 1) / 2, "the sum is wrong");
        return time;
    }

    private void Run()
    {
        if (Leaves == 1)
        {
            Parent.Send(First);
            return;
        }
        Chan<long> children = new();
        long each = Leaves / Fan;
        for (int i = 0; i < Fan; i++)
        {
            Go.Run(static node => node.Run(), new SkynetNode(children, First + (i * each), each));
        }
        long sum = 0;
        for (int i = 0; i < Fan; i++)
        {
            sum += children.Receive();
        }
        Parent.Send(sum);
    }
}
