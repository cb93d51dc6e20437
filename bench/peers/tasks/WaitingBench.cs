// Questions of waiting: for time, beside loops that compute, for the network, and what a crowd that waits costs in
// memory and in pauses.

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Weft.Bench;

internal static class WaitingBench
{
    private const int Asleep = 100_000;
    private const int Million = 1_000_000;
    private const int Length = 64;
    private const int Many = 9_500;
    private const int EchoTimes = 10_000;
    private const int WarmUp = 100;
    private const double NsPerMs = 1e6;
    private static readonly TimeSpan s_lasts = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan s_nap = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan s_together = TimeSpan.FromSeconds(0.3);
    private static readonly TimeSpan s_alone = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_first = TimeSpan.FromSeconds(10); // Longer than it takes to start a million.

    internal static Question[] Questions(int p) =>
    [
        Of($"timers_{p}p", false, Late, ("_p50", "us"), ("_p99", "us")),
        Of($"preempt_{p}p", false, () => BesideHogs(p), ("_p50", "us"), ("_p99", "us"), ("_most", "us")),
        Of($"sleepers_1m_{p}p", true, Sleepers, ("_p50", "us"), ("_p99", "us"), ("_most", "us")),
        Of($"net_echo_64_{p}p", false, Echo, ("", "ns")),
        Of($"net_echo_{p}p", false, () => Echoes(16 * p), ("", "req/s"), ("_p99", "us")),
        Of($"net_echo_10k_{p}p", true, () => Echoes(Many), ("", "req/s"), ("_p99", "us")),
        Of($"alloc_par_{p}p", false, () => AllocateTogether(p), ("", "M/s"), ("_pausemax", "us"), ("_hiccup", "us")),
        .. new (string Name, int Count)[] { ("0", 0), ("10k", 10_000), ("100k", 100_000), ("1m", Million) }
            .SelectMany(crowd => new[]
            {
                Of($"mem_{crowd.Name}_{p}p", true, () => Memory(crowd.Count), ("_rss", "B"), ("_create", "ms"), ("_wake", "ms")),
                new Question(
                    $"gc_{crowd.Name}_{p}p",
                    Allocator.Rows($"gc_{crowd.Name}_{p}p", $"{crowd.Count:N0} that wait"),
                    () => TaskBench.On(() => AllocateBeside(crowd.Count)),
                    OwnProcess: true),
            })
            .Where(question => !question.Name.StartsWith("mem_0_", StringComparison.Ordinal)),
    ];

    private static Question Of(
        string name, bool ownProcess, Func<Task<double[]>> sample, params (string Suffix, string Unit)[] rows) => new(
            name,
            [.. rows.Select(row => new Row(name + row.Suffix, row.Unit, "the same with tasks"))],
            () => TaskBench.On(sample),
            ownProcess);

    private static async Task<double[]> Late()
    {
        double[] late = new double[Asleep];
        await TaskBench.Together(Asleep, async number =>
        {
            long start = Stopwatch.GetTimestamp();
            TimeSpan nap = TimeSpan.FromMilliseconds(1 + (number * 7 % 50));
            await Task.Delay(nap);
            late[number] = (Stopwatch.GetElapsedTime(start) - nap).TotalMicroseconds;
        });
        Array.Sort(late);
        return [Drive.Percentile(late, 0.5), Drive.Percentile(late, 0.99)];
    }

    /// <summary>As many loops as the pool has threads: a thread that is not of the pool ends them, since the one
    /// that sleeps may not wake before.</summary>
    private static async Task<double[]> BesideHogs(int hogs)
    {
        bool stop = false;
        List<double> late = [];
        Task sleeper = Task.Run(async () =>
        {
            while (!Volatile.Read(ref stop))
            {
                long asleep = Stopwatch.GetTimestamp();
                await Task.Delay(s_nap);
                late.Add((Stopwatch.GetElapsedTime(asleep) - s_nap).TotalMicroseconds);
            }
        });
        await Task.Delay(5 * s_nap); // It has begun.
        late.Clear();
        Thread end = new(() =>
        {
            Thread.Sleep(s_lasts);
            Volatile.Write(ref stop, true);
        });
        end.Start();
        await TaskBench.Together(hogs, _ =>
        {
            while (!Volatile.Read(ref stop))
            {
            }
            return Task.CompletedTask;
        });
        await sleeper;
        end.Join();
        double[] sorted = [.. late.Order()];
        return [Drive.Percentile(sorted, 0.5), Drive.Percentile(sorted, 0.99), sorted[^1]];
    }

