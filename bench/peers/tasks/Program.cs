// weft-bench-tasks: weft-bench's questions, asked of .NET's tasks, channels, semaphores and sockets.
//
// How many processors .NET uses, and how many threads its pool has, is settled when a process starts. So each
// number of processors has a process of its own, which is this program again with DOTNET_PROCESSOR_COUNT.

using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Weft.Bench;

internal static partial class Program
{
    private const string CountVariable = "DOTNET_PROCESSOR_COUNT"; // Hexadecimal.

    private static int Main(string[] args)
    {
        if (Environment.GetEnvironmentVariable(CountVariable) == null && args is not ([] or ["list"] or ["version"]))
        {
            string[] options = [.. args.TakeWhile(arg => arg.StartsWith("--", StringComparison.Ordinal))];
            return args.Skip(options.Length).GroupBy(Processors)
                .Select(names => Again([.. options, .. names], names.Key))
                .Max();
        }
        int threads = Environment.ProcessorCount;
        bool limited = ThreadPool.SetMinThreads(1, 1) && ThreadPool.SetMaxThreads(threads, Math.Max(threads, 4))
            && ThreadPool.SetMinThreads(threads, 1);
        Drive.Check(limited, "the thread pool has more threads than processors");
        return Answers.Give(
            $".NET {Environment.Version} NativeAOT, tasks", Drive.OnEach(TaskBench.Questions), floor: null, args);
    }

    private static int Processors(string name) =>
        RowName().Match(name) is { Success: true } match
            ? int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)
            : Environment.ProcessorCount;

    private static int Again(string[] args, int processors)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, args);
        start.Environment[CountVariable] = processors.ToString("X", CultureInfo.InvariantCulture);
        using Process process = Process.Start(start)!;
        process.WaitForExit();
        return process.ExitCode;
    }

    // Backwards: in chan_buf128_1p1c_4p it is the last one that counts.
    [GeneratedRegex(@"_(\d+)p(?:_|$)", RegexOptions.RightToLeft)]
    private static partial Regex RowName();
}
