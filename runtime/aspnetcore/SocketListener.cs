// Where Kestrel takes connections: Weft's Listener.
//
//   goroutine of the listener   Accept, Accept, Accept ... -> channel ->  Kestrel: AcceptAsync
//
// It takes all that are there before it waits. Rejected: an Accept for each AcceptAsync, which takes one
// connection each time that its turn comes: beside 1,000 busy connections the last of 1,000 new ones waited
// for seconds.
//
// Locks: none; Listener serves those who accept in order, and the channel has its own.

using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace Weft.AspNetCore;

internal sealed class SocketListener : IConnectionListener
{
    private const int MostAhead = 512; // Taken before Kestrel asks; the rest waits in the system's line.
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(50);

    private readonly Listener _listener;
    private readonly MemoryPool<byte> _pool;
    private readonly ILogger _log;
    private readonly Channel<Conn> _accepted = Channel.CreateBounded<Conn>(
        new BoundedChannelOptions(MostAhead) { SingleWriter = true });

    internal SocketListener(Listener listener, EndPoint endPoint, MemoryPool<byte> pool, ILogger log)
    {
        _listener = listener;
        _pool = pool;
        _log = log;
        EndPoint = listener.Address ?? endPoint;
        Worker.RunUnflowed(static self => self.AcceptUntilClosed(), this);
    }

    public EndPoint EndPoint { get; }

    /// <summary>The next connection; null when it listens no more.</summary>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (await _accepted.Reader.WaitToReadAsync(cancellationToken))
        {
            if (_accepted.Reader.TryRead(out Conn? conn))
            {
                SocketConnection connection = new(conn, _pool, _log);
                connection.Start();
                return connection;
            }
        }
        return null;
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _listener.Close();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        _listener.Close();
        while (_accepted.Reader.TryRead(out Conn? conn))
        {
            conn.Close();
        }
        return ValueTask.CompletedTask;
    }

    private void AcceptUntilClosed()
    {
        while (true)
        {
            try
            {
                Go.Await(_accepted.Writer.WriteAsync(_listener.Accept()));
            }
            catch (ObjectDisposedException)
            {
                _accepted.Writer.Complete();
                return;
            }
            catch (SocketException e)
            {
                ConnectionLog.AcceptFailed(_log, EndPoint, e);
                Go.Sleep(s_pause); // Out of descriptors: the connection stays in line.
            }
        }
    }
}
