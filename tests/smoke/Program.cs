// Whether Weft works on the build of .NET that this program was linked with: one line for each part that
// depends on the runtime's insides, "right" or what was wrong. Exit code 0 when all are right.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Weft.Tests;

internal static class Smoke
{
    private static int s_wrong;

    private static int Main()
    {
        Console.WriteLine($"weft-smoke on .NET {Environment.Version}");
        Part("storm of collections, 1 processor", () => GcStorm.Run(1, 100, blocks: false, out _, out _));
        Part("storm of collections, 2 processors", () => GcStorm.Run(2, 300, blocks: true, out _, out _));
        Part("a loop is interrupted", LoopIsInterrupted);
        Part("stacks grow", StacksGrow);
        Part("the dump names methods", DumpNamesMethods);
        Part("leaks are found", LeaksAreFound);
        Part("the trace names functions", TraceNamesFunctions);
        return s_wrong == 0 ? 0 : 1;
    }

    private static void Part(string name, Func<string?> run)
    {
        string? failure = run();
        Console.WriteLine($"{name}: {failure ?? "right"}");
        s_wrong += failure is null ? 0 : 1;
    }

    private static string? LoopIsInterrupted()
    {
        Go.MaxProcs = 1;
        bool stop = false;
        WaitGroup group = new();
        group.Go(() =>
        {
            while (!Volatile.Read(ref stop))
            {
            }
        });
        Stopwatch watch = Stopwatch.StartNew();
        group.Go(() =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            Volatile.Write(ref stop, true);
        });
        group.Wait();
        return watch.Elapsed < TimeSpan.FromSeconds(10) ? null : $"after {watch.Elapsed}";
    }

    private static string? StacksGrow()
    {
        Chan<int> depths = new();
        Go.Run(() => depths.Send(Depth(100_000)));
        int depth = depths.Receive();
        return depth == 100_000 ? null : $"depth {depth}";
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Depth(int n)
    {
        int here = n;
        ref int there = ref here;
        int below = n == 0 ? 0 : Depth(n - 1);
        return there == n ? below + (n == 0 ? 0 : 1) : -1;
    }

    private static string? DumpNamesMethods()
    {
        Chan<int> never = new();
        Go.Run(() => WaitsHere(never));
        string? failure = Soon("WaitsHere", () =>
        {
            using StringWriter text = new(CultureInfo.InvariantCulture);
            Go.Dump(text);
            return text.ToString();
        });
        never.Close();
        return failure;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitsHere(Chan<int> never)
    {
        _ = never.Receive(out _);
        GC.KeepAlive(never);
    }

    private static string? LeaksAreFound()
    {
        Leak();
        return Soon("leaked goroutines: 1", () => Go.FindLeaks(reclaim: true).ToString());
    }

    private static string? TraceNamesFunctions()
    {
        using MemoryStream trace = new();
        Go.StartTrace(trace);
        WaitGroup group = new();
        group.Add();
        Go.Run(CountsDownHere, group);
        group.Wait();
        Go.StopTrace();
        string found = System.Text.Encoding.UTF8.GetString(trace.ToArray());
        return found.Contains(nameof(CountsDownHere), StringComparison.Ordinal) ? null : $"{found.Length} characters";
    }

    private static void CountsDownHere(WaitGroup group) => group.Done();

    /// <summary>Looks until the text is there: the goroutine that it tells of may not wait yet.</summary>
    private static string? Soon(string text, Func<string> look)
    {
        Stopwatch watch = Stopwatch.StartNew();
        string found = look();
        while (!found.Contains(text, StringComparison.Ordinal))
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(10))
            {
                return found;
            }
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            found = look();
        }
        return null;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Leak()
    {
        Chan<int> lost = new();
        Go.Run(() => _ = lost.Receive(out _));
    }
}
