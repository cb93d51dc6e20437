// The entry point of weft-tests:
//
//   weft-tests                        run every test
//   weft-tests Class | Class.Test     run some; * stands for any text
//   weft-tests --child NAME ARG...    be one of the child programs of Programs.cs
//   weft-tests --OPTION...            any option of the test platform; --help lists them

using Microsoft.Testing.Platform.Builder;

// A process has one Weft runtime, and many tests use all of it: they run one at a time.
[assembly: NotInParallel]

namespace Weft.Tests;

internal static class Program
{
    private static readonly string[] s_defaults =
    [
        // Plain text in a file or a pipe, even where the platform would colour it: build.sh reads it.
        "--ansi", Console.IsOutputRedirected ? "off" : "auto",
        "--output", "Detailed", "--progress", "off",
        // A suite that hangs fails: the log's last "start" line names the test.
        "--timeout", "30m", // Beside neighbours that take most of the machine.
        "--results-directory", Path.Combine(AppContext.BaseDirectory, "..", "test-results"),
    ];

    private static int Main(string[] args)
    {
        if (args is ["--child", var name, ..])
        {
            return Programs.Run(name, args[2..]);
        }

        return RunTests(args).GetAwaiter().GetResult();
    }

    private static async Task<int> RunTests(string[] args)
    {
        Environment.SetEnvironmentVariable("TUNIT_DISABLE_HTML_REPORTER", "true");
        args = [.. s_defaults, .. Filter(args)];

        ITestApplicationBuilder builder = await TestApplication.CreateBuilderAsync(args);
        builder.AddSelfRegisteredExtensions(args);
        using ITestApplication application = await builder.BuildAsync();
        using StormAround? storm = StormAround.StartIfWanted();
        return await application.RunAsync();
    }

    /// <summary>Turns a leading Class or Class.Test into the platform's own filter option.</summary>
    private static string[] Filter(string[] args)
    {
        if (args.Length == 0 && Go.Mode == GoMode.Jit)
        {
            return ["--treenode-filter", JitSuite.Filter];
        }
        if (args.Length == 0 || args[0].StartsWith('-'))
        {
            return args;
        }

        string[] parts = args[0].Split('.', 2);
        string test = parts.Length == 2 ? parts[1] : "*";
        return ["--treenode-filter", $"/*/*/{parts[0]}/{test}", .. args.Skip(1)];
    }
}
