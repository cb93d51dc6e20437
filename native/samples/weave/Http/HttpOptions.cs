using Weave.Http.Parsing;

namespace Weave.Http;

/// <summary>How long the HTTP server waits, and how much it takes.</summary>
internal sealed record HttpOptions
{
    internal HeadLimits Head { get; init; } = new();

    /// <summary>Bytes of a request's body.</summary>
    internal long Body { get; init; } = 16 * 1024 * 1024;

    /// <summary>Requests on one connection.</summary>
    internal long Requests { get; init; } = long.MaxValue;

    /// <summary>From a head's first byte to its last.</summary>
    internal TimeSpan HeadTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>For each 64 KB, of a request's body or of what is sent: slower peers are left.</summary>
    internal TimeSpan TransferTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>From one request to the next.</summary>
    internal TimeSpan IdleTime { get; init; } = TimeSpan.FromSeconds(60);
}
