namespace Weave.Serve;

/// <summary>What every server needs to know.</summary>
internal sealed record ServerOptions
{
    internal required string Address { get; init; }

    /// <summary>Null without TLS.</summary>
    internal TlsFiles? Tls { get; init; }

    /// <summary>How long connections have to end after SIGTERM.</summary>
    internal TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Connections at once; more wait to be accepted.</summary>
    internal int Connections { get; init; } = 100_000;

    /// <summary>How often the watch looks: what a deadline may be late.</summary>
    internal TimeSpan WatchPeriod { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>A certificate and its key, as PEM files.</summary>
internal sealed record TlsFiles(string Certificate, string Key);
