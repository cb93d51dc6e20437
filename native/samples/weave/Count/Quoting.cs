// File names in messages, quoted as the GNU tools quote them: so that the shell would read the name
// back, and no byte of it can confuse a terminal. A name that needs no quotes has none.

using System.Buffers;

namespace Weave.Count;

internal static class Quoting
{
    // Letters of the escapes for the bytes 7 to 13.
    private const string EscapeLetters = "abtnvfr";

    private static readonly SearchValues<byte> s_plain = SearchValues.Create(
        "%+,-./0123456789@ABCDEFGHIJKLMNOPQRSTUVWXYZ]_abcdefghijklmnopqrstuvwxyz{}#~"u8);

    private static readonly SearchValues<byte> s_safeInDoubleQuotes = SearchValues.Create(
        " '%+,-./0123456789:@ABCDEFGHIJKLMNOPQRSTUVWXYZ]_abcdefghijklmnopqrstuvwxyz"u8);

    internal static ReadOnlySpan<byte> Quote(ReadOnlySpan<byte> name)
    {
        if (IsPlain(name))
        {
            return name;
        }

        return name.Contains((byte)'\'') && IsSafeInDoubleQuotes(name)
            ? [(byte)'"', .. name, (byte)'"']
            : QuoteAndEscape(name);
    }

    private static bool IsPlain(ReadOnlySpan<byte> name) =>
        !name.IsEmpty
        && !StartsSpecially(name)
        && !name.SequenceEqual("{"u8)
        && !name.SequenceEqual("}"u8)
        && !name.ContainsAnyExcept(s_plain);

    private static bool IsSafeInDoubleQuotes(ReadOnlySpan<byte> name) =>
        !name[(StartsSpecially(name) ? 1 : 0)..].ContainsAnyExcept(s_safeInDoubleQuotes);

    private static bool StartsSpecially(ReadOnlySpan<byte> name) =>
        name[0] is (byte)'#' or (byte)'~';

    /// <summary>'…' for what is printable, $'…' for what is not.</summary>
    private static byte[] QuoteAndEscape(ReadOnlySpan<byte> name)
    {
        List<byte> quoted = [(byte)'\''];

        // A slip of the GNU tools, kept to print what they print: they scan a name with an
        // apostrophe twice, and begin the second time in the state that the first one ended in.
        bool escaping = name.Contains((byte)'\'') && !IsPrintable(name[^1]);
        foreach (byte b in name)
        {
            if (b == '\'')
            {
                quoted.AddRange("'\\''"u8); // Its first quote ends what is open, of either kind.
                escaping = false;
                continue;
            }

            bool printable = IsPrintable(b);
            if (printable == escaping)
            {
                quoted.AddRange(escaping ? "''"u8 : "'$'"u8);
                escaping = !escaping;
            }

            quoted.AddRange(printable ? [b] : Escape(b));
        }

        quoted.Add((byte)'\'');
        return [.. quoted];
    }

    private static bool IsPrintable(byte b) => b is >= (byte)' ' and <= (byte)'~';

    private static byte[] Escape(byte b) =>
        b is >= 7 and <= 13
            ? [(byte)'\\', (byte)EscapeLetters[b - 7]]
            : [(byte)'\\', OctalDigit(b >> 6), OctalDigit(b >> 3), OctalDigit(b)];

    private static byte OctalDigit(int value) => (byte)('0' + (value & 7));
}
