// weft-bench-bare, a program without Weft that lies beside this one (bare/).

using System.Diagnostics;
using System.Globalization;

namespace Weft.Bench;

internal static class Bare
{
    /// <summary>Runs it; the number that it prints.</summary>
    internal static double Number(params string[] args)
    {
        using Process process = Start(args);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return double.Parse(output, CultureInfo.InvariantCulture);
    }

    /// <summary>Starts it.</summary>
    internal static Process Start(params string[] args)
    {
        string program = Path.Combine(AppContext.BaseDirectory, "weft-bench-bare");
        return Process.Start(new ProcessStartInfo(program, args) { RedirectStandardOutput = true })!;
    }
}
