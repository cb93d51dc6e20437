// A toolchain for BenchmarkDotNet that generates and builds nothing: the program is there. To execute a benchmark
// is to have the program answer the row of that name; each of its samples becomes a measurement of one
// operation, written as BenchmarkDotNet's own child processes write theirs.
//
// How many samples there are is weft-bench's affair (Measure.cs): --launchCount asks again, --iterationCount and
// --warmupCount change nothing.

using System.Globalization;
using BenchmarkDotNet.Characteristics;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains;
using BenchmarkDotNet.Toolchains.Parameters;
using BenchmarkDotNet.Toolchains.Results;
using BenchmarkDotNet.Validators;

namespace Weft.Bench.Front;

internal sealed class AnswererToolchain(Answerer program) : IToolchain, IGenerator, IBuilder, IExecutor
{
    internal Answerer Program => program;

    public string Name => program.Name;

    public IGenerator Generator => this;

    public IBuilder Builder => this;

    public IExecutor Executor => this;

    public bool IsInProcess => false;

    public override string ToString() => Name;

    public IEnumerable<ValidationError> Validate(BenchmarkCase benchmarkCase, IResolver resolver) => [];

    /// <summary>Nothing to generate, and nothing that BenchmarkDotNet should remove afterwards.</summary>
    public GenerateResult GenerateProject(BuildPartition buildPartition, ILogger logger, string rootArtifactsFolderPath) =>
        GenerateResult.Success(ArtifactsPaths.Empty, []);

    public BuildResult Build(GenerateResult generateResult, BuildPartition buildPartition, ILogger logger) =>
        BuildResult.Success(generateResult);

    public ExecuteResult Execute(ExecuteParameters executeParameters)
    {
        string name = executeParameters.BenchmarkCase.Descriptor.WorkloadMethod.Name;
        try
        {
            Answer answer = program.Ask([name]).Single(row => row.Name == name);
            string[] lines = [.. answer.Samples.Select((sample, index) => Line(index + 1, Times.ToNs(sample, answer.Unit)))];
            foreach (string line in lines)
            {
                executeParameters.Logger.WriteLine(line);
            }
            return Result(0, lines, ["// Runtime=" + program.Version], executeParameters);
        }
        catch (InvalidOperationException e)
        {
            executeParameters.Logger.WriteLineError(e.Message);
            return Result(1, [], [], executeParameters);
        }
    }

    private static string Line(int number, double ns) => string.Create(
        CultureInfo.InvariantCulture, $"WorkloadResult {number}: 1 op, {ns:0.0000} ns, {ns:0.0000} ns/op");

    private static ExecuteResult Result(int exitCode, string[] results, string[] prefixed, ExecuteParameters parameters) =>
        new(foundExecutable: true, exitCode, processId: null, results, prefixed, [], parameters.LaunchIndex);
}
