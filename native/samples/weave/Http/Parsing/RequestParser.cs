// The head of a request, RFC 9112, as it arrives.
//
//   StartLine --line--> Fields --line--> Fields ... --empty line--> done
//
// Each call looks at what has come since the last one: a client that sends byte by byte costs no more
// than one that sends at once. The result does not depend on where the input is cut, because a limit is
// looked at before what lies beyond it.
//
// Strict where two readings of one request would let a client smuggle a second one past a proxy: a line
// ends with CR LF and nothing else; no folded lines; no space before a colon; one Host; one
// Content-Length, of digits; never that and Transfer-Encoding together; the last coding is chunked.
// Rejected: being liberal in what is accepted. Nobody legitimate sends any of that today.

namespace Weave.Http.Parsing;

internal enum ParseState
{
    NeedMore,
    Done,

    /// <summary>Not a request that weave takes; Error is the status to answer with. What follows in the
    /// input cannot be understood.</summary>
    Failed,
}

internal struct RequestParser
{
    private const int LongestMethod = 32;

    private bool _inFields;
    private bool _sawEmptyLine;
    private bool _hasHost;
    private bool _hasLength;
    private bool _wantsClose;
    private bool _wantsKeepAlive;
    private bool _hasCoding;
    private bool _hasUnknownCoding;
    private int _fields;

    /// <summary>Where the line begins that is not complete yet.</summary>
    private int _line;

    /// <summary>There is no line feed from there to here.</summary>
    private int _scanned;

    /// <summary>What the head says, once it is done.</summary>
    internal RequestHead Head;

    /// <summary>The status to answer with after Failed.</summary>
    internal int Error { get; private set; }

    /// <summary>Whether nothing but a line end has come yet.</summary>
    internal readonly bool IsAtStart => !_inFields;

    /// <summary>Goes on where the last call stopped. The input begins with the head's first byte, and has
    /// what the last call saw and perhaps more.</summary>
    internal ParseState Parse(ReadOnlySpan<byte> input, HeadLimits limits)
    {
        while (true)
        {
            int end = input[_scanned..].IndexOf((byte)'\n');
            int last = end < 0 ? input.Length : _scanned + end;
            int limit = _inFields ? limits.Head : Math.Min(_line + limits.RequestLine, limits.Head);
            if (last > limit)
            {
                return Fail(_inFields ? 431 : 414);
            }

            if (end < 0)
            {
                _scanned = last;
                return ParseState.NeedMore;
            }

            if (last == _line || input[last - 1] != '\r')
            {
                return Fail(400);
            }

            Slice line = new(_line, last - 1 - _line);
            _line = _scanned = last + 1;
            if (line.IsEmpty && _inFields)
            {
                return Finish();
            }

            int error = TakeLine(input, line, limits);
            if (error != 0)
            {
                return Fail(error);
            }
        }
    }

    /// <summary>0, or the status to answer with; so for all that take something.</summary>
    private int TakeLine(ReadOnlySpan<byte> input, Slice line, HeadLimits limits)
    {
        if (_inFields)
        {
            _fields++;
            return _fields > limits.Fields ? 431 : TakeField(input, line);
        }

        if (line.IsEmpty && !_sawEmptyLine)
        {
            _sawEmptyLine = true; // Some old clients end a body with a line end that is not counted.
            return 0;
        }

        _inFields = true;
        Head.ContentLength = -1;
        Head.RequestLine = line;
        return TakeRequestLine(line.Of(input), line.Start);
    }

    private int TakeRequestLine(ReadOnlySpan<byte> line, int start)
    {
        int space = line.IndexOf((byte)' ');
        if (space > LongestMethod)
        {
            return 501;
        }

        if (space < 0 || !FieldSyntax.IsToken(line[..space]))
        {
            return 400;
        }

        Head.Method = MethodOf(line[..space]);
        start += space + 1;
        line = line[(space + 1)..];
        space = line.IndexOf((byte)' ');
        if (space < 0 || !FieldSyntax.IsTarget(line[..space]))
        {
            return 400;
        }

        ReadOnlySpan<byte> version = line[(space + 1)..];
        if (version.Length != 8
            || !version.StartsWith("HTTP/"u8)
            || version[6] != '.'
            || !char.IsAsciiDigit((char)version[5])
            || !char.IsAsciiDigit((char)version[7]))
        {
            return 400;
        }

        if (version[5] != '1')
        {
            return 505;
        }

        Head.MinorVersion = (byte)(version[7] == '0' ? 0 : 1);
        return TakeTarget(line[..space], start);
    }

    /// <summary>Finds the path, whichever of the four forms the target has.</summary>
    private int TakeTarget(ReadOnlySpan<byte> target, int start)
    {
        if (target[0] != '/')
        {
            if (Head.Method == Method.Connect)
            {
                return target.Contains((byte)':') && FieldSyntax.IsHost(target) ? 0 : 400;
            }

            if (target.SequenceEqual("*"u8))
            {
                return Head.Method == Method.Options ? 0 : 400;
            }

            int scheme = target.Length > 7 && FieldSyntax.Same(target[..7], "http://"u8) ? 7
                : target.Length > 8 && FieldSyntax.Same(target[..8], "https://"u8) ? 8
                : 0;
            int host = target[scheme..].IndexOfAny((byte)'/', (byte)'?');
            host = host < 0 ? target.Length - scheme : host;
            if (scheme == 0 || host == 0 || !FieldSyntax.IsHost(target.Slice(scheme, host)))
            {
                return 400;
            }

            target = target[(scheme + host)..];
            start += scheme + host;
        }

        int query = target.IndexOf((byte)'?');
        int path = query < 0 ? target.Length : query;
        Head.Path = new Slice(start, path);
        Head.Query = new Slice(start + path, target.Length - path);
        return 0;
    }

