using System.Net;
using System.Net.Sockets;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Takes connections at an address. Any number of goroutines and threads may use it at once; those that
/// accept are served in order. Go: net.Listener.
/// </summary>
public sealed unsafe class Listener : IDisposable
{
    private readonly Descriptor _descriptor;
    private readonly string _network;
    private readonly string _what;
    private readonly EndPoint? _address;

    internal Listener(Descriptor descriptor, string network, string what)
    {
        _descriptor = descriptor;
        _network = network;
        _what = what;
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.MaxLength;
        if (Os.LocalAddress(descriptor.Number, raw, &length) == 0)
        {
            _address = RawAddress.Read(new ReadOnlySpan<byte>(raw, length));
        }
    }

    /// <summary>For the C face.</summary>
    internal Descriptor Descriptor => _descriptor;

    /// <summary>Where it listens, with the port that it was given: an IPEndPoint, or a
    /// UnixDomainSocketEndPoint.</summary>
    public EndPoint? Address => _address;

    /// <summary>The port it listens on; 0 for unix.</summary>
    public int Port => (_address as IPEndPoint)?.Port ?? 0;

    /// <summary>Waits for the next connection. Go: Accept.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>The connection, to be closed by the caller.</returns>
    /// <exception cref="ObjectDisposedException">The listener is closed, perhaps while this call waited.
    /// </exception>
    /// <exception cref="SocketException">TimedOut: the deadline has passed. TooManyOpenSockets: the process
    /// or the system is out of descriptors; the connection stays in line, and a later call gets it: wait a
    /// little and try again.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public Conn Accept(CancellationToken token = default) => Accept(tries: false, token)!;

    /// <summary>The same without a wait; null where it would take one. For the C face.</summary>
    internal Conn? TryAccept() => Accept(tries: true, CancellationToken.None);

    private Conn? Accept(bool tries, CancellationToken token)
    {
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.MaxLength;
        nint fd = _descriptor.Accept(raw, &length, tries, token);
        nint error = fd;
        if (tries && fd == -Posix.EAGAIN)
        {
            return null;
        }
        if (fd >= 0)
        {
            error = Descriptor.Open(
                (int)fd, _descriptor.Kind, false, false, null, out Descriptor descriptor);
            if (error >= 0)
            {
                return new Conn(descriptor, _network, new ReadOnlySpan<byte>(raw, length));
            }
            _ = Os.CloseFile((int)fd);
        }
        throw NetError.OfWait(error, _what.Replace("listen", "accept"), token);
    }

    /// <summary>The same, until the context ends.</summary>
    /// <param name="context">Ends the wait.</param>
    /// <returns>The connection.</returns>
    public Conn Accept(Context context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return Accept(context.Token);
    }

    /// <summary>When <see cref="Accept(CancellationToken)"/> stops waiting, from now on; a wait that is under
    /// way too. Go: SetDeadline.</summary>
    /// <param name="fromNow">Zero or less: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</param>
    /// <exception cref="ObjectDisposedException">The listener is closed.</exception>
    public void SetDeadline(TimeSpan fromNow)
    {
        nint error = _descriptor.SetDeadline(PollMode.Read, Net.Deadline(fromNow));
        if (error < 0)
        {
            throw NetError.Of(error, _what);
        }
    }

    /// <summary>Stops listening, and removes the file of a unix socket. Those who wait in Accept get
    /// ObjectDisposedException; connections taken before stay. When it returns, the address is free. May be
    /// called more than once, at any time.</summary>
    public void Close()
    {
        if (!_descriptor.Close() || _network != "unix" || _address == null)
        {
            return;
        }
        string path = RawAddress.PathOf(_address);
        if (!path.StartsWith('@'))
        {
            File.Delete(path);
        }
    }

    /// <summary>The same as <see cref="Close"/>.</summary>
    public void Dispose() => Close();
}
