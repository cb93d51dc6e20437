// How a question becomes numbers: samples, their median and their spread.
//
// In this process: one sample that is thrown away, then nine. In new processes: five, none thrown
// away, for a process that starts cold is what such a question is about. Just before each sample
// the floor is measured, so a ratio compares two things that the machine did within a few
// milliseconds: where other programs share the CPU, or its clock changes, both move together.

using System.Diagnostics;
using System.Globalization;

namespace Weft.Bench;

/// <summary>What was measured for one row: one value and one floor for each sample.</summary>
internal sealed record Measurement(Row Row, double[] Samples, double[] Floors)
{
    internal double Value => Measure.Median(Samples);

    internal double Least => Samples.Min();

    internal double Most => Samples.Max();

    /// <summary>The median of each sample's ratio to its own floor. Only for times of one operation, and where
    /// the program has a floor.</summary>
    internal double? Ratio => Row.Unit != "ns" || Floors.Length == 0
        ? null
        : Measure.Median([.. Samples.Zip(Floors, (sample, floor) => sample / floor)]);
}

internal static class Measure
{
    private const int SamplesHere = 9;
    private const int SamplesInProcesses = 5;
    internal const string SampleOption = "--sample";

    internal static Measurement[] Answer(Question question, Func<double>? floor)
    {
        if (!question.OwnProcess)
        {
            _ = question.Sample();
        }
        int count = question.OwnProcess ? SamplesInProcesses : SamplesHere;
        double[] floors = new double[floor == null ? 0 : count];
        double[][] samples = new double[count][];
        for (int i = 0; i < count; i++)
        {
            if (floor != null)
            {
                floors[i] = floor();
            }
            samples[i] = question.OwnProcess ? SampleInProcess(question) : question.Sample();
        }
        return [.. question.Rows.Select(
            (row, column) => new Measurement(row, [.. samples.Select(s => s[column])], floors))];
    }

    internal static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /// <summary>The other side of SampleInProcess: answers once, one line for each row.</summary>
    internal static void PrintSample(Question question)
    {
        foreach (double value in question.Sample())
        {
            Console.WriteLine(value.ToString("R", CultureInfo.InvariantCulture));
        }
    }

    private static double[] SampleInProcess(Question question)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, [SampleOption, question.Name])
        {
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        string[] lines = process.StandardOutput.ReadToEnd()
            .Split('\n', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        if (process.ExitCode != 0 || lines.Length != question.Rows.Length)
        {
            throw new InvalidOperationException(
                $"{question.Name}: ended with {process.ExitCode} and {lines.Length} values");
        }
        return [.. lines.Select(line => double.Parse(line, CultureInfo.InvariantCulture))];
    }
}
