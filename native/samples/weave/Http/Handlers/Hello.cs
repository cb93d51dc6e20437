namespace Weave.Http.Handlers;

/// <summary>A short text, to measure the server by.</summary>
internal sealed class Hello : Handler
{
    internal override void Handle(Exchange exchange)
    {
        if (Common.IsRead(exchange))
        {
            exchange.Respond(200, "text/plain; charset=utf-8"u8, "Hello, World!"u8);
        }
    }
}
