namespace Weave.Http;

/// <summary>Answers requests.</summary>
internal abstract class Handler
{
    /// <summary>Writes the response of the request in the exchange: a head and a body. The goroutine is
    /// the connection's.</summary>
    internal abstract void Handle(Exchange exchange);
}
