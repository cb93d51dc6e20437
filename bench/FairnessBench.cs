// Who gets how much: as many contenders as processors want the same thing for a second, and do nothing else. The
// row is the largest share divided by the smallest. And how long a writer of an RWMutex waits, in holds of the
// readers, each of whom holds it for 10 us and comes again at once.

using System.Diagnostics;

namespace Weft.Bench;

internal static class FairnessBench
{
    private const int Capacity = 128;
    private static readonly TimeSpan s_lasts = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_hold = TimeSpan.FromMicroseconds(10);
    private static readonly TimeSpan s_betweenWrites = TimeSpan.FromMilliseconds(1);

    internal static Question[] Questions => Drive.OnEach(processors => processors == 1 ? [] :
    [
        Question.One($"shares_chan_{processors}p", "x", "each sends and receives by turns: largest share by smallest",
            () => Drive.On(processors, () => OfChannel(processors))),
        Question.One($"shares_mutex_{processors}p", "x", "each locks and unlocks a Mutex: largest share by smallest",
            () => Drive.On(processors, () => OfMutex(processors))),
        new Question(
            $"rw_writer_{processors}p",
            [
                new($"rw_writer_{processors}p_p50", "x", "a writer's wait among readers, in holds of theirs"),
                new($"rw_writer_{processors}p_p99", "x", "99th percentile"),
            ],
            () => Drive.On(processors, () => OfWriter(processors)),
            OwnProcess: false),
    ]);

    private static double OfChannel(int contenders)
    {
        Chan<int> channel = new(Capacity);
        return Shares(contenders, () =>
        {
            channel.Send(1);
            _ = channel.Receive();
        });
    }

    private static double OfMutex(int contenders)
    {
        Mutex mutex = new();
        return Shares(contenders, () =>
        {
            mutex.Lock();
            mutex.Unlock();
        });
    }

    /// <summary>How often each of them has done it.</summary>
    private static double Shares(int contenders, Action once)
    {
        const int AtATime = 16;
        long[] shares = new long[contenders];
        _ = Drive.Time([.. Enumerable.Range(0, contenders).Select(each => (Action)(() =>
        {
            long start = Stopwatch.GetTimestamp();
            long count = 0;
            for (; Stopwatch.GetElapsedTime(start) < s_lasts; count += AtATime)
            {
                for (int i = 0; i < AtATime; i++)
                {
                    once();
                }
            }
            shares[each] = count;
        }))]);
        return (double)shares.Max() / shares.Min();
    }

    private static double[] OfWriter(int readers)
    {
        RWMutex mutex = new();
        bool stop = false;
        List<double> waits = [];
        Action read = () =>
        {
            while (!Volatile.Read(ref stop))
            {
                using RWMutex.ReadScope scope = mutex.EnterReadScope();
                long start = Stopwatch.GetTimestamp();
                while (Stopwatch.GetElapsedTime(start) < s_hold)
                {
                }
            }
        };
        Action write = () =>
        {
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < s_lasts / 4)
            {
                long asked = Stopwatch.GetTimestamp();
                mutex.Lock();
                waits.Add(Stopwatch.GetElapsedTime(asked) / s_hold);
                mutex.Unlock();
                Go.Sleep(s_betweenWrites);
            }
            Volatile.Write(ref stop, true);
        };
        _ = Drive.Time([.. Enumerable.Repeat(read, readers), write]);
        double[] sorted = [.. waits.Order()];
        return [Drive.Percentile(sorted, 0.5), Drive.Percentile(sorted, 0.99)];
    }
}
