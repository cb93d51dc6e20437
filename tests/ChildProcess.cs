using System.Diagnostics;

namespace Weft.Tests;

/// <summary>How a child process ended: its exit code, or 128 + n if signal n ended it.</summary>
internal sealed record ChildResult(int ExitCode, string Output, string Error)
{
    public override string ToString() =>
        $"exit code {ExitCode}\n--- stdout\n{Output}\n--- stderr\n{Error}";
}

/// <summary>Runs programs to their end and catches what they print.</summary>
internal static class ChildProcess
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(60);

    /// <summary>Runs a child program of Programs.cs. One that takes longer than the timeout (60 s
    /// if none is given; four times that under qemu) is killed, and TimeoutException has what it had printed.</summary>
    internal static ChildResult Run(
        string name,
        string[]? args = null,
        Dictionary<string, string>? environment = null,
        TimeSpan? timeout = null) =>
        Execute(Environment.ProcessPath!, ["--child", name, .. args ?? []], null, environment, timeout);

    /// <summary>The same for any program, in any directory.</summary>
    internal static ChildResult Execute(
        string program,
        string[] args,
        string? directory = null,
        Dictionary<string, string>? environment = null,
        TimeSpan? timeout = null)
    {
        ProcessStartInfo start = new(program, args)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? "",
        };
        foreach ((string key, string value) in environment ?? [])
        {
            start.Environment[key] = value;
        }

        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        TimeSpan limit = Qemu.Limit(timeout ?? s_timeout);
        bool ended = process.WaitForExit(limit);
        if (!ended)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        string errors = Go.Mode == GoMode.Jit && program == Environment.ProcessPath
            ? error.Result.Replace(Runtime.Startup.JitNotice, "") : error.Result;
        ChildResult result = new(process.ExitCode, output.Result, Qemu.WithoutItsLines(errors));
        return ended ? result : throw new TimeoutException(
            $"{program} {string.Join(' ', args)} took longer than {limit.TotalSeconds} s\n{result}");
    }
}
