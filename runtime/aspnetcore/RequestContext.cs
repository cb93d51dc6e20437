// The Context of one request, kept with it as a feature. The token of RequestAborted is not enough: it is
// never cancelled by the end of the request, and the server uses its source for the next one.

namespace Weft.AspNetCore;

internal sealed class RequestContext : IDisposable
{
    private readonly Action _cancel;

    internal RequestContext(CancellationToken aborted) =>
        (Context, _cancel) = Context.FromToken(aborted).WithCancel();

    internal Context Context { get; }

    /// <summary>The request has ended.</summary>
    public void Dispose() => _cancel();
}
