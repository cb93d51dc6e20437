// weave million: N goroutines at once, each waiting on the same channel, until it is closed.
//
// Resident memory is what the kernel says (VmRSS), before the first goroutine and when all wait;
// the collector's heap is measured beside it, because a goroutine's stack and control block are not
// in it.

using System.Diagnostics;
using System.Globalization;
using Weave.Files;
using Weft;

namespace Weave;

internal static class MillionCommand
{
    // A control block, its stack in the store, and the collector's part; the check wants to be right about
    // hopeless requests only.
    private const long BytesEach = 1000;

    internal static int Run(long count)
    {
        if (count > AvailableMemory() / BytesEach)
        {
            Output.WriteError(
                $"weave: {Number(count)} goroutines need {Size((double)count * BytesEach)}; "
                + $"{Size(AvailableMemory())} of memory are available\n");
            return Commands.Failure;
        }

        try
        {
            Measure(count);
            return Commands.Success;
        }
        catch (InsufficientMemoryException e)
        {
            Output.WriteError($"weave: {e.Message}\n");
            return Commands.Failure;
        }
    }

    private static void Measure(long count)
    {
        Gate gate = new();
        Start(gate, 1); // What the runtime makes once is not a goroutine's cost.
        gate.Open.Close();
        gate.Finished.Wait();

        gate = new Gate();
        long residentBefore = Status("VmRSS:");
        long heapBefore = GC.GetTotalMemory(forceFullCollection: true);

        long startedAt = Stopwatch.GetTimestamp();
        Start(gate, count);
        TimeSpan create = Stopwatch.GetElapsedTime(startedAt);

        long resident = Status("VmRSS:") - residentBefore;
        long heap = GC.GetTotalMemory(forceFullCollection: false) - heapBefore;
        long parked = Go.Count;

        startedAt = Stopwatch.GetTimestamp();
        gate.Open.Close();
        gate.Finished.Wait();
        TimeSpan release = Stopwatch.GetElapsedTime(startedAt);

        Print("goroutines", $"{Number(count)} waiting at once, {Number(parked)} with the main one");
        Print("create", $"{Seconds(create)}  {Number(create.TotalNanoseconds / count)} ns each");
        Print("release", $"{Seconds(release)}  {Number(release.TotalNanoseconds / count)} ns each");
        Print("resident", $"{Size(resident)}  {Number((double)resident / count)} bytes each");
        Print("GC heap", $"{Size(heap)}  {Number((double)heap / count)} bytes each");
        Print("peak", $"{Size(Status("VmHWM:"))}  resident in the whole process");
    }

    /// <summary>Starts goroutines and returns when all wait at the gate, or are about to.</summary>
    private static void Start(Gate gate, long count)
    {
        for (long i = 0; i < count; i++)
        {
            gate.Arrived.Add();
            gate.Finished.Add();
            Go.Run(
                static gate =>
                {
                    gate.Arrived.Done();
                    _ = gate.Open.Receive();
                    gate.Finished.Done();
                },
                gate);
        }

        gate.Arrived.Wait();
    }

    /// <summary>A line of /proc/self/status, in bytes.</summary>
    private static long Status(string name) => KilobyteLine("/proc/self/status", name);

    /// <summary>What the kernel can still give out, or the limit of the process's
    /// container.</summary>
    private static long AvailableMemory() =>
        Math.Min(
            KilobyteLine("/proc/meminfo", "MemAvailable:"),
            GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);

    private static long KilobyteLine(string file, string name)
    {
        string line = File.ReadLines(file)
            .First(line => line.StartsWith(name, StringComparison.Ordinal));
        string kilobytes = line[name.Length..].Replace("kB", "", StringComparison.Ordinal);
        return 1024 * long.Parse(kilobytes, CultureInfo.InvariantCulture);
    }

    private static void Print(string name, string value) => Console.WriteLine($"{name,-12}{value}");

    private static string Number(double value) =>
        value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Seconds(TimeSpan time) =>
        time.TotalSeconds.ToString("F3", CultureInfo.InvariantCulture) + " s";

    private static string Size(double bytes) =>
        (bytes / 1e6).ToString("N1", CultureInfo.InvariantCulture) + " MB";

    /// <summary>What the goroutines share.</summary>
    private sealed class Gate
    {
        internal Chan<bool> Open { get; } = new();

        internal WaitGroup Arrived { get; } = new();

        internal WaitGroup Finished { get; } = new();
    }
}
