using System.Net;
using System.Net.Sockets;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A socket for datagrams, from and to anybody. One may receive and one send at the same time; further ones
/// wait in line. Goroutines park, ordinary threads block. Go: net.PacketConn.
/// </summary>
public sealed unsafe class PacketConn : IDisposable
{
    private readonly Descriptor _descriptor;
    private readonly string _network;
    private readonly int _family;
    private readonly EndPoint? _address;

    internal PacketConn(Descriptor descriptor, string network, int family)
    {
        _descriptor = descriptor;
        _network = network;
        _family = family;
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.MaxLength;
        if (Os.LocalAddress(descriptor.Number, raw, &length) == 0)
        {
            _address = RawAddress.Read(new ReadOnlySpan<byte>(raw, length));
        }
    }

    /// <summary>For the C face.</summary>
    internal Descriptor Descriptor => _descriptor;

    internal int Family => _family;

    /// <summary>Its address, with the port that it was given.</summary>
    public EndPoint? LocalEndPoint => _address;

    /// <summary>Waits for the next datagram. Go: ReadFrom.</summary>
    /// <param name="buffer">Where to. What does not fit is lost.</param>
    /// <param name="from">Who sent it; null for a unix socket without a name.</param>
    /// <param name="token">Ends the wait.</param>
    /// <returns>How many bytes.</returns>
    /// <exception cref="SocketException">TimedOut: the deadline has passed. Else what the system says.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public int ReceiveFrom(Span<byte> buffer, out EndPoint? from, CancellationToken token = default)
    {
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.MaxLength;
        nint count = _descriptor.ReceiveFrom(buffer, raw, &length, tries: false, token);
        if (count < 0)
        {
            throw NetError.OfWait(count, "receive " + _network, token);
        }
        from = RawAddress.Read(new ReadOnlySpan<byte>(raw, Math.Min(length, RawAddress.MaxLength)));
        return (int)count;
    }

    /// <summary>Sends one datagram. Go: WriteTo.</summary>
    /// <param name="buffer">What.</param>
    /// <param name="to">To whom: an IPEndPoint, or a UnixDomainSocketEndPoint.</param>
    /// <exception cref="ArgumentNullException">There is no address.</exception>
    /// <exception cref="ArgumentException">The address is of another family than the socket.</exception>
    /// <exception cref="SocketException">MessageSize: it is too long for a datagram. Else what the system
    /// says.</exception>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    public void SendTo(ReadOnlySpan<byte> buffer, EndPoint to)
    {
        ArgumentNullException.ThrowIfNull(to);
        int family = RawAddress.Family(to);
        if (family != _family && !(family == Posix.AF_INET && _family == Posix.AF_INET6))
        {
            throw new ArgumentException($"{to} is no address for a socket of {_network}.", nameof(to));
        }
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.Write(to, _family, new Span<byte>(raw, RawAddress.MaxLength));
        nint result = _descriptor.SendTo(buffer, raw, length);
        if (result < 0)
        {
            throw NetError.Of(result, $"send {_network} {to}");
        }
    }

    /// <summary>When receiving and sending stop waiting, those under way too.</summary>
    /// <param name="fromNow">Zero or less: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</param>
    /// <exception cref="ObjectDisposedException">The socket is closed.</exception>
    public void SetDeadline(TimeSpan fromNow)
    {
        long when = Net.Deadline(fromNow);
        nint error = _descriptor.SetDeadline(PollMode.Read, when);
        error = error == 0 ? _descriptor.SetDeadline(PollMode.Write, when) : error;
        if (error < 0)
        {
            throw NetError.Of(error, "set deadline");
        }
    }

    /// <summary>Closes it, and removes the file of a unix socket. Who waits in it gets
    /// ObjectDisposedException. May be called more than once.</summary>
    public void Close()
    {
        if (_descriptor.Close() && _network == "unixgram" && _address != null
            && RawAddress.PathOf(_address) is string path && !path.StartsWith('@'))
        {
            File.Delete(path);
        }
    }

    /// <summary>The same as <see cref="Close"/>.</summary>
    public void Dispose() => Close();
}
