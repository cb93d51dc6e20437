using Weave.Http.Parsing;

namespace Weave.Http.Handlers;

/// <summary>Sends the body of a POST back while it arrives.</summary>
internal sealed class BodyEcho : Handler
{
    internal override void Handle(Exchange exchange)
    {
        if (exchange.Head.Method != Method.Post)
        {
            Common.Decline(exchange, "POST, OPTIONS"u8);
            return;
        }

        // The first piece before the head: what is wrong with the body can be said with a status then.
        Span<byte> buffer = exchange.Scratch;
        int count = exchange.ReadBody(buffer);
        exchange.Begin(200);
        exchange.Field("Content-Type: "u8, "application/octet-stream"u8);
        exchange.EndHeadOfStream();
        for (; count > 0; count = exchange.ReadBody(buffer))
        {
            exchange.StreamPiece(buffer[..count]);
        }

        exchange.EndStream();
    }
}
