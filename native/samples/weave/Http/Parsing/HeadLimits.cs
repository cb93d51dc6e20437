namespace Weave.Http.Parsing;

/// <summary>How much a request's head may have. More is answered with 414 or 431.</summary>
internal sealed record HeadLimits
{
    /// <summary>Bytes of the request line. RFC 9112 wants 8,000 at least.</summary>
    internal int RequestLine { get; init; } = 8 * 1024;

    /// <summary>Bytes of request line and fields together.</summary>
    internal int Head { get; init; } = 16 * 1024;

    internal int Fields { get; init; } = 100;
}
