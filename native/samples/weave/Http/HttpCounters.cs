namespace Weave.Http;

/// <summary>What the server has done so far, for /metrics.</summary>
internal sealed class HttpCounters
{
    private const int Codes = 600;

    private readonly long[] _responses = new long[Codes];
    private long _bytesSent;

    internal long BytesSent => Volatile.Read(ref _bytesSent);

    internal long this[int status] => Volatile.Read(ref _responses[status]);

    /// <summary>The codes sent so far.</summary>
    internal IEnumerable<int> Statuses => Enumerable.Range(0, Codes).Where(code => this[code] > 0);

    internal void AddResponse(int status) => Interlocked.Increment(ref _responses[status]);

    internal void AddBytes(long bytes) => Interlocked.Add(ref _bytesSent, bytes);
}
