// The front of the benchmarks, which runs BenchmarkDotNet on programs that answer questions: on one that stands in
// for weft-bench, a script, and on weft-bench itself where it has been built.

namespace Weft.Tests;

internal sealed class BenchFrontTests
{
    // Three rows, one of which is no time; all samples are known.
    private const string StandIn = """
        #!/bin/sh
        case $1 in
        version) echo "Stand-in 1.0" ;;
        list) printf '%s\n' "one_1p  ns  a row" "two_1p  us  another" "mem_1p  B  bytes" ;;
        --samples) printf 'two_1p\t2.5\tus\t1.5\t4.5\t1.5\t2.5\t4.5\n' ;;
        esac
        """;

    private static readonly Lazy<ChildResult> s_build = new(() => ChildProcess.Execute(
        "dotnet",
        ["build", "bench/front/front.csproj", "-c", "Release", "-v:quiet", "--nologo", "-tl:off"],
        Repository.Root(),
        timeout: TimeSpan.FromMinutes(5)));

    [Test]
    public async Task ItListsTheRowsThatAreTimes()
    {
        using Folder folder = new();
        ChildResult front = folder.DotNet(folder.StandIn(), "--list", "flat");

        await Assert.That(front.Output).IsEqualTo("Weft.Bench.one_1p\nWeft.Bench.two_1p\n");
    }

    [Test]
    public async Task TheSamplesOfAProgramAreMeasurements()
    {
        using Folder folder = new();
        ChildResult front = folder.DotNet(folder.StandIn(), "--filter", "*two_1p", "--exporters", "json");

        await Assert.That(front.ExitCode).IsEqualTo(0).Because(front.ToString());
        await Assert.That(front.Output).Contains("Weft   : Stand-in 1.0");
        await Assert.That(folder.Report("-report.csv")).Contains(",2.833 μs,").And.Contains(",2.500 μs,1.500 μs,4.500 μs");
        await Assert.That(folder.Report("-compressed.json")).Contains("\"OriginalValues\":[1500,2500,4500]");
    }

    [Test]
    public async Task AProgramThatFailsIsNoMeasurement()
    {
        using Folder folder = new();
        string program = folder.StandIn();
        await File.AppendAllTextAsync(program, "\n[ $1 != --samples ]");
        ChildResult front = folder.DotNet(program, "--filter", "*two_1p");

        await Assert.That(front.ExitCode).IsEqualTo(1);
        await Assert.That(front.Output).Contains("exit code 1");
    }

    [Test]
    public async Task WeftBenchAnswersARow()
    {
        string program = Path.Combine(Repository.Root(), "out", "bin", "weft-bench");
        Skip.When(!File.Exists(program), "weft-bench has not been built");
        using Folder folder = new();
        ChildResult front = folder.DotNet(program, "--filter", "*.chan_unbuf_1p");

        await Assert.That(front.ExitCode).IsEqualTo(0).Because(front.ToString());
        await Assert.That(folder.Report("-github.md")).Contains("chan_unbuf_1p").And.Contains(" ns |");
    }

    [Test]
    [Slow]
    public async Task ThePlotsAreThoseOfTheResults()
    {
        using Folder folder = new();
        string results = Path.Combine(Repository.Root(), "bench", "results");
        ChildResult front = folder.Front("", "--plots", results, folder.Path);
        await Assert.That(front.ExitCode).IsEqualTo(0).Because(front.ToString());

        string committed = Path.Combine(results, "plots");
        await Assert.That(Names(folder.Path)).IsEqualTo(Names(committed))
            .Because("./build.sh bench --plots draws them again");
        foreach (string plot in Directory.EnumerateFiles(committed))
        {
            string drawn = await File.ReadAllTextAsync(Path.Combine(folder.Path, Path.GetFileName(plot)));
            await Assert.That(drawn).IsEqualTo(await File.ReadAllTextAsync(plot)).Because(plot);
        }
    }

    private static string Names(string folder) =>
        string.Join('\n', Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order());

    /// <summary>Where a program and the reports are.</summary>
    private sealed class Folder : IDisposable
    {
        internal string Path { get; } = Directory.CreateTempSubdirectory("weft-front-").FullName;

        internal string StandIn()
        {
            string program = System.IO.Path.Combine(Path, "stand-in");
            File.WriteAllText(program, BenchFrontTests.StandIn);
            ChildProcess.Execute("chmod", ["+x", program]);
            return program;
        }

        internal ChildResult DotNet(string program, params string[] args) =>
            Front(program, ["--dotnet", "--artifacts", Path, .. args]);

        internal ChildResult Front(string program, params string[] args)
        {
            ChildResult build = s_build.Value;
            Skip.When(build.Output.Contains("error NU1"), "the package BenchmarkDotNet is not to be had");
            return build.ExitCode != 0
                ? build
                : ChildProcess.Execute(
                    "dotnet",
                    [System.IO.Path.Combine(Repository.Root(), "out", "front", "weft-bench-front.dll"), .. args],
                    environment: new() { ["WEFT_BENCH"] = program });
        }

        internal string Report(string end) => File.ReadAllText(
            Directory.EnumerateFiles(System.IO.Path.Combine(Path, "results"), "*" + end).Single());

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
