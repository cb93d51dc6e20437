// What weft-bench prints: a table for people (Markdown, so that it can be kept as it is), lines for
// scripts, the list of names. Each row is printed as soon as it is known.

using System.Globalization;
using System.Runtime.InteropServices;

namespace Weft.Bench;

internal static class Report
{
    private const string RowFormat = "| {0,-25} | {1,10} | {2,-4} | {3,23} | {4,7} | {5,-58} |";

    internal static void Table(string version, Question[] questions, Func<double>? floor)
    {
        Console.WriteLine($"{version}; {Machine()}");
        Console.WriteLine();
        Console.WriteLine(Format(RowFormat, "name", "value", "unit", "spread", "x floor", "what"));
        Console.WriteLine(Format(
            RowFormat,
            Dashes(25), Dashes(9) + ":", Dashes(4), Dashes(22) + ":", Dashes(6) + ":", Dashes(58)));
        foreach (Question question in questions)
        {
            foreach (Measurement m in Measure.Answer(question, floor))
            {
                string spread = $"{Number(m.Least)} .. {Number(m.Most)}";
                string ratio = m.Ratio is double r ? Number(r) : "";
                Console.WriteLine(Format(
                    RowFormat, m.Row.Name, Number(m.Value), m.Row.Unit, spread, ratio, m.Row.What));
            }
        }
    }

    /// <summary>name, value, unit, least and most, and each sample if they are asked for.</summary>
    internal static void Lines(IEnumerable<Measurement> measurements, bool samples)
    {
        foreach (Measurement m in measurements)
        {
            string[] fields =
            [
                m.Row.Name, Number(m.Value), m.Row.Unit, Number(m.Least), Number(m.Most),
                .. samples ? m.Samples.Select(sample => sample.ToString("R", CultureInfo.InvariantCulture)) : [],
            ];
            Console.WriteLine(string.Join('\t', fields));
        }
    }

    internal static void List(Question[] questions)
    {
        foreach (Row row in questions.SelectMany(question => question.Rows))
        {
            Console.WriteLine(Format("{0,-25} {1,-2}  {2}", row.Name, row.Unit, row.What));
        }
    }

    /// <summary>Three digits at least, and never an exponent.</summary>
    private static string Number(double value) => value.ToString(
        Math.Abs(value) switch { < 10 => "0.00", < 100 => "0.0", _ => "0" },
        CultureInfo.InvariantCulture);

    private static string Machine()
    {
        const string cpuInfo = "/proc/cpuinfo";
        const string modelName = "model name";
        string cpu = RuntimeInformation.ProcessArchitecture.ToString();
        if (File.Exists(cpuInfo))
        {
            cpu = File.ReadLines(cpuInfo)
                .FirstOrDefault(line => line.StartsWith(modelName, StringComparison.Ordinal), cpu)
                .Split(':')[^1].Trim();
        }
        Version kernel = Environment.OSVersion.Version;
        string system = $"{RuntimeInformation.OSDescription}, kernel {kernel}";
        return $"{cpu}, {Environment.ProcessorCount} processors; {system}";
    }

    private static string Dashes(int count) => new('-', count);

    private static string Format(string format, params object?[] values) =>
        string.Format(CultureInfo.InvariantCulture, format, values);
}
