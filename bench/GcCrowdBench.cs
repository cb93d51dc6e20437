// What a crowd of waiting goroutines costs the collector when each holds three small objects of its own, side by
// side or with 8 KB of garbage between (sparse): collections of each generation once they have waited for a
// few, the one after a full one, the first one after all have run, and what is left for others: allocations
// a second beside them, and the heap in fragments. The same with .NET's tasks, which wait in an await.
//
// And what a look at one stack costs, by its depth: the places of references are remembered for stacks of 4,096
// frames at most; deeper ones are walked.

using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace Weft.Bench;

internal sealed class GcCrowdBench
{
    private const int Collections = 5;
    private const int Between = 8;
    private const int FrameCrowd = 2_000;
    private const double NsPerMs = 1e6;
    private const double Mega = 1e6;
    private static readonly TimeSpan s_allocates = TimeSpan.FromSeconds(1);

    private readonly WaitGroup _done = new();
    private readonly bool _isSparse;
    private readonly bool _areTasks;
    private readonly int _depth;
    private readonly int _count;
    private Chan<int> _gate = new();
    private TaskCompletionSource _signal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _arrived;

    private GcCrowdBench(int count, bool isSparse = false, bool areTasks = false, int depth = 0)
    {
        _count = count;
        _isSparse = isSparse;
        _areTasks = areTasks;
        _depth = depth;
    }

    internal static Question[] Questions =>
    [
        Of("gc_crowd_0", 0, isSparse: false),
        Of("gc_crowd_10k", 10_000, isSparse: false),
        Of("gc_crowd_100k", 100_000, isSparse: false),
        Of("gc_crowd_1m", 1_000_000, isSparse: false),
        Of("gc_sparse_100k", 100_000, isSparse: true),
        Of("gc_sparse_1m", 1_000_000, isSparse: true),
        Of("gc_tasks_100k", 100_000, isSparse: false, areTasks: true),
        Of("gc_tasks_1m", 1_000_000, isSparse: false, areTasks: true),
        OfDepth("gc_frames_5", 0),
        OfDepth("gc_frames_45", 40),
        OfDepth("gc_frames_305", 300),
        OfDepth("gc_frames_1105", 1100),
    ];

    private static Question OfDepth(string name, int depth) => Question.One(
        name,
        "ns",
        $"generation 0 for each of {FrameCrowd:N0} that have run, {depth} frames deeper than Main's",
        () => new GcCrowdBench(FrameCrowd, depth: depth).SampleRan(),
        ownProcess: true);

    private static Question Of(string name, int count, bool isSparse, bool areTasks = false)
    {
        string tasks = areTasks ? "tasks " : "";
        string who = $"{count:N0} {tasks}waiting, three objects each" + (isSparse ? ", sparse" : "");
        Row[] rows =
        [
            new($"{name}_gen0", "ms", $"a generation 0 collection, {who}"),
            new($"{name}_gen1", "ms", $"a generation 1 collection, {who}"),
            new($"{name}_gen2", "ms", $"a full collection, {who}"),
            new($"{name}_next", "ms", $"the generation 0 collection after that, {who}"),
            new($"{name}_ran", "ns", $"generation 0 for each when all have run, {who}"),
            new($"{name}_alloc", "M/s", $"objects of 100 bytes made beside {who}"),
            new($"{name}_fragments", "MB", $"of the heap, {who}"),
        ];
        return new Question(name, rows, () => new GcCrowdBench(count, isSparse, areTasks).Sample(), OwnProcess: true);
    }

    private sealed class Node(int number)
    {
        internal int Number { get; } = number;
    }

    private double[] Sample()
    {
        Gather();
        double young = Best(0);
        double middle = Best(1);
        double full = Collect(2);
        double next = Collect(0);
        double allocations = Allocate();
        double fragments = GC.GetGCMemoryInfo(GCKind.Any).FragmentedBytes / Mega;
        return [young, middle, full, next, EndOnceTheyHaveRun(), allocations, fragments];
    }

    private double SampleRan()
    {
        Gather();
        return EndOnceTheyHaveRun();
    }

    /// <summary>Until all wait, and have for a few collections.</summary>
    private void Gather()
    {
        Go.MaxProcs = 2;
        _done.Add(_count);
        for (int i = 0; i < _count; i++)
        {
            Start();
        }
        WaitForAll(_count);
        for (int i = 0; i < Collections; i++)
        {
            _ = Collect(i % 3);
        }
    }

    /// <summary>What generation 0 costs for each, ns.</summary>
    private double EndOnceTheyHaveRun()
    {
        Open();
        WaitForAll(2 * _count);
        double ran = _count == 0 ? 0 : Collect(0) * NsPerMs / _count;
        Open();
        _done.Wait();
        return ran;
    }

    private void Start()
    {
        if (_areTasks)
        {
            _ = Task.Run(HoldAsync);
        }
        else
        {
            Go.Run(static crowd => crowd.Deepen(crowd._depth), this);
        }
    }

    /// <summary>Lets all go on to their next wait, or to their end.</summary>
    private void Open()
    {
        Chan<int> gate = _gate;
        TaskCompletionSource signal = _signal;
        _gate = new Chan<int>();
        _signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        gate.Close();
        signal.SetResult();
    }

    private async Task HoldAsync()
    {
        Node first = new(1), second = new(2), third = new(3);
        for (int round = 0; round < 2; round++)
        {
            Task opened = Volatile.Read(ref _signal).Task;
            Interlocked.Increment(ref _arrived);
            await opened;
        }
        Drive.Check(first.Number + second.Number == third.Number, "an object is another");
        _done.Done();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int Deepen(int depth)
    {
        if (depth == 0)
        {
            Hold();
            return 0;
        }
        return Deepen(depth - 1) + 1; // No call at the end: each is a frame.
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Hold()
    {
        for (int i = 0; _isSparse && i < Between; i++)
        {
            GC.KeepAlive(new byte[1000]);
        }
        Node first = new(1), second = new(2), third = new(3);
        for (int round = 0; round < 2; round++)
        {
            Chan<int> gate = Volatile.Read(ref _gate);
            Interlocked.Increment(ref _arrived);
            _ = gate.Receive(out _);
        }
        Drive.Check(first.Number + second.Number == third.Number, "an object is another");
        _done.Done();
    }

    private void WaitForAll(int count)
    {
        while (Volatile.Read(ref _arrived) < count)
        {
            Thread.Sleep(1);
        }
        Thread.Sleep(20); // The last of them is about to wait.
    }

    private static double Best(int generation) =>
        Enumerable.Range(0, Collections).Min(_ => Collect(generation));

    private static double Collect(int generation)
    {
        long start = Stopwatch.GetTimestamp();
        GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        return Drive.Since(start) / NsPerMs;
    }

    private static double Allocate()
    {
        object[] ring = new object[1024];
        long count = 0;
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < s_allocates)
        {
            for (int i = 0; i < ring.Length; i++)
            {
                ring[i] = new byte[76];
            }
            count += ring.Length;
        }
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds / Mega;
    }
}