    private int TakeField(ReadOnlySpan<byte> input, Slice line)
    {
        ReadOnlySpan<byte> text = line.Of(input);
        int colon = text.IndexOf((byte)':');

        // Not a token: also a line that begins with a space, and a space before the colon.
        if (colon < 0 || !FieldSyntax.IsToken(text[..colon]))
        {
            return 400;
        }

        ReadOnlySpan<byte> rest = text[(colon + 1)..];
        ReadOnlySpan<byte> value = rest.TrimStart(" \t"u8);
        int start = line.Start + text.Length - value.Length;
        value = value.TrimEnd(" \t"u8);
        if (!FieldSyntax.IsValue(value))
        {
            return 400;
        }

        Slice place = new(start, value.Length);
        ReadOnlySpan<byte> name = text[..colon];
        switch (name.Length)
        {
            case 4 when FieldSyntax.Same(name, "host"u8):
                return TakeHost(value, place);
            case 5 when FieldSyntax.Same(name, "range"u8):
                Once(ref Head.Range, place);
                break;
            case 6 when FieldSyntax.Same(name, "expect"u8):
                Head.ExpectsContinue = true;
                return FieldSyntax.Same(value, "100-continue"u8) ? 0 : 417;
            case 7 when FieldSyntax.Same(name, "referer"u8):
                Once(ref Head.Referer, place);
                break;
            case 8 when FieldSyntax.Same(name, "if-range"u8):
                Once(ref Head.IfRange, place);
                break;
            case 8 when FieldSyntax.Same(name, "if-match"u8):
                Once(ref Head.IfMatch, place);
                break;
            case 10 when FieldSyntax.Same(name, "connection"u8):
                TakeConnection(value);
                break;
            case 10 when FieldSyntax.Same(name, "user-agent"u8):
                Once(ref Head.UserAgent, place);
                break;
            case 13 when FieldSyntax.Same(name, "if-none-match"u8):
                Once(ref Head.IfNoneMatch, place);
                break;
            case 14 when FieldSyntax.Same(name, "content-length"u8):
                return TakeLength(value);
            case 17 when FieldSyntax.Same(name, "transfer-encoding"u8):
                return TakeCodings(value);
            case 17 when FieldSyntax.Same(name, "if-modified-since"u8):
                Once(ref Head.IfModifiedSince, place);
                break;
            case 19 when FieldSyntax.Same(name, "if-unmodified-since"u8):
                Once(ref Head.IfUnmodifiedSince, place);
                break;
            default:
                break;
        }

        return 0;
    }

    /// <summary>The first of several fields of that name; they are conditions and ranges, and a GET may
    /// be answered in full whatever they say.</summary>
    private static void Once(ref Slice field, Slice value) => field = field.IsEmpty ? value : field;

    private int TakeHost(ReadOnlySpan<byte> value, Slice place)
    {
        if (_hasHost || !FieldSyntax.IsHost(value))
        {
            return 400;
        }

        _hasHost = true;
        Head.Host = place;
        return 0;
    }

    private int TakeLength(ReadOnlySpan<byte> value)
    {
        // "5, 5" and two equal fields could be taken for one; that is refused too.
        if (_hasLength || !FieldSyntax.TryNumber(value, out Head.ContentLength))
        {
            return 400;
        }

        _hasLength = true;
        return 0;
    }

    private int TakeCodings(ReadOnlySpan<byte> list)
    {
        _hasCoding = true;
        while (FieldSyntax.NextElement(ref list, out ReadOnlySpan<byte> coding))
        {
            if (Head.IsChunked)
            {
                return 400; // Whatever follows it: chunked is the last.
            }

            Head.IsChunked = FieldSyntax.Same(coding, "chunked"u8);
            _hasUnknownCoding |= !Head.IsChunked;
        }

        return 0;
    }

    private void TakeConnection(ReadOnlySpan<byte> list)
    {
        while (FieldSyntax.NextElement(ref list, out ReadOnlySpan<byte> option))
        {
            _wantsClose |= FieldSyntax.Same(option, "close"u8);
            _wantsKeepAlive |= FieldSyntax.Same(option, "keep-alive"u8);
        }
    }

    private ParseState Finish()
    {
        bool isOld = Head.MinorVersion == 0;
        if ((!_hasHost && !isOld)
            || (_hasCoding && (_hasLength || isOld || !Head.IsChunked)))
        {
            return Fail(400);
        }

        if (_hasUnknownCoding)
        {
            return Fail(501);
        }

        Head.ExpectsContinue &= !isOld;
        Head.KeepAlive = !_wantsClose && (!isOld || _wantsKeepAlive);
        Head.Length = _line;
        return ParseState.Done;
    }

    private ParseState Fail(int status)
    {
        Error = status;
        return ParseState.Failed;
    }

    private static Method MethodOf(ReadOnlySpan<byte> name) => name.Length switch
    {
        3 when name.SequenceEqual("GET"u8) => Method.Get,
        3 when name.SequenceEqual("PUT"u8) => Method.Put,
        4 when name.SequenceEqual("HEAD"u8) => Method.Head,
        4 when name.SequenceEqual("POST"u8) => Method.Post,
        5 when name.SequenceEqual("PATCH"u8) => Method.Patch,
        5 when name.SequenceEqual("TRACE"u8) => Method.Trace,
        6 when name.SequenceEqual("DELETE"u8) => Method.Delete,
        7 when name.SequenceEqual("CONNECT"u8) => Method.Connect,
        7 when name.SequenceEqual("OPTIONS"u8) => Method.Options,
        _ => Method.Unknown,
    };
}
