// The storm: goroutines that use everything ordinary C# uses, at every step a yield, while a thread forces
// compacting collections of every generation back to back. Each value is checked; the first wrong one
// is returned as text. Run by StormTests, and as a child program for long runs.

using System.Buffers;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Weft.Tests;

internal sealed partial class GcStorm
{
    private const int Goroutines = 200;
    private static readonly int s_leastSteps = (Qemu.IsHere ? 1 : 10) * Goroutines; // There each takes long.

    [ThreadStatic]
    private static int t_mine;

    [ThreadStatic]
    private static object? t_box;

    private readonly Lock _lock = new();
    private readonly object _monitor = new();
    private readonly int _collections;
    private long _guarded;
    private long _steps;
    private volatile bool _stop;
    private string? _failure;

    private readonly bool _blocks;

    private GcStorm(int collections, bool blocks)
    {
        _collections = collections;
        _blocks = blocks;
    }

    /// <summary>Runs until the collections are done, with native code that blocks among the steps if so
    /// wanted. Returns what was wrong, or null.</summary>
    internal static string? Run(int procs, int collections, bool blocks, out long steps, out int done)
    {
        Go.MaxProcs = procs;
        GcStorm storm = new(collections, blocks);
        WaitGroup group = new();
        int before = GC.CollectionCount(0);
        Thread collector = new(storm.Collect) { IsBackground = true };
        collector.Start();
        for (int i = 0; i < Goroutines; i++)
        {
            int id = i + 1;
            group.Go(() => storm.Work(id));
        }
        group.Wait();
        collector.Join();
        steps = storm._steps;
        done = GC.CollectionCount(0) - before;
        if (storm._failure is null && storm._guarded != storm._steps)
        {
            storm.Fail(0, $"the counter under the lock is {storm._guarded}, steps {storm._steps}");
        }
        return storm._failure;
    }

    private void Collect()
    {
        // Not before every goroutine has had its share: an idle heap is collected in microseconds.
        for (int i = 0; (i < _collections || Volatile.Read(ref _steps) < s_leastSteps) && !_stop; i++)
        {
            if (i >= _collections)
            {
                Thread.Sleep(1); // Enough of them back to back: now the goroutines get to run.
            }
            GC.Collect(i % 3, GCCollectionMode.Forced, blocking: true, compacting: true);
        }
        _stop = true;
    }

    private void Fail(int id, string what)
    {
        _ = Interlocked.CompareExchange(ref _failure, $"goroutine {id}: {what}", null);
        _stop = true;
    }

    private void Expect(bool condition, int id, string what)
    {
        if (!condition)
        {
            Fail(id, what);
        }
    }

    private void Work(int id)
    {
        t_mine = id;
        t_box = id;
        for (int round = 0; !_stop; round++)
        {
            Strings(id, round);
            Collections(id, round);
            Spans(id, round);
            Exceptions(id, round);
            Locks(id);
            Statics(id);
            Library(id, round);
            if (_blocks)
            {
                Blocks(id, round);
            }
            if (round % 7 == id % 7)
            {
                Deep(id, round % 3 == 0 ? 1000 * 1000 : 100 * 1000);
            }
        }
    }

    private void Blocks(int id, int round)
    {
        switch ((id + round) % 4)
        {
            case 0:
                Thread.Sleep(1);
                break;
            case 1:
                Expect(
                    File.ReadAllText("/proc/self/status").StartsWith("Name:", StringComparison.Ordinal),
                    id,
                    "the status of the process");
                break;
            case 2:
                lock (_monitor)
                {
                    Thread.Sleep(0);
                }
                break;
            default:
                Expect(Task.Delay(1).Wait(60_000), id, "a delay of a minute");
                break;
        }
    }

    private void Strings(int id, int round)
    {
        string text = "g" + id;
        Go.Yield();
        text += ":" + round;
        Go.Yield();
        string expected = string.Create(CultureInfo.InvariantCulture, $"g{id}:{round}");
        Expect(text == expected, id, $"string '{text}' is not '{expected}'");
        StringBuilder builder = new();
        for (int i = 0; i < 20; i++)
        {
            builder.Append(i).Append(',');
            Go.Yield();
        }
        Expect(builder.Length == 50, id, $"the builder has {builder.Length} characters");
    }

    private void Collections(int id, int round)
    {
        List<string> list = [];
        Dictionary<string, object> map = [];
        for (int i = 0; i < 16; i++)
        {
            string key = (id * 1000 + i).ToString(CultureInfo.InvariantCulture);
            list.Add(key);
            map[key] = i + round; // Boxed.
            Go.Yield();
        }
        for (int i = 0; i < 16; i++)
        {
            string key = (id * 1000 + i).ToString(CultureInfo.InvariantCulture);
            Expect(list[i] == key, id, $"list[{i}] is '{list[i]}'");
            Expect(map.TryGetValue(key, out object? value) && (int)value == i + round, id, $"map['{key}']");
        }
    }

