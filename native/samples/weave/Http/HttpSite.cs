// What all connections of an HTTP server share.

using System.Globalization;
using System.Text;
using Weft;

namespace Weave.Http;

internal sealed class HttpSite
{
    private byte[] _commonFields = [];
    private long _dateSecond;

    internal HttpSite(HttpOptions options, Handler handler, AccessLog? log)
    {
        Options = options;
        Handler = handler;
        Log = log;
        Exchanges = new Pool<Exchange>(() => new Exchange(this));
        Tick();
    }

    internal HttpOptions Options { get; }

    internal Handler Handler { get; }

    internal AccessLog? Log { get; }

    internal Pool<Exchange> Exchanges { get; }

    internal HttpCounters Counters { get; } = new();

    /// <summary>The fields of every response: Server and Date. The text is as old as a second.</summary>
    internal ReadOnlySpan<byte> CommonFields => Volatile.Read(ref _commonFields);

    /// <summary>Renews the date, if it is time.</summary>
    internal void Tick()
    {
        DateTime now = DateTime.UtcNow;
        long second = now.Ticks / TimeSpan.TicksPerSecond;
        if (second != _dateSecond)
        {
            _dateSecond = second;
            string date = now.ToString("r", CultureInfo.InvariantCulture);
            Volatile.Write(
                ref _commonFields, Encoding.ASCII.GetBytes($"Server: weave\r\nDate: {date}\r\n"));
        }
    }
}
