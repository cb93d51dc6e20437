// Weft beside its peers: each question is asked of all of them in turn, so that the columns of a row are of the same
// minute. Prints a table, and keeps a file of results.

using System.Globalization;
using System.Runtime.InteropServices;

namespace Weft.Bench.Front;

internal static class Peers
{
    private const int BadArguments = 2;
    private const string Missing = "-";

    /// <summary>The rows of those names, on however many processors, or all that a peer has.</summary>
    internal static int Compare(Answerer[] programs, string[] names)
    {
        Answerer weft = programs[0];
        Answerer[] peers = programs[1..];
        string[] rows = [.. weft.Units.Keys.Where(row => names.Length > 0
            ? names.Any(name => IsMeant(row, name))
            : peers.Any(peer => peer.Units.ContainsKey(row)))];
        if (rows.Length == 0)
        {
            Console.Error.WriteLine("weft-bench-front: no such rows; out/bin/weft-bench list prints their names");
            return BadArguments;
        }
        string path = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "bench", "peers.tsv"));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using StreamWriter file = new(path) { AutoFlush = true };
        foreach (string line in Machine(programs))
        {
            Console.WriteLine(line + '\n');
            file.WriteLine("# " + line);
        }
        Console.WriteLine("Ratios: how many times better Weft is.\n");
        Print(["row", "unit", .. programs.Select(program => program.Name), .. peers.Select(peer => "/ " + peer.Name)]);
        Print([.. Enumerable.Repeat("---", 2), .. Enumerable.Repeat("--:", programs.Length + peers.Length)]);
        foreach (IGrouping<(string, int), string> run in rows.GroupBy(row => RowName.Parse(row).Run))
        {
            Result[][] answers = [.. programs.Select(program => Ask(program, [.. run]))];
            foreach (string row in run)
            {
                Print(row, [.. answers.Select(of => of.FirstOrDefault(result => result.Name == row))]);
            }
            foreach (Result result in answers.SelectMany(of => of))
            {
                file.WriteLine(result.Line());
            }
        }
        Console.WriteLine($"\n{path}");
        return 0;
    }

    private static bool IsMeant(string row, string name) =>
        row == name || RowName.Parse(row) is var parts && (parts.Question == name || parts.Run.Item1 == name);

    private static Result[] Ask(Answerer program, string[] rows)
    {
        string[] known = [.. rows.Where(program.Units.ContainsKey)];
        try
        {
            return known.Length == 0 ? [] :
            [
                .. program.Ask(known).Where(answer => known.Contains(answer.Name)).Select(answer => new Result(
                    program.Name, answer.Name, answer.Value, answer.Unit, answer.Least, answer.Most)),
            ];
        }
        catch (InvalidOperationException e)
        {
            Console.Error.WriteLine(e.Message);
            return [];
        }
    }

    private static void Print(string row, Result?[] results)
    {
        string? unit = results.FirstOrDefault(result => result != null)?.Unit;
        if (unit != null)
        {
            Print(
            [
                row, unit, .. results.Select(result => result == null ? Missing : Digits(result.Value)),
                .. results[1..].Select(result => result is null or { Value: 0 } || results[0] is null or { Value: 0 }
                    ? Missing : Digits(Times.Better(results[0]!.Value, result.Value, unit))),
            ]);
        }
    }

    private static void Print(string[] cells) => Console.WriteLine($"| {string.Join(" | ", cells)} |");

    private static string Digits(double value) =>
        value.ToString(Math.Abs(value) switch { < 10 => "0.00", < 100 => "0.0", _ => "0" }, CultureInfo.InvariantCulture);

    private static IEnumerable<string> Machine(Answerer[] programs)
    {
        const string cpuInfo = "/proc/cpuinfo";
        string? cpu = !File.Exists(cpuInfo) ? null : File.ReadLines(cpuInfo)
            .FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[^1].Trim();
        yield return $"{cpu ?? "a processor"}, {Environment.ProcessorCount} processors; "
            + $"{RuntimeInformation.OSDescription}; {DateTime.UtcNow:yyyy-MM-dd}";
        yield return string.Join("; ", programs.Select(program => program.Version));
    }
}
