// What is asked: of each question what bench/*.cs asks of Weft, by the same name.
//
// A loop is as long as takes a tenth of a second. .NET has no select: who receives from several channels tries each
// and then waits for any of them (Task.WhenAny). A channel of capacity 0 is a rendezvous, as in Go.

using System.Diagnostics;
using System.Threading.Channels;

namespace Weft.Bench;

internal static class TaskBench
{
    private const double SampleTakes = 1e8; // ns
    private const double NsPerMs = 1e6;
    private const long Leaves = 1_000_000;
    private const int Fan = 10;
    private const int Spawned = 200_000;
    private const int ReadsAndWrite = 1024;

    internal static Question[] Questions(int p) =>
    [
        Loop($"switch_{p}p", n => Yield(2 * p, n)),
        new(
            $"spawn_200k_both_{p}p",
            [new($"spawn_200k_first_{p}p", "ns", "start 200,000"), new($"spawn_200k_{p}p", "ns", "again")],
            () => [On(Spawn), On(Spawn)],
            OwnProcess: true),
        Loop($"chan_unbuf_{p}p", n => PingPong(1, n)),
        Loop($"chan_unbuf_pairs_{p}p", n => PingPong(p, n)),
        Loop($"chan_buf128_1p1c_{p}p", n => Stream(1, n)),
        Loop($"chan_buf128_PpPc_{p}p", n => Stream(p, n)),
        Loop($"select2_{p}p", n => ToSelect(2, n)),
        Loop($"select8_{p}p", n => ToSelect(8, n)),
        Loop($"mutex_unc_{p}p", n => Mutex(1, n)),
        Loop($"mutex_cont_P_{p}p", n => Mutex(p, n)),
        Loop($"rwmutex_{p}p", n => ReadMostly(p, n)),
        new(
            $"skynet_both_{p}p",
            [new($"skynet_first_{p}p", "ms", "a tree with a million leaves"), new($"skynet_{p}p", "ms", "again")],
            () => [On(Skynet), On(Skynet)],
            OwnProcess: true),
        .. WaitingBench.Questions(p),
    ];

    /// <summary>A question of a function that does something n times in each of some tasks, and returns how many
    /// times in all.</summary>
    private static Question Loop(string name, Func<int, Task<int>> run)
    {
        int length = 0;
        return Question.One(name, "ns", "the same with tasks", () =>
        {
            length = length == 0 ? LengthOf(run) : length;
            return Time(run, length, out int operations) / operations;
        });
    }

    private static int LengthOf(Func<int, Task<int>> run)
    {
        for (int n = 64; ; n *= 2)
        {
            double time = Time(run, n, out _);
            if (time > SampleTakes / 4)
            {
                return (int)(n * SampleTakes / time) + 1;
            }
        }
    }

    private static double Time(Func<int, Task<int>> run, int n, out int operations)
    {
        long start = Stopwatch.GetTimestamp();
        operations = On(() => run(n));
        return Drive.Since(start);
    }

    /// <summary>From a thread of the pool, as the tasks it starts.</summary>
    internal static T On<T>(Func<Task<T>> function) => Task.Run(function).GetAwaiter().GetResult();

    /// <summary>So many tasks; returns when all have ended.</summary>
    internal static Task Together(int count, Func<int, Task> function) =>
        Task.WhenAll([.. Enumerable.Range(0, count).Select(number => Task.Run(() => function(number)))]);

    private static async Task<int> Yield(int tasks, int n)
    {
        await Together(tasks, async _ =>
        {
            for (int i = 0; i < n; i++)
            {
                await Task.Yield();
            }
        });
        return tasks * n;
    }

    private static async Task<int> PingPong(int pairs, int n)
    {
        Channel<int>[] ping = [.. Enumerable.Range(0, pairs).Select(_ => Channel.CreateBounded<int>(0))];
        Channel<int>[] pong = [.. Enumerable.Range(0, pairs).Select(_ => Channel.CreateBounded<int>(0))];
        int answered = 0;
        await Together(2 * pairs, async number =>
        {
            Channel<int> to = ping[number / 2], from = pong[number / 2];
            int last = 0;
            for (int i = 0; i < n; i++)
            {
                if (number % 2 == 0)
                {
                    await to.Writer.WriteAsync(last);
                    last = await from.Reader.ReadAsync();
                }
                else
                {
                    await from.Writer.WriteAsync(await to.Reader.ReadAsync() + 1);
                }
            }
            Interlocked.Add(ref answered, last);
        });
        Drive.Check(answered == n * pairs, "messages lost");
        return 2 * n * pairs;
    }

