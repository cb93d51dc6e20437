// A chunked body, RFC 9112 section 7.1, as it arrives.
//
//   Size --"5;ext CRLF"--> Data --5 bytes--> DataEnd --CRLF--> Size ... --"0 CRLF"--> Trailers --CRLF--> Done
//
// It finds where the data lies and does not copy it. A line is taken only when it is complete; what is
// incomplete the caller keeps and shows again with more behind it. Extensions and trailers are checked
// and dropped.

namespace Weave.Http.Parsing;

internal struct ChunkedDecoder
{
    /// <summary>Bytes of the line with the size. Extensions are the only reason for a long one.</summary>
    internal const int LongestSizeLine = 256;

    /// <summary>Bytes of all trailers.</summary>
    internal const int LongestTrailers = 4 * 1024;

    private const int MostDigits = 15; // So that the size fits a long.

    private enum State : byte
    {
        Size,
        Data,
        DataEnd,
        Trailers,
        Done,
    }

    private State _state;
    private int _trailerBytes;
    private long _left;

    /// <summary>Bytes of the current chunk that Next has not found yet.</summary>
    internal readonly long Left => _left;

    /// <summary>The status to answer with after Failed.</summary>
    internal int Error { get; private set; }

    /// <summary>Finds the next piece of data. NeedMore with length above 0: there it is, from
    /// <paramref name="consumed"/> on, and comes off the input with what is before it.</summary>
    internal ParseState Next(ReadOnlySpan<byte> input, out int consumed, out int length)
    {
        consumed = 0;
        length = 0;
        while (_state != State.Done)
        {
            if (_state == State.Data)
            {
                length = (int)Math.Min(_left, input.Length - consumed);
                _left -= length;
                _state = _left == 0 ? State.DataEnd : State.Data;
                return ParseState.NeedMore;
            }

            ReadOnlySpan<byte> rest = input[consumed..];
            int limit = _state switch
            {
                State.Size => LongestSizeLine,
                State.DataEnd => 1,
                _ => LongestTrailers - _trailerBytes,
            };
            int end = rest.IndexOf((byte)'\n');
            int last = end < 0 ? rest.Length : end;
            if (last > limit)
            {
                return Fail(_state == State.Trailers ? 431 : 400);
            }

            if (end < 0)
            {
                return ParseState.NeedMore;
            }

            if (end == 0 || rest[end - 1] != '\r' || !TakeLine(rest[..(end - 1)]))
            {
                return Fail(400);
            }

            consumed += end + 1;
        }

        return ParseState.Done;
    }

    private bool TakeLine(ReadOnlySpan<byte> line)
    {
        switch (_state)
        {
            case State.Size:
                if (!TryReadSize(line, out _left))
                {
                    return false;
                }

                _state = _left == 0 ? State.Trailers : State.Data;
                return true;
            case State.DataEnd:
                _state = State.Size;
                return line.IsEmpty;
            default:
                _trailerBytes += line.Length + 2;
                _state = line.IsEmpty ? State.Done : State.Trailers;
                int colon = line.IndexOf((byte)':');
                return line.IsEmpty
                    || (colon > 0
                        && FieldSyntax.IsToken(line[..colon])
                        && FieldSyntax.IsValue(line[colon..]));
        }
    }

    private static bool TryReadSize(ReadOnlySpan<byte> line, out long size)
    {
        size = 0;
        int digits = 0;
        while (digits < line.Length && char.IsAsciiHexDigit((char)line[digits]))
        {
            int digit = line[digits] | 0x20;
            size = (size << 4) + (digit <= '9' ? digit - '0' : digit - 'a' + 10);
            digits++;
            if (digits > MostDigits)
            {
                return false;
            }
        }

        ReadOnlySpan<byte> extensions = line[digits..].TrimStart(" \t"u8);
        return digits > 0
            && (digits == line.Length || (!extensions.IsEmpty && extensions[0] == ';'))
            && FieldSyntax.IsValue(extensions);
    }

    private ParseState Fail(int status)
    {
        Error = status;
        return ParseState.Failed;
    }
}
