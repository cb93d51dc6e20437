// Messages through channels: ping-pong, streams with one and with four on each side, and a ring.
// Wall-clock time divided by the messages sent. The suffix is the number of processors.

using System.Diagnostics;

namespace Weft.Bench;

internal static class ChannelBench
{
    private const int Capacity = 128;
    private const int PingPongs = 300_000;
    private const int Messages = 1_000_000;
    private const int RingSize = 10_000;
    private const int RingLaps = 20;

    internal static Question[] Questions => Drive.OnEach(Of);

    private static Question[] Of(int processors) =>
    [
        Question.One($"chan_unbuf_{processors}p", "ns", "ping-pong over two unbuffered channels",
            () => Drive.On(processors, () => PingPong(1))),
        Question.One($"chan_unbuf_pairs_{processors}p", "ns", "the same, a pair for each processor",
            () => Drive.On(processors, () => PingPong(processors))),
        Question.One($"chan_buf128_1p1c_{processors}p", "ns", "capacity 128, one on each side",
            () => Drive.On(processors, () => Stream(1))),
        Question.One($"chan_buf128_4p4c_{processors}p", "ns", "capacity 128, four on each side",
            () => Drive.On(processors, () => Stream(4))),
        Question.One($"chan_buf128_PpPc_{processors}p", "ns", "capacity 128, as many on each side as processors",
            () => Drive.On(processors, () => Stream(processors))),
        Question.One($"ring_{processors}p", "ns", "one hop in a ring of 10,000 goroutines",
            () => Drive.On(processors, Ring)),
    ];

    /// <summary>Each pair has its own two channels.</summary>
    private static double PingPong(int pairs)
    {
        int each = PingPongs / 2 / pairs;
        int answered = 0;
        Action[] functions = [.. Enumerable.Range(0, pairs).SelectMany(_ =>
        {
            Chan<int> ping = new();
            Chan<int> pong = new();
            Action first = () =>
            {
                int last = 0;
                for (int i = 0; i < each; i++)
                {
                    ping.Send(last);
                    last = pong.Receive();
                }
                Interlocked.Add(ref answered, last);
            };
            Action second = () =>
            {
                for (int i = 0; i < each; i++)
                {
                    pong.Send(ping.Receive() + 1);
                }
            };
            return new[] { first, second };
        })];
        double time = Drive.Time(functions);
        Drive.Check(answered == each * pairs, "messages lost");
        return time / (2 * each * pairs);
    }

    private static double Stream(int pairs) => Stream(pairs, Capacity, Messages);

    /// <summary>That many send, and as many receive, through one channel.</summary>
    internal static double Stream(int pairs, int capacity, int messages)
    {
        Chan<int> channel = new(capacity);
        long received = 0;
        int each = messages / pairs;
        List<Action> functions = [];
        for (int pair = 0; pair < pairs; pair++)
        {
            functions.Add(() =>
            {
                for (int i = 0; i < each; i++)
                {
                    channel.Send(1);
                }
            });
            functions.Add(() =>
            {
                long sum = 0;
                for (int i = 0; i < each; i++)
                {
                    sum += channel.Receive();
                }
                Interlocked.Add(ref received, sum);
            });
        }
        double time = Drive.Time([.. functions]);
        Drive.Check(received == each * pairs, "messages lost");
        return time / (each * pairs);
    }

    /// <summary>The token is the number of hops left. Making and ending the ring is not
    /// timed.</summary>
    private static double Ring()
    {
        Chan<int>[] links = [.. Enumerable.Range(0, RingSize).Select(_ => new Chan<int>())];
        Chan<int> finished = new();
        WaitGroup done = new();
        for (int i = 0; i < RingSize; i++)
        {
            Chan<int> from = links[i];
            Chan<int> to = links[(i + 1) % RingSize];
            done.Go(() => Pass(from, to, finished));
        }
        links[0].Send(RingSize); // Round once: all have begun then, and wait.
        _ = finished.Receive();
        int hops = RingSize * RingLaps;
        long start = Stopwatch.GetTimestamp();
        links[0].Send(hops);
        _ = finished.Receive();
        double time = Drive.Since(start);
        foreach (Chan<int> link in links)
        {
            link.Close();
        }
        done.Wait();
        return time / hops;
    }

    private static void Pass(Chan<int> from, Chan<int> to, Chan<int> finished)
    {
        while (from.Receive(out int hops))
        {
            if (hops > 1)
            {
                to.Send(hops - 1);
            }
            else
            {
                finished.Send(0);
            }
        }
    }
}
