// A program that answers questions: weft-bench and its peers. All of them know the same arguments:
//
//   PROGRAM version              a line: what it is and what it was built with
//   PROGRAM list                 a line for each row: name, unit, what
//   PROGRAM --samples NAME...    a line for each row: name, value, unit, least, most, and each sample, with tabs
//
// A program stands in out/bin/ if it could be built, that is, if its compiler is installed.

using System.Diagnostics;
using System.Globalization;

namespace Weft.Bench.Front;

/// <summary>A row as it was answered.</summary>
internal sealed record Answer(string Name, double Value, string Unit, double Least, double Most, double[] Samples);

internal sealed class Answerer
{
    private readonly string _path;
    private readonly Lazy<string> _version;
    private readonly Lazy<Dictionary<string, string>> _units;

    private Answerer(string name, string path)
    {
        Name = name;
        _path = path;
        _version = new(() => Run("version").Single());
        _units = new(() => Run("list")
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .ToDictionary(words => words[0], words => words[1]));
    }

    internal string Name { get; }

    internal string Version => _version.Value;

    /// <summary>The rows it has, in its order, with their units.</summary>
    internal IReadOnlyDictionary<string, string> Units => _units.Value;

    /// <summary>WEFT_BENCH names another weft-bench, for tests of this program.</summary>
    internal static Answerer Weft() =>
        new("Weft", Environment.GetEnvironmentVariable("WEFT_BENCH") ?? InBin("weft-bench"));

    /// <summary>Weft, and the peers that are there.</summary>
    internal static Answerer[] Found() =>
    [
        Weft(),
        .. new (string Name, string Program)[] { ("Go", "go"), (".NET", "tasks"), ("Boost", "boost") }
            .Select(peer => (peer.Name, Path: InBin("weft-bench-" + peer.Program)))
            .Where(peer => File.Exists(peer.Path))
            .Select(peer => new Answerer(peer.Name, peer.Path)),
    ];

    /// <summary>Some rows; those of one question come from the same run. More rows may come back: those of a
    /// question that has the name of one of its rows.</summary>
    internal Answer[] Ask(IEnumerable<string> names) =>
    [
        .. Run(["--samples", .. names]).Select(line => line.Split('\t')).Select(fields => new Answer(
            fields[0], Number(fields[1]), fields[2], Number(fields[3]), Number(fields[4]),
            [.. fields[5..].Select(Number)])),
    ];

    private string[] Run(params string[] args)
    {
        using Process process = Process.Start(new ProcessStartInfo(_path, args) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException($"{_path} {string.Join(' ', args)}: exit code {process.ExitCode}");
    }

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    // This program is in out/front/.
    private static string InBin(string program) =>
        Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "bin", program));
}
