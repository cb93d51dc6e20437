// Selects over two and eight channels, and what they stand beside: unbuffered channels with one and four on
// each side, and the same programs with System.Threading.Channels and tasks. Wall-clock time divided by
// the messages. The suffix is the number of processors; tasks get as many threads from a scheduler of
// that concurrency.

using System.Diagnostics;
using System.Threading.Channels;

namespace Weft.Bench;

internal static class SelectBench
{
    private const int Messages = 200_000;

    internal static Question[] Questions => Drive.OnEach(Of);

    private static Question[] Of(int processors) =>
    [
        Question.One($"select2_{processors}p", "ns", "a message to a select of two, in turn",
            () => Drive.On(processors, () => ToSelect(2))),
        Question.One($"select8_{processors}p", "ns", "a message to a select of eight, in turn",
            () => Drive.On(processors, () => ToSelect(8))),
        Question.One($"select2_ready_{processors}p", "ns", "a select of two that are always ready",
            () => Drive.On(processors, () => Ready(2))),
        Question.One($"select8_ready_{processors}p", "ns", "a select of eight that are always ready",
            () => Drive.On(processors, () => Ready(8))),
        Question.One($"chan_unbuf_1p1c_{processors}p", "ns", "unbuffered, one on each side",
            () => Drive.On(processors, () => Unbuffered(1))),
        Question.One($"chan_unbuf_4p4c_{processors}p", "ns", "unbuffered, four on each side",
            () => Drive.On(processors, () => Unbuffered(4))),
        Question.One($"net_buf1_1p1c_{processors}p", "ns", "the same with .NET's channel of capacity 1 and tasks",
            () => Tasks(processors, 1, 1)),
        Question.One($"net_buf1_4p4c_{processors}p", "ns", "the same, four on each side",
            () => Tasks(processors, 4, 1)),
        Question.One($"net_buf128_1p1c_{processors}p", "ns", ".NET's channel of capacity 128, one task on each side",
            () => Tasks(processors, 1, 128)),
        Question.One($"net_buf128_4p4c_{processors}p", "ns", "the same, four on each side",
            () => Tasks(processors, 4, 128)),
    ];

    /// <summary>One sends to the channels in turn, one selects.</summary>
    private static double ToSelect(int count)
    {
        Chan<int>[] channels = [.. Enumerable.Range(0, count).Select(_ => new Chan<int>())];
        long sum = 0;
        double time = Drive.Time(
            () =>
            {
                for (int i = 0; i < Messages; i++)
                {
                    channels[i % count].Send(1);
                }
            },
            () =>
            {
                ReceiveCase<int>[] receives = [.. channels.Select(channel => channel.ReceiveCase())];
                SelectCase[] cases = [.. receives];
                for (int i = 0; i < Messages; i++)
                {
                    sum += receives[Select.Wait(cases)].Value;
                }
            });
        Drive.Check(sum == Messages, "messages lost");
        return time / Messages;
    }

    private static double Ready(int count)
    {
        SelectCase[] cases = [.. Enumerable.Range(0, count).Select(_ =>
        {
            Chan<int> channel = new();
            channel.Close();
            return channel.ReceiveCase();
        })];
        int sum = 0;
        double time = Drive.Time(() =>
        {
            for (int i = 0; i < Messages; i++)
            {
                sum += Select.Wait(cases);
            }
        });
        Drive.Check(sum > 0, "always the same case");
        return time / Messages;
    }

    private static double Unbuffered(int pairs) => ChannelBench.Stream(pairs, capacity: 0, Messages);

    private static double Tasks(int processors, int pairs, int capacity)
    {
        Channel<int> channel = Channel.CreateBounded<int>(capacity);
        TaskFactory factory = Drive.Tasks(processors);
        long received = 0;
        int each = Messages / pairs;
        List<Task> tasks = [];
        long start = Stopwatch.GetTimestamp();
        for (int pair = 0; pair < pairs; pair++)
        {
            tasks.Add(factory.StartNew(async () =>
            {
                for (int i = 0; i < each; i++)
                {
                    await channel.Writer.WriteAsync(1);
                }
            }).Unwrap());
            tasks.Add(factory.StartNew(async () =>
            {
                long sum = 0;
                for (int i = 0; i < each; i++)
                {
                    sum += await channel.Reader.ReadAsync();
                }
                Interlocked.Add(ref received, sum);
            }).Unwrap());
        }
        Task.WaitAll([.. tasks]);
        double time = Drive.Since(start);
        Drive.Check(received == Messages, "messages lost");
        return time / Messages;
    }
}
