// Which handler answers what. With a directory: its files, and /metrics. Without one: a fixed text for
// benchmarks, and /echo, which sends a request's body back.

namespace Weave.Http.Handlers;

internal sealed class Router(Metrics metrics, Handler? files) : Handler
{
    private readonly Hello _hello = new();
    private readonly BodyEcho _echo = new();
    private readonly NotFound _notFound = new();

    internal override void Handle(Exchange exchange) => HandlerFor(exchange.Text(exchange.Head.Path)).Handle(exchange);

    private Handler HandlerFor(ReadOnlySpan<byte> path)
    {
        if (path.SequenceEqual("/metrics"u8))
        {
            return metrics;
        }

        return files
            ?? (path.Length <= 1 ? _hello : path.SequenceEqual("/echo"u8) ? _echo : _notFound);
    }

    private sealed class NotFound : Handler
    {
        internal override void Handle(Exchange exchange) => exchange.Error(404);
    }
}
