// The command line without loss. A file name in Linux is any bytes, but the strings that Main gets
// are decoded as UTF-8, with U+FFFD where that fails. So the arguments are read again from /proc,
// and each byte becomes one char (Latin-1). FileName.cs turns such a string back into the same
// bytes.

using System.Text;

namespace Weave;

internal static class RawArguments
{
    private const string CommandLineFile = "/proc/self/cmdline";

    /// <summary>Main's arguments, with one char from U+0000 to U+00FF for each byte.</summary>
    internal static string[] Get(string[] args)
    {
        try
        {
            byte[] bytes = File.ReadAllBytes(CommandLineFile);
            string[] all = Encoding.Latin1.GetString(bytes).Split('\0');

            // Each argument ends with a zero: the first is the program, after the last comes
            // nothing.
            if (all.Length == args.Length + 2)
            {
                return all[1..^1];
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No /proc: UTF-8 is the best there is.
        }

        return Array.ConvertAll(
            args, arg => Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(arg)));
    }
}
