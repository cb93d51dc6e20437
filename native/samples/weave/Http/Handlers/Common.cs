using Weave.Http.Parsing;

namespace Weave.Http.Handlers;

internal static class Common
{
    private static ReadOnlySpan<byte> ReadMethods => "GET, HEAD, OPTIONS"u8;

    /// <summary>Whether it is GET or HEAD; anything else is answered.</summary>
    internal static bool IsRead(Exchange exchange)
    {
        if (exchange.Head.Method is Method.Get or Method.Head)
        {
            return true;
        }

        Decline(exchange, ReadMethods);
        return false;
    }

    /// <summary>Answers OPTIONS, and methods that are not allowed or not known.</summary>
    internal static void Decline(Exchange exchange, ReadOnlySpan<byte> allowed)
    {
        switch (exchange.Head.Method)
        {
            case Method.Unknown:
                exchange.Error(501);
                break;
            case Method.Options:
                exchange.Begin(204);
                exchange.Field("Allow: "u8, allowed);
                exchange.EndHead();
                break;
            default:
                exchange.NotAllowed(allowed);
                break;
        }
    }
}
