// The last stage: puts the results in order and prints them as GNU wc does.
//
// All numbers have the width of the sum of the sizes of all regular files given, and at least 7 if
// one of them is no regular file, a pipe for example. So nothing can be printed before every file
// has been looked at.

using System.Buffers.Text;
using System.Runtime.InteropServices;
using System.Text;
using Weave.Files;

namespace Weave.Count;

internal sealed class Report
{
    private const int WidthOfOtherFiles = 7;

    private readonly List<FileResult> _results = [];

    internal void Add(FileResult result)
    {
        int missing = result.Found.Index + 1 - _results.Count;
        if (missing > 0)
        {
            CollectionsMarshal.SetCount(_results, _results.Count + missing);
        }

        _results[result.Found.Index] = result;
    }

    /// <summary>Prints all results and returns the exit code.</summary>
    internal int Write()
    {
        Output output = new(Posix.StandardOutput);
        int exitCode = WriteResults(output);
        output.Flush();
        if (output.Error == 0)
        {
            return exitCode;
        }

        if (output.Error != -Posix.BrokenPipe) // Whoever reads a pipe may stop when he likes.
        {
            Output.WriteError($"weave: write error: {Reason(output.Error)}\n");
        }

        return Commands.Failure;
    }

    private int WriteResults(Output output)
    {
        int width = Width();
        int exitCode = Commands.Success;
        int files = 0;
        Counts total = default;
        foreach (ref readonly FileResult result in CollectionsMarshal.AsSpan(_results))
        {
            files += result.Found.Error == 0 ? 1 : 0; // A directory is not one, readable or not.
            if (result.Error != 0)
            {
                output.Flush(); // On a terminal, the message comes where it belongs.
                Output.WriteError(Message(result));
                exitCode = Commands.Failure;
            }

            if (result.HasCounts)
            {
                ReadOnlySpan<byte> name = result.Found.Name.Bytes;
                ReadOnlySpan<byte> shown = name.Contains((byte)'\n') ? Quoting.Quote(name) : name;
                WriteLine(output, width, result.Counts, shown);
                total += result.Counts;
            }
        }

        if (files > 1)
        {
            WriteLine(output, width, total, "total"u8);
        }

        return exitCode;
    }

    private int Width()
    {
        long bytes = 0;
        int minimum = 1;
        foreach (ref readonly FileResult result in CollectionsMarshal.AsSpan(_results))
        {
            if (result.HasStatus && result.Status.Kind == FileKind.Regular)
            {
                bytes += result.Status.Size;
            }
            else if (result.HasStatus)
            {
                minimum = WidthOfOtherFiles;
            }
        }

        int digits = 1;
        for (; bytes >= 10; bytes /= 10)
        {
            digits++;
        }

        return Math.Max(digits, minimum);
    }

    private static string Message(FileResult result)
    {
        ReadOnlySpan<byte> name = result.Found.Name.Bytes;
        return name.IsEmpty
            ? "weave: invalid zero-length file name\n"
            : $"weave: {Encoding.Latin1.GetString(Quoting.Quote(name))}: "
                + $"{Reason(result.Error)}\n";
    }

    private static string Reason(int error) => Marshal.GetPInvokeErrorMessage(-error);

    private static void WriteLine(
        Output output, int width, Counts counts, ReadOnlySpan<byte> name)
    {
        WriteNumber(output, width, counts.Lines);
        output.Write(" "u8);
        WriteNumber(output, width, counts.Words);
        output.Write(" "u8);
        WriteNumber(output, width, counts.Bytes);
        output.Write(" "u8);
        output.Write(name);
        output.Write("\n"u8);
    }

    private static void WriteNumber(Output output, int width, long number)
    {
        Span<byte> digits = stackalloc byte[20];
        _ = Utf8Formatter.TryFormat(number, digits, out int length);
        for (int i = length; i < width; i++)
        {
            output.Write(" "u8);
        }

        output.Write(digits[..length]);
    }
}