    private static async Task<double[]> Sleepers()
    {
        double[] late = new double[Million];
        long start = Stopwatch.GetTimestamp();
        Task all = TaskBench.Together(Million, async number =>
        {
            TimeSpan due = s_first + TimeSpan.FromMicroseconds(Random.Shared.Next(1_000, 1_000_000));
            await Task.Delay(due - Stopwatch.GetElapsedTime(start));
            late[number] = (Stopwatch.GetElapsedTime(start) - due).TotalMicroseconds;
        });
        Drive.Check(Stopwatch.GetElapsedTime(start) < s_first, "some were due before all had started");
        await all;
        Array.Sort(late);
        return [Drive.Percentile(late, 0.5), Drive.Percentile(late, 0.99), late[^1]];
    }

    private static async Task<double[]> Echo()
    {
        using Socket client = (await Connect(1))[0];
        byte[] buffer = new byte[Length];
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < EchoTimes; i++)
        {
            await AskOnce(client, buffer);
        }
        return [Drive.Since(start) / EchoTimes];
    }

    private static async Task<double[]> Echoes(int connections)
    {
        Socket[] clients = await Connect(connections);
        List<double>[] times = [.. clients.Select(_ => new List<double>())];
        long begin = Stopwatch.GetTimestamp();
        await TaskBench.Together(connections, async number =>
        {
            byte[] buffer = new byte[Length];
            while (Stopwatch.GetElapsedTime(begin) < s_lasts)
            {
                long start = Stopwatch.GetTimestamp();
                await AskOnce(clients[number], buffer);
                times[number].Add(Drive.Since(start) / 1000);
            }
        });
        double took = Drive.Since(begin);
        Array.ForEach(clients, client => client.Dispose());
        double[] all = [.. times.SelectMany(each => each).Order()];
        return [all.Length / took * 1e9, Drive.Percentile(all, 0.99)];
    }

    /// <summary>Clients that have each been answered once.</summary>
    private static async Task<Socket[]> Connect(int count)
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(512);
        Socket[] clients = new Socket[count];
        for (int i = 0; i < count; i++)
        {
            clients[i] = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            await clients[i].ConnectAsync(listener.LocalEndPoint!);
            Socket server = await listener.AcceptAsync();
            _ = Task.Run(() => Serve(server));
            await AskOnce(clients[i], new byte[Length]);
        }
        return clients;
    }

    private static async Task Serve(Socket server)
    {
        using Socket socket = server;
        socket.NoDelay = true;
        byte[] buffer = new byte[Length];
        for (int count; (count = await socket.ReceiveAsync(buffer.AsMemory())) > 0;)
        {
            await socket.SendAsync(buffer.AsMemory(0, count));
        }
    }

    private static async Task AskOnce(Socket client, byte[] buffer)
    {
        await client.SendAsync(buffer.AsMemory());
        for (int count = 0; count < Length;)
        {
            count += await client.ReceiveAsync(buffer.AsMemory(count));
        }
    }

    private static async Task<double[]> AllocateTogether(int tasks)
    {
        Allocator[] each = new Allocator[tasks];
        await TaskBench.Together(tasks, number =>
        {
            each[number] = Allocator.For(s_together);
            return Task.CompletedTask;
        });
        return Allocator.Sum(each);
    }

    private static async Task<double[]> AllocateBeside(int count)
    {
        Crowd crowd = await Crowd.Gather(count);
        double young = Allocator.Collect(0), full = Allocator.Collect(2);
        Allocator beside = Allocator.For(s_alone);
        _ = await crowd.Wake();
        return [young, full, beside.PerSecond, beside.Pause, beside.Gap];
    }

    private static async Task<double[]> Memory(int count)
    {
        _ = await (await Crowd.Gather(WarmUp)).Wake();
        long before = Environment.WorkingSet;
        long start = Stopwatch.GetTimestamp();
        Crowd crowd = await Crowd.Gather(count);
        double create = Drive.Since(start);
        long resident = Environment.WorkingSet - before;
        return [(double)resident / count, create / NsPerMs, await crowd.Wake() / NsPerMs];
    }

    /// <summary>Tasks that all wait for one other.</summary>
    private sealed class Crowd(int count)
    {
        private readonly TaskCompletionSource _gate = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Countdown _done = new(count);
        private int _arrived;

        internal static async Task<Crowd> Gather(int count)
        {
            Crowd crowd = new(count);
            for (int i = 0; i < count; i++)
            {
                _ = Task.Run(crowd.Wait);
            }
            while (Volatile.Read(ref crowd._arrived) < count)
            {
                await Task.Yield();
            }
            return crowd;
        }

        internal async Task<double> Wake()
        {
            long start = Stopwatch.GetTimestamp();
            _gate.SetResult();
            await _done.All;
            return Drive.Since(start);
        }

        private async Task Wait()
        {
            Interlocked.Increment(ref _arrived);
            await _gate.Task;
            _done.Done();
        }
    }
}
