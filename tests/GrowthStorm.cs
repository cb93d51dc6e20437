// Stacks that grow wherever their goroutines are interrupted: each goroutine runs down its frames once, from
// the first stack through every size, while all processors are asked to stop without a pause and a thread
// collects.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed unsafe class GrowthStorm
{
    private const int AtOnce = 16;

    private long _goroutines;
    private string? _failure;
    private volatile bool _stop;

    /// <summary>PROCS SECONDS: 0 when every local kept its value.</summary>
    internal static int Program(string[] args)
    {
        int procs = int.Parse(args[0], CultureInfo.InvariantCulture);
        TimeSpan duration = TimeSpan.FromSeconds(double.Parse(args[1], CultureInfo.InvariantCulture));
        GrowthStorm storm = new();
        long before = Scheduler.Preemptions;
        string? failure = storm.Run(procs, duration);
        Console.WriteLine(
            $"{failure ?? "right"}, {storm._goroutines} goroutines, {Scheduler.Preemptions - before} preemptions");
        return failure is null ? 0 : 1;
    }

    private string? Run(int procs, TimeSpan duration)
    {
        Go.MaxProcs = procs;
        using PreemptionTests.SignalSender sender = new();
        Thread collector = new(Collect) { IsBackground = true };
        collector.Start();
        long start = Stopwatch.GetTimestamp();
        while (_failure is null && Stopwatch.GetElapsedTime(start) < duration)
        {
            WaitGroup group = new();
            for (int i = 0; i < AtOnce; i++)
            {
                int id = (int)++_goroutines;
                group.Go(() => Descend(id));
            }
            group.Wait();
        }
        _stop = true;
        collector.Join();
        return _failure;
    }

    private void Collect()
    {
        for (int i = 0; !_stop; i++)
        {
            GC.Collect(i % 3, GCCollectionMode.Forced, blocking: true, compacting: true);
            Thread.Sleep(1);
        }
    }

    private void Descend(int id)
    {
        int depth = 200 + (id * 37 % 700);
        string mark = "mark" + (id % 10);
        long sum = Recurse(depth, mark, id % 8);
        if (sum != (long)depth * ((id % 8) + mark.Length))
        {
            Fail($"goroutine {id}: the sum is {sum}");
        }
    }

    private void Fail(string what) => Interlocked.CompareExchange(ref _failure, what, null);

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
        if (mine != (byte)depth || own[depth % 1024] != (byte)depth)
        {
            Wrong(ref mine, own, depth);
        }
        return below + id + copy.Length;
    }

    private void Wrong(ref byte mine, Span<byte> own, int depth)
    {
        Goroutine* g = Current.Goroutine();
        Fail(string.Create(
            CultureInfo.InvariantCulture,
            $"depth {depth}: {mine} at {(nint)Unsafe.AsPointer(ref mine):x}, {own[depth % 1024]} in {(nint)Unsafe.AsPointer(ref own[0]):x}, stack {g->StackLow:x} to {g->StackHigh:x}, here {(nint)(&g):x}"));
    }
}
