// The alphabets of RFC 9110, section 5, and the small pieces of syntax that several fields share.

using System.Buffers;
using System.Text;

namespace Weave.Http.Parsing;

internal static class FieldSyntax
{
    private static readonly SearchValues<byte> s_token = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    // All control characters but the tab. Bytes from 128 up are allowed, and mean nothing.
    private static readonly SearchValues<byte> s_notInValue = SearchValues.Create(
        [.. Enumerable.Range(0, 32).Append(127).Where(c => c != '\t').Select(c => (byte)c)]);

    // What a URI may consist of, but for the # of a fragment, which is never sent. RFC 3986 allows
    // less; what browsers send unescaped, as | and ", is taken too: nothing here depends on it.
    private static readonly SearchValues<byte> s_target = SearchValues.Create(
        [.. Enumerable.Range(33, 94).Where(c => c != '#').Select(c => (byte)c)]);

    private static readonly SearchValues<byte> s_host = SearchValues.Create(
        "-._~!$&'()*+,;=%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    private static readonly SearchValues<byte> s_hostLiteral = SearchValues.Create(
        "-._~!$&'()*+,;=:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"u8);

    internal static bool IsToken(ReadOnlySpan<byte> text) =>
        !text.IsEmpty && !text.ContainsAnyExcept(s_token);

    internal static bool IsValue(ReadOnlySpan<byte> text) => !text.ContainsAny(s_notInValue);

    internal static bool IsTarget(ReadOnlySpan<byte> text) =>
        !text.IsEmpty && !text.ContainsAnyExcept(s_target);

    /// <summary>Whether it is a host with or without a port; empty is allowed.</summary>
    internal static bool IsHost(ReadOnlySpan<byte> text)
    {
        int end;
        if (!text.IsEmpty && text[0] == '[')
        {
            end = text.IndexOf((byte)']');
            if (end < 2 || text[1..end].ContainsAnyExcept(s_hostLiteral))
            {
                return false;
            }

            end++;
        }
        else
        {
            end = text.IndexOf((byte)':');
            end = end < 0 ? text.Length : end;
            if (text[..end].ContainsAnyExcept(s_host))
            {
                return false;
            }
        }

        ReadOnlySpan<byte> port = text[end..];
        return port.IsEmpty || (port[0] == ':' && !port[1..].ContainsAnyExceptInRange((byte)'0', (byte)'9'));
    }

    internal static bool Same(ReadOnlySpan<byte> text, ReadOnlySpan<byte> lowerCase) =>
        Ascii.EqualsIgnoreCase(text, lowerCase);

    /// <summary>Takes spaces and tabs from both ends.</summary>
    internal static ReadOnlySpan<byte> Trim(ReadOnlySpan<byte> text) => text.Trim(" \t"u8);

    /// <summary>Takes the first element off a list with commas; false when none is left. Empty
    /// elements are passed over.</summary>
    internal static bool NextElement(ref ReadOnlySpan<byte> list, out ReadOnlySpan<byte> element)
    {
        element = default;
        while (element.IsEmpty && !list.IsEmpty)
        {
            int comma = list.IndexOf((byte)',');
            element = Trim(comma < 0 ? list : list[..comma]);
            list = comma < 0 ? default : list[(comma + 1)..];
        }

        return !element.IsEmpty;
    }

    /// <summary>Reads a number of 1 to 18 decimal digits and nothing else.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> text, out long number)
    {
        number = 0;
        if (text.Length is 0 or > 18 || text.ContainsAnyExceptInRange((byte)'0', (byte)'9'))
        {
            return false;
        }

        foreach (byte digit in text)
        {
            number = (10 * number) + (digit - '0');
        }

        return true;
    }
}
