// Perfetto's own reader, trace_processor_shell, asked about a trace that Weft has written: what its tables hold has to
// be what PerfettoFile finds, and what the end of the trace says of Go.Stats. It is no package of the registries that
// Weft is built with, so the test is skipped where it is not there: TRACE_PROCESSOR has its path, or PATH leads to it.

using System.Globalization;

namespace Weft.Tests;

internal static class TraceProcessor
{
    // Each says one number. What happens in a moment has no length there, as a slice that takes no time would.
    private static readonly (string Name, string Query)[] s_questions =
    [
        ("errors", "select count(*) from stats where severity in ('error', 'data_loss') and value != 0"),
        ("not ended", "select count(*) from slice where dur = -1"),
        ("slices and instants", "select count(*) from slice"),
        ("threads", "select count(distinct utid) from thread_track"),
        ("slices", "select count(*) from slice join track on track_id = track.id "
            + "where track.name glob 'P[0-9]*' and dur > 0"),
        ("arrows", "select count(*) from flow"),
        ("arrows that end at a run", "select count(*) from flow join slice on slice_in = slice.id "
            + "join track on track_id = track.id where track.name glob 'P[0-9]*'"),
        ("Runs", Figure("Runs")),
        ("Steals", "select count(*) from slice where name = 'steal'"),
        ("Steals at the end", Figure("Steals")),
        ("Polls", "select count(*) from slice where name = 'network poll'"),
        ("Polls at the end", Figure("Polls")),
    ];

    /// <summary>Where it is, or null.</summary>
    internal static string? Executable =>
        Environment.GetEnvironmentVariable("TRACE_PROCESSOR") is { Length: > 0 } path
            ? path
            : (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
                .Select(folder => Path.Combine(folder, "trace_processor_shell"))
                .FirstOrDefault(File.Exists);

    /// <summary>FILE: what it says of it, and what is wrong; 0 if nothing is.</summary>
    internal static int Program(string[] args)
    {
        if (Executable is not { } program)
        {
            Console.Error.WriteLine("there is no trace_processor_shell: TRACE_PROCESSOR has its path");
            return 2;
        }
        Dictionary<string, long> says = Ask(program, args[0]);
        foreach ((string name, long number) in says)
        {
            Console.WriteLine($"{name}: {number}");
        }
        string wrong = Wrong(says, new PerfettoFile(File.ReadAllBytes(args[0])));
        Console.WriteLine(wrong.Length == 0 ? "right" : wrong);
        return wrong.Length == 0 ? 0 : 1;
    }

    /// <summary>Its answers.</summary>
    internal static Dictionary<string, long> Ask(string program, string trace)
    {
        string queries = Path.GetTempFileName();
        File.WriteAllLines(queries, s_questions.Select(question => $"{question.Query};"));
        ChildResult child = ChildProcess.Execute(
            program, ["-q", queries, trace], timeout: TimeSpan.FromMinutes(5));
        File.Delete(queries);
        // Of each answer a line with the column's name, and one with the number.
        long[] numbers =
        [
            .. child.Output.Split('\n')
                .Where(line => line.Length > 0 && line.All(char.IsAsciiDigit))
                .Select(line => long.Parse(line, CultureInfo.InvariantCulture)),
        ];
        return numbers.Length == s_questions.Length
            ? s_questions.Zip(numbers).ToDictionary(pair => pair.First.Name, pair => pair.Second)
            : throw new InvalidDataException($"{program}: {child}");
    }

    /// <summary>What does not fit: the answers, what is in the file, and the figures at its end.</summary>
    internal static string Wrong(Dictionary<string, long> says, PerfettoFile file)
    {
        (string Name, long Expected)[] expected =
        [
            ("errors", 0),
            ("not ended", 0),
            ("slices and instants", file.All.Count),
            ("threads", file.Tracks.Count(track => track.Thread != 0)),
            ("slices", file.Figures["slices"]),
            ("arrows", file.Figures["arrows"]),
            ("arrows that end at a run", file.Figures["arrows"]),
            ("Runs", file.Figures["Runs"]),
            ("Steals", file.Figures["Steals"]),
            ("Steals at the end", file.Figures["Steals"]),
            ("Polls at the end", file.Figures["Polls"]),
        ];
        IEnumerable<string> wrong = expected
            .Where(one => says[one.Name] != one.Expected)
            .Select(one => $"{one.Name}: {says[one.Name]}, expected {one.Expected}");
        // A machine may look at the network in the moment between the end and the figures.
        long missing = file.Figures["Polls"] - says["Polls"];
        return string.Join("; ", missing is >= 0 and <= 3 ? wrong : [.. wrong, $"Polls: {says["Polls"]}"]);
    }

    private static string Figure(string name) =>
        "select int_value from slice join args using (arg_set_id) "
        + $"where slice.name = 'end of the trace' and key = 'debug.{name}'";
}
