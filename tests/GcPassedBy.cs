// How many parked goroutines collections look at: none that refers to old objects only, whatever lies between
// those objects, and after a full collection as well; each that has run since; none that has ended.
//
// gc-passed-by dense|sparse. Counts, no clocks.

using System.Globalization;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static class GcPassedBy
{
    private const int Goroutines = 2000;
    private const int Woken = 100;
    private const int Few = 20; // The program's own.
    private const int Between = 8; // KB.

    private static readonly Chan<int> s_gate = new();
    private static readonly Chan<int> s_end = new();
    private static int s_parked;
    private static bool s_failed;

    private sealed class Node(int number)
    {
        internal int Number { get; } = number;
    }

    internal static int Program(string[] args)
    {
        bool isSparse = args[0] == "sparse";
        WaitGroup done = new();
        for (int i = 0; i < Goroutines; i++)
        {
            done.Go(() => Hold(isSparse));
        }
        GcTorture.WaitForParked(ref s_parked, Goroutines);
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
        }
        Expect("generation 0 after full ones", LookedAt(0), 0, Few);
        Expect("generation 1", LookedAt(1), 0, Few);
        Expect("a full one", LookedAt(2), Goroutines, Goroutines + Few);
        Expect("generation 0 after that", LookedAt(0), 0, Few);
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);
        Expect("generation 1 after a compacting one", LookedAt(1), 0, Few);
        long pinned = GC.GetGCMemoryInfo(GCKind.Any).PinnedObjectsCount;
        Expect("pinned", pinned, 0, Goroutines / 4); // Of system stacks, and the runtime's own.

        for (int i = 0; i < Woken; i++)
        {
            s_gate.Send(i);
        }
        GcTorture.WaitForParked(ref s_parked, Goroutines + Woken);
        Expect("generation 0 when some have run", LookedAt(0), Woken, Woken + Few);
        s_gate.Close();
        s_end.Close();
        done.Wait();
        _ = LookedAt(0);
        Expect("generation 0 when all have ended", LookedAt(0), 0, Few);
        return s_failed ? 1 : 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Hold(bool isSparse)
    {
        for (int i = 0; isSparse && i < Between; i++)
        {
            GC.KeepAlive(new byte[1000]);
        }
        int number = Interlocked.Increment(ref s_parked);
        Node first = new(number), second = new(number + 1), third = new(number + 2);
        if (s_gate.Receive(out _))
        {
            Node fourth = new(number + 3);
            Interlocked.Increment(ref s_parked);
            _ = s_end.Receive();
            Expect("a value", fourth.Number, number + 3, number + 3);
        }
        Expect("a value", first.Number, number, number);
        Expect("a value", second.Number + third.Number, (2 * number) + 3, (2 * number) + 3);
    }

    private static long LookedAt(int generation)
    {
        long before = GcRoots.Visits;
        GC.Collect(generation, GCCollectionMode.Forced, blocking: true);
        return GcRoots.Visits - before;
    }

    private static void Expect(string what, long count, long least, long most)
    {
        if (count < least || count > most)
        {
            s_failed = true;
            Console.WriteLine(
                string.Create(CultureInfo.InvariantCulture, $"{what}: {count}, not {least} to {most}"));
        }
    }
}
