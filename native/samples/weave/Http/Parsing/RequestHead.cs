// What a request's head says, as places in the buffer that it lies in: nothing is copied, nothing is
// allocated. The places count from the head's first byte, so the buffer may be moved as a whole.

namespace Weave.Http.Parsing;

/// <summary>The methods of RFC 9110 and PATCH; whatever else is a token is Unknown.</summary>
internal enum Method : byte
{
    Unknown,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// <summary>Some bytes of the head. A field that was not there, or is empty, has length 0.</summary>
internal readonly record struct Slice(int Start, int Length)
{
    internal bool IsEmpty => Length == 0;

    internal ReadOnlySpan<byte> Of(ReadOnlySpan<byte> head) => head.Slice(Start, Length);
}

/// <summary>The request line, and those fields that weave looks at.</summary>
internal struct RequestHead
{
    /// <summary>Bytes of the head, with the empty line.</summary>
    internal int Length;

    internal Method Method;

    /// <summary>0 or 1: HTTP/1.0 or HTTP/1.1.</summary>
    internal byte MinorVersion;

    /// <summary>Whether the client wants to go on after this request.</summary>
    internal bool KeepAlive;

    internal bool IsChunked;

    /// <summary>Whether the client waits for 100 (Continue) before it sends the body.</summary>
    internal bool ExpectsContinue;

    /// <summary>Bytes of the body, or -1 if no field says so.</summary>
    internal long ContentLength;

    /// <summary>The whole first line, for the access log.</summary>
    internal Slice RequestLine;

    /// <summary>The target's path, as sent; empty for OPTIONS * and CONNECT.</summary>
    internal Slice Path;

    /// <summary>What follows the path, with its question mark.</summary>
    internal Slice Query;

    internal Slice Host;

    internal Slice Range;

    internal Slice IfMatch;

    internal Slice IfNoneMatch;

    internal Slice IfModifiedSince;

    internal Slice IfUnmodifiedSince;

    internal Slice IfRange;

    internal Slice Referer;

    internal Slice UserAgent;

    internal readonly bool HasBody => IsChunked || ContentLength > 0;
}
