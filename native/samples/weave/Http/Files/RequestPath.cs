// From the path of a request to the name of a file below the root.


namespace Weave.Http.Files;

internal static class RequestPath
{
    /// <summary>Decodes a path that begins with a slash, and leaves that slash out. False when it cannot
    /// be the name of a file: bad or cut escapes, zeros, an escaped slash, and any . or .. between slashes,
    /// which a client resolves before it sends. The kernel is asked to stay below the root besides: see
    /// Posix.OpenBeneath.</summary>
    internal static bool TryDecode(ReadOnlySpan<byte> path, Span<byte> name, out int length)
    {
        length = 0;
        if (path.IsEmpty || path[0] != '/' || path.Length > name.Length)
        {
            return false;
        }

        int segment = 0;
        for (int i = 1; i < path.Length; i++)
        {
            byte c = path[i];
            if (c == '/')
            {
                if (IsDots(name[segment..length]))
                {
                    return false;
                }

                segment = length + 1;
            }
            else if (c == '%')
            {
                if (!TryHex(path[(i + 1)..], out c) || c is 0 or (byte)'/')
                {
                    return false;
                }

                i += 2;
            }

            name[length++] = c;
        }

        // A second slash at the start would make it absolute.
        return !IsDots(name[segment..length]) && (length == 0 || name[0] != '/');
    }

    private static bool IsDots(ReadOnlySpan<byte> segment) =>
        segment.SequenceEqual("."u8) || segment.SequenceEqual(".."u8);

    private static bool TryHex(ReadOnlySpan<byte> digits, out byte value)
    {
        value = 0;
        if (digits.Length < 2
            || !char.IsAsciiHexDigit((char)digits[0])
            || !char.IsAsciiHexDigit((char)digits[1]))
        {
            return false;
        }

        value = (byte)((HexDigit(digits[0]) << 4) | HexDigit(digits[1]));
        return true;
    }

    private static int HexDigit(byte c) => c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}
