// native/weft-perf.py, which says in perf's output which goroutine a sample is of. The samples are made up here,
// of a trace that PerfettoFile reads too: perf itself may not be there, or not be allowed.

using System.Diagnostics;
using System.Globalization;

namespace Weft.Tests;

[NotOnJit("there are no traces")]
internal sealed class PerfTests
{
    private const int NoThread = 1;

    [Test]
    public async Task SamplesHaveTheirGoroutineAndItsRegion()
    {
        string folder = Directory.CreateTempSubdirectory("weft-perf-").FullName;
        string trace = Path.Combine(folder, "trace");
        string samples = Path.Combine(folder, "samples");
        ChildResult child = ChildProcess.Run(
            "perf-labels", [], new() { ["WEFT_TRACE"] = trace, ["WEFT_MAXPROCS"] = "2" });
        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());

        List<string> given = [];
        List<string> expected = [];
        foreach ((int thread, long ns, string label) in SamplesOf(new PerfettoFile(File.ReadAllBytes(trace))))
        {
            string time = string.Create(CultureInfo.InvariantCulture, $"{ns / 1_000_000_000}.{ns % 1_000_000_000:d9}");
            string rest = $"{time}:     250000 cpu-clock:";
            const string frame = "\t    4017b6 weft_entry+0x6 (/bin/program)";
            given.AddRange([$"weft machine  {thread} [001] {rest}", frame, ""]);
            expected.AddRange([label.Length > 0 ? $"{label} [001] {rest}" : $"weft machine  {thread} [001] {rest}", frame, ""]);
        }
        File.WriteAllLines(samples, given);
        ChildResult labelled = Script($"'{trace}' <'{samples}'");
        ChildResult sums = Script($"--sum '{trace}' <'{samples}'");
        ChildResult wrong = Script($"/dev/null <'{samples}'");
        Directory.Delete(folder, recursive: true);

        await Assert.That(labelled.ExitCode).IsEqualTo(0).Because(labelled.Error);
        await Assert.That(labelled.Output).IsEqualTo(string.Join('\n', expected) + "\n");
        await Assert.That(labelled.Output).Contains("PerfTests.Heavy/the_sum  ").And.Contains("PerfTests.Light  ");
        await Assert.That(sums.Output).Contains($"{expected.Count(line => line.StartsWith("Weft.Tests.PerfTests.Light "))}"
            + " Weft.Tests.PerfTests.Light\n").And.Contains("1 no goroutine\n");
        await Assert.That(wrong.ExitCode).IsEqualTo(1);
        await Assert.That(wrong.Error).Contains("WEFT_TRACE=FILE");
    }

    /// <summary>One in the middle of each run of a goroutine: its thread, when, and what the script has to put in
    /// place of both names. And one of a thread that never held a processor.</summary>
    private static List<(int Thread, long Ns, string Label)> SamplesOf(PerfettoFile file)
    {
        List<(int, long, string)> samples = [];
        PerfettoSlice[] holds = [.. file.Slices.Where(slice => slice.Track.Thread != 0)];
        PerfettoSlice[] regions = [.. file.Slices.Where(slice => slice.Track.Name.EndsWith(": regions"))];
        foreach (PerfettoSlice run in file.Runs.Where(run => run.End > run.Begin + 2))
        {
            long ns = (run.Begin + run.End) / 2;
            PerfettoSlice hold = holds.Single(
                hold => hold.Name == run.Track.Name && hold.Begin <= ns && ns < hold.End);
            long id = run.Values["goroutine"];
            string? region = regions.Where(slice => slice.Track.Name == $"goroutine {id}: regions"
                && slice.Begin <= ns && ns < slice.End).MaxBy(slice => slice.Depth)?.Name;
            string name = run.Name + (region is null ? "" : "/" + region);
            samples.Add((hold.Track.Thread, ns, $"{name.Replace(' ', '_')}  {id}"));
        }
        samples.Add((NoThread, 1_000_000_000, ""));
        return samples;
    }

    private static ChildResult Script(string arguments)
    {
        bool hasPython = ChildProcess.Execute("sh", ["-c", "command -v python3"]).ExitCode == 0;
        Skip.When(!hasPython, "python3 is not installed");
        string script = Path.Combine(Repository.Root(), "native/weft-perf.py");
        return ChildProcess.Execute("sh", ["-c", $"exec python3 '{script}' {arguments}"]);
    }

    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        WaitGroup done = new();
        done.Go(Heavy);
        done.Go(Light);
        done.Wait();
    });

    private static void Heavy()
    {
        for (int i = 0; i < 20; i++)
        {
            using (Go.TraceRegion("the sum"))
            {
                Spin();
                Go.Yield();
                Spin();
            }
            Go.Yield();
        }
    }

    private static void Spin()
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < 0.5)
        {
        }
    }

    private static void Light()
    {
        for (int i = 0; i < 20; i++)
        {
            Spin();
            Go.Yield();
        }
    }
}
