// /debug/, as Go's net/http/pprof has it: profiles for `go tool pprof http://ADDR/debug/pprof/goroutine`, and an
// execution trace for ui.perfetto.dev. On a listener of its own (--debug): who can reach it can slow the server
// down, and sees its insides.
//
//   /debug/pprof/                what there is
//   /debug/pprof/goroutine       all goroutines; with ?debug=1 as text
//   /debug/pprof/block, mutex    waits of the next ?seconds=N, 5 if not given, and those counted before
//   /debug/pprof/goroutineleak   those that wait for ever
//   /debug/pprof/trace           what happens in the next ?seconds=N, 1 if not given

using System.Globalization;
using System.Text;
using Weft;

namespace Weave.Http.Handlers;

internal sealed class Debug(Metrics metrics) : Handler
{
    private const int MostSeconds = 60;
    private const long BlockRateNs = 10_000;

    private const string Index = """
        /debug/pprof/goroutine?debug=1
        /debug/pprof/goroutine
        /debug/pprof/goroutineleak
        /debug/pprof/block?seconds=5
        /debug/pprof/mutex?seconds=5
        /debug/pprof/trace?seconds=1
        /metrics

        """;

    internal override void Handle(Exchange exchange)
    {
        string path = Encoding.ASCII.GetString(exchange.Text(exchange.Head.Path));
        if (path == "/metrics")
        {
            metrics.Handle(exchange);
            return;
        }

        if (!Common.IsRead(exchange))
        {
            return;
        }

        string query = Encoding.ASCII.GetString(exchange.Text(exchange.Head.Query));
        switch (path)
        {
            case "/debug/pprof/" or "/debug/pprof":
                Answer(exchange, Index);
                break;
            case "/debug/pprof/goroutine" when Number(query, "debug", 0) > 0:
                using (StringWriter text = new(CultureInfo.InvariantCulture))
                {
                    Go.Dump(text);
                    Answer(exchange, text.ToString());
                }

                break;
            case "/debug/pprof/goroutine":
                Answer(exchange, stream => Go.WriteProfile(GoProfile.Goroutines, stream));
                break;
            case "/debug/pprof/goroutineleak":
                Answer(exchange, stream => Go.WriteProfile(GoProfile.Leaks, stream));
                break;
            case "/debug/pprof/block":
                Answer(exchange, stream => Block(stream, Number(query, "seconds", 5)));
                break;
            case "/debug/pprof/mutex":
                Answer(exchange, stream => Mutexes(stream, Number(query, "seconds", 5)));
                break;
            case "/debug/pprof/trace":
                Trace(exchange, Number(query, "seconds", 1));
                break;
            default:
                exchange.Error(404);
                break;
        }
    }

    private static void Block(Stream stream, int seconds)
    {
        long before = Go.BlockProfileRate;
        Go.BlockProfileRate = BlockRateNs;
        Go.Sleep(TimeSpan.FromSeconds(seconds));
        Go.BlockProfileRate = before;
        Go.WriteProfile(GoProfile.Block, stream);
    }

    private static void Mutexes(Stream stream, int seconds)
    {
        int before = Go.MutexProfileFraction;
        Go.MutexProfileFraction = 1;
        Go.Sleep(TimeSpan.FromSeconds(seconds));
        Go.MutexProfileFraction = before;
        Go.WriteProfile(GoProfile.Mutex, stream);
    }

    private static void Trace(Exchange exchange, int seconds)
    {
        using MemoryStream stream = new();
        try
        {
            Go.StartTrace(stream);
        }
        catch (InvalidOperationException)
        {
            exchange.Error(503); // Another one is being written.
            return;
        }

        Go.Sleep(TimeSpan.FromSeconds(seconds));
        Go.StopTrace();
        Answer(exchange, stream);
    }

    private static void Answer(Exchange exchange, string text) =>
        exchange.Respond(200, "text/plain; charset=utf-8"u8, Encoding.UTF8.GetBytes(text));

    private static void Answer(Exchange exchange, Action<Stream> write)
    {
        using MemoryStream stream = new();
        write(stream);
        Answer(exchange, stream);
    }

    private static void Answer(Exchange exchange, MemoryStream stream) =>
        exchange.Respond(200, "application/octet-stream"u8, stream.GetBuffer().AsSpan(0, (int)stream.Length));

    /// <summary>A number of the query, such as ?seconds=5.</summary>
    private static int Number(string query, string name, int value)
    {
        foreach (string part in query.TrimStart('?').Split('&'))
        {
            if (part.StartsWith(name + "=", StringComparison.Ordinal)
                && int.TryParse(part[(name.Length + 1)..], CultureInfo.InvariantCulture, out int number))
            {
                return Math.Clamp(number, 0, MostSeconds);
            }
        }

        return value;
    }
}
