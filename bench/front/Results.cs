// A file of results: lines about the machine and the programs that begin with #, then a line for each row of each
// program, with tabs: program, name, value, unit, least, most. Least and most are those of the samples; where
// they were not kept they are the value.

using System.Globalization;

namespace Weft.Bench.Front;

internal sealed record Result(string Program, string Name, double Value, string Unit, double Least, double Most)
{
    internal RowName Row { get; } = RowName.Parse(Name);

    internal string Line() => string.Join('\t', Program, Name, Text(Value), Unit, Text(Least), Text(Most));

    internal static Result[] Read(string path) =>
    [
        .. File.ReadLines(path)
            .Where(line => line.Length > 0 && line[0] != '#')
            .Select(line => line.Split('\t'))
            .Select(f => new Result(f[0], f[1], Number(f[2]), f[3], Number(f[4]), Number(f[5]))),
    ];

    private static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);

    private static string Text(double value) => value.ToString(CultureInfo.InvariantCulture);
}