    private void Spans(int id, int round)
    {
        Span<int> numbers = stackalloc int[64];
        Span<double> reals = stackalloc double[16];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = (id * i) + round;
            if (i < reals.Length)
            {
                reals[i] = Math.Sqrt(id + i);
            }
        }
        Go.Yield();
        ref int middle = ref numbers[32];
        Go.Yield();
        middle++;
        Grow(40);
        long sum = 0;
        foreach (int number in numbers)
        {
            sum += number;
        }
        long expected = ((long)id * 64 * 63 / 2) + (64L * round) + 1;
        Expect(sum == expected, id, $"the stackalloc sum is {sum}, not {expected}");
        double realSum = 0;
        for (int i = 0; i < reals.Length; i++)
        {
            realSum += reals[i] - Math.Sqrt(id + i);
        }
        Expect(realSum == 0, id, $"the floating-point sum is off by {realSum}");
    }

    private void Exceptions(int id, int round)
    {
        int finallies = 0;
        string? caught = null;
        try
        {
            Throw(5, id, round, ref finallies);
        }
        catch (InvalidOperationException e) when (Matches(e, id))
        {
            Go.Yield();
            caught = e.Message;
            Go.Yield();
        }
        Expect(finallies == 5, id, $"{finallies} finally blocks ran");
        Expect(
            caught == string.Create(CultureInfo.InvariantCulture, $"{id}/{round}"),
            id,
            $"caught '{caught}'");
    }

    private static bool Matches(InvalidOperationException e, int id)
    {
        Go.Yield();
        return e.Message.StartsWith(
            id.ToString(CultureInfo.InvariantCulture) + "/", StringComparison.Ordinal);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Throw(int depth, int id, int round, ref int finallies)
    {
        try
        {
            if (depth == 1)
            {
                throw new InvalidOperationException(
                    string.Create(CultureInfo.InvariantCulture, $"{id}/{round}"));
            }
            Throw(depth - 1, id, round, ref finallies);
        }
        finally
        {
            Go.Yield();
            finallies++;
            if (depth == 3)
            {
                try
                {
                    throw new FormatException("nested");
                }
                catch (FormatException)
                {
                    Go.Yield();
                }
            }
        }
    }

    private void Locks(int id)
    {
        lock (_lock)
        {
            _steps++;
        }
        Go.Yield();
        lock (_monitor)
        {
            _guarded++;
            Expect(Monitor.IsEntered(_monitor), id, "the monitor is not held inside lock");
        }
        Go.Yield();
        Expect(!Monitor.IsEntered(_monitor), id, "the monitor is held outside lock");
    }

    private void Statics(int id)
    {
        Expect(t_mine == id, id, $"[ThreadStatic] is {t_mine}");
        Go.Yield();
        Expect(t_box is int boxed && boxed == id, id, $"[ThreadStatic] object is {t_box}");
        t_box = id;
    }

    private void Library(int id, int round)
    {
        byte[] rented = ArrayPool<byte>.Shared.Rent(256 + (round % 512));
        Array.Fill(rented, (byte)id);
        Go.Yield();
        Expect(rented.All(b => b == (byte)id), id, "a rented array changed");
        ArrayPool<byte>.Shared.Return(rented);

        int[] squares = [.. Enumerable.Range(0, 50).Where(n => n % 3 == id % 3).Select(n =>
        {
            if (n % 10 == 0)
            {
                Go.Yield();
            }
            return n * n;
        })];
        Expect(squares.All(n => (int)Math.Sqrt(n) % 3 == id % 3), id, "LINQ gave other squares");

        Match match = Pattern().Match("key" + id + " = value" + round + ";");
        Go.Yield();
        Expect(
            match.Success && match.Groups[1].Value == id.ToString(CultureInfo.InvariantCulture),
            id,
            $"the regex gave {match.Success} {match.Index} {match.Length} '{(match.Success ? match.Groups[1].Value : string.Empty)}'");
        string formatted = string.Format(CultureInfo.InvariantCulture, "{0:D5}|{1,8:F3}|{2}", id, 1.5, 'x');
        Go.Yield();
        Expect(formatted == $"{id:D5}|   1.500|x", id, $"string.Format gave '{formatted}'");
    }

    private void Deep(int id, int bytes)
    {
        // Each frame of Recurse holds 1 KB of its own besides the frame itself.
        int depth = bytes / 1100;
        string mark = "deep" + id;
        long sum = Recurse(depth, mark, id);
        long expected = (long)depth * (id + mark.Length);
        Expect(sum == expected, id, $"the deep sum is {sum}, not {expected}");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private long Recurse(int depth, string mark, int id)
    {
        if (depth == 0)
        {
            Go.Yield();
            return 0;
        }
        Span<byte> own = stackalloc byte[1024];
        own[depth % 1024] = (byte)depth;
        string copy = depth % 64 == 0 ? string.Concat(mark, string.Empty) : mark;
        ref byte mine = ref own[depth % 1024];
        long below = Recurse(depth - 1, copy, id);
        Expect(mine == (byte)depth, id, $"a local changed at depth {depth}");
        if (depth % 97 == 0)
        {
            Go.Yield();
        }
        return below + id + copy.Length;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Grow(int depth)
    {
        Span<byte> own = stackalloc byte[512];
        own[0] = (byte)depth;
        return depth == 0 ? 0 : own[0] + Grow(depth - 1) - depth + 1;
    }

    [GeneratedRegex(@"^key(\d+)\s*=\s*(\w+);$")]
    private static partial Regex Pattern();
}
