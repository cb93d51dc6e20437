// BenchmarkDotNet as the front: filters, exporters, baselines and ratios are its own. It sees a class with a method
// for each row, which is made here of what `weft-bench list` says and never called, and a job for each program,
// whose toolchain (AnswererToolchain) has the program answer instead.
//
// Only rows that are times: it knows no other unit, and would print bytes as nanoseconds.

using System.Reflection;
using System.Reflection.Emit;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Filters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using Perfolizer.Mathematics.OutlierDetection;

namespace Weft.Bench.Front;

internal static class DotNetBench
{
    private const string Class = "Weft.Bench";

    internal static int Run(Answerer[] programs, string[] args)
    {
        // All that is usual but the columns about a job: what they tell of JIT and collector is not true of these.
        ManualConfig config = ManualConfig.CreateEmpty()
            .AddColumnProvider(DefaultColumnProviders.Descriptor, DefaultColumnProviders.Statistics)
            .AddColumnProvider(DefaultColumnProviders.Params, DefaultColumnProviders.Metrics)
            .AddColumn([.. JobCharacteristicColumn.AllColumns.Where(column => column.ColumnName == "Job")])
            .AddColumn(StatisticColumn.Median, StatisticColumn.Min, StatisticColumn.Max)
            .AddExporter([.. DefaultConfig.Instance.GetExporters()])
            .AddLogger([.. DefaultConfig.Instance.GetLoggers()])
            .AddAnalyser([.. DefaultConfig.Instance.GetAnalysers()])
            .AddValidator([.. DefaultConfig.Instance.GetValidators()])
            .WithArtifactsPath(Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "bench")))
            .WithOptions(ConfigOptions.DisableOptimizationsValidator)
            .AddFilter(new SimpleFilter(IsAnswered));
        foreach (Answerer program in programs)
        {
            // Weft-bench leaves no sample out, so neither does the front.
            Job job = Job.Default.WithId(program.Name)
                .WithToolchain(new AnswererToolchain(program))
                .WithOutlierMode(OutlierMode.DontRemove);
            config.AddJob(program == programs[0] && programs.Length > 1 ? job.AsBaseline() : job);
        }
        bool failed = BenchmarkSwitcher.FromTypes([MakeClass(programs[0])]).Run(args, config)
            .SelectMany(summary => summary.Reports)
            .Any(report => !report.Success);
        return failed ? 1 : 0;
    }

    private static bool IsAnswered(BenchmarkCase question) =>
        question.Job.Infrastructure.Toolchain is not AnswererToolchain toolchain
        || toolchain.Program.Units.ContainsKey(question.Descriptor.WorkloadMethod.Name);

    /// <summary>A class with an empty method for each row that is a time.</summary>
    private static Type MakeClass(Answerer program)
    {
        ConstructorInfo attribute = typeof(BenchmarkAttribute).GetConstructor([typeof(int), typeof(string)])!;
        TypeBuilder type = AssemblyBuilder
            .DefineDynamicAssembly(new AssemblyName(Class), AssemblyBuilderAccess.Run)
            .DefineDynamicModule(Class)
            .DefineType(Class, TypeAttributes.Public);
        int line = 0; // BenchmarkDotNet's order.
        foreach (string name in program.Units.Where(row => Times.IsTime(row.Value)).Select(row => row.Key))
        {
            MethodBuilder method = type.DefineMethod(name, MethodAttributes.Public, typeof(void), []);
            method.GetILGenerator().Emit(OpCodes.Ret);
            method.SetCustomAttribute(new CustomAttributeBuilder(attribute, [line++, ""]));
        }
        return type.CreateType();
    }
}
