// What the harness knows of a benchmark: a question, and a function that answers it once.
//
// One question may fill several rows: the memory of parked goroutines and the times to create and
// to wake them come from one run.

namespace Weft.Bench;

/// <summary>One line of the table.</summary>
internal sealed record Row(string Name, string Unit, string What);

/// <summary>A benchmark. Sample answers it once, with one value for each row. OwnProcess: each
/// sample runs in a new process, because it depends on what the process did before, or changes what
/// comes after.</summary>
internal sealed record Question(string Name, Row[] Rows, Func<double[]> Sample, bool OwnProcess)
{
    internal static Question One(
        string name, string unit, string what, Func<double> sample, bool ownProcess = false) =>
        new(name, [new Row(name, unit, what)], () => [sample()], ownProcess);
}