    private static async Task<int> Stream(int pairs, int n)
    {
        Channel<int> channel = Channel.CreateBounded<int>(128);
        int received = 0;
        await Together(2 * pairs, async number =>
        {
            int sum = 0;
            for (int i = 0; i < n; i++)
            {
                if (number % 2 == 0)
                {
                    await channel.Writer.WriteAsync(1);
                }
                else
                {
                    sum += await channel.Reader.ReadAsync();
                }
            }
            Interlocked.Add(ref received, sum);
        });
        Drive.Check(received == n * pairs, "messages lost");
        return n * pairs;
    }

    private static async Task<int> ToSelect(int count, int n)
    {
        Channel<int>[] channels = [.. Enumerable.Range(0, count).Select(_ => Channel.CreateBounded<int>(1))];
        int sum = 0;
        await Task.WhenAll(
            Task.Run(async () =>
            {
                for (int i = 0; i < n; i++)
                {
                    await channels[i % count].Writer.WriteAsync(1);
                }
            }),
            Task.Run(async () =>
            {
                Task<bool>[] waits = new Task<bool>[count];
                Array.Fill(waits, Task.FromResult(true));
                for (int received = 0, next = 0; received < n;)
                {
                    int tried = 0;
                    int value;
                    while (!channels[(next + tried) % count].Reader.TryRead(out value) && ++tried < count)
                    {
                    }
                    if (tried < count)
                    {
                        sum += value;
                        received++;
                        next = (next + tried + 1) % count;
                        continue;
                    }
                    for (int i = 0; i < count; i++)
                    {
                        waits[i] = waits[i].IsCompleted ? channels[i].Reader.WaitToReadAsync().AsTask() : waits[i];
                    }
                    await Task.WhenAny(waits);
                }
            }));
        Drive.Check(sum == n, "messages lost");
        return n;
    }

    private static async Task<int> Mutex(int tasks, int n)
    {
        using SemaphoreSlim semaphore = new(1);
        int count = 0;
        await Together(tasks, async _ =>
        {
            for (int i = 0; i < n; i++)
            {
                await semaphore.WaitAsync();
                count++;
                semaphore.Release();
            }
        });
        Drive.Check(count == n * tasks, "the semaphore did not exclude");
        return count;
    }

    private static async Task<int> ReadMostly(int tasks, int n)
    {
        using ReaderWriterLockSlim gate = new();
        int value = 0;
        await Together(tasks, _ =>
        {
            long seen = 0;
            for (int i = 1; i <= n; i++)
            {
                if (i % ReadsAndWrite == 0)
                {
                    gate.EnterWriteLock();
                    value++;
                    gate.ExitWriteLock();
                }
                else
                {
                    gate.EnterReadLock();
                    seen += value;
                    gate.ExitReadLock();
                }
            }
            GC.KeepAlive(seen);
            return Task.CompletedTask;
        });
        Drive.Check(value == n / ReadsAndWrite * tasks, "the lock did not exclude");
        return n * tasks;
    }

    private static async Task<double> Spawn()
    {
        Countdown done = new(Spawned);
        Action end = done.Done;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Spawned; i++)
        {
            _ = Task.Run(end);
        }
        await done.All;
        return Drive.Since(start) / Spawned;
    }

    private static async Task<double> Skynet()
    {
        long start = Stopwatch.GetTimestamp();
        long sum = await Node(0, Leaves);
        Drive.Check(sum == Leaves * (Leaves - 1) / 2, "the sum is wrong");
        return Drive.Since(start) / NsPerMs;
    }

    private static async Task<long> Node(long first, long leaves)
    {
        if (leaves == 1)
        {
            return first;
        }
        long each = leaves / Fan;
        Task<long>[] children = new Task<long>[Fan];
        for (int i = 0; i < Fan; i++)
        {
            long mine = first + (i * each);
            children[i] = Task.Run(() => Node(mine, each));
        }
        long sum = 0;
        foreach (Task<long> child in children)
        {
            sum += await child;
        }
        return sum;
    }
}

/// <summary>A task that ends when so many have ended.</summary>
internal sealed class Countdown(int count)
{
    private readonly TaskCompletionSource _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _left = count;

    internal Task All => _left == 0 ? Task.CompletedTask : _all.Task;

    internal void Done()
    {
        if (Interlocked.Decrement(ref _left) == 0)
        {
            _all.SetResult();
        }
    }
}
