// Kestrel's door to the sockets: asked for each address that the server is to listen at. What it does not
// take goes to the transport that was registered before it, Kestrel's own.

using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Weft.AspNetCore;

internal sealed class SocketTransport(IMemoryPoolFactory<byte> pools, ILoggerFactory logs)
    : IConnectionListenerFactory, IConnectionListenerFactorySelector
{
    private readonly ILogger _log = logs.CreateLogger("Weft.AspNetCore.Connections");

    public bool CanBind(EndPoint endpoint) => endpoint is IPEndPoint || Path(endpoint) != null;

    public ValueTask<IConnectionListener> BindAsync(
        EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        MemoryPool<byte> pool = pools.Create(new MemoryPoolOptions { Owner = "kestrel" });
        return new(new SocketListener(Listen(endpoint), endpoint, pool, _log));
    }

    private static Listener Listen(EndPoint endpoint)
    {
        try
        {
            return endpoint is IPEndPoint address
                ? Net.Listen("tcp", address.ToString())
                : Net.Listen("unix", Path(endpoint)!);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            throw new AddressInUseException(e.Message, e);
        }
    }

    private static string? Path(EndPoint endpoint) =>
        endpoint is UnixDomainSocketEndPoint ? endpoint.ToString() : null;
}
