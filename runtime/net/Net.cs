// Listen and Dial: the beginning of every connection.

using System.Net;
using System.Net.Sockets;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// TCP, UDP and unix sockets for goroutines: an operation that has to wait parks its goroutine on the network
/// poller, at no cost to a thread. Ordinary threads may call all of it too; they block. Go: package net.
/// </summary>
/// <remarks>
/// Networks are "tcp", "tcp4", "tcp6" and "unix" for streams; "udp", "udp4", "udp6" and "unixgram" for
/// datagrams. Addresses are Go's: "127.0.0.1:80", "[::1]:80", "localhost:80", ":80" (all of this host to
/// listen on; this host to dial), for unix a path, or "@name" in Linux's abstract space. Ports are numbers;
/// to listen on port 0 takes a free one.
/// </remarks>
public static unsafe class Net
{
    private const int Backlog = 65535; // The kernel has its own limit, net.core.somaxconn.
    private const int KeepAliveSeconds = 15;
    private const int SelfConnects = 3;

    /// <summary>Waits for connections at an address. TCP connections that come from it have no delay and keep
    /// alive, as in Go. Go: net.Listen.</summary>
    /// <param name="network">tcp, tcp4, tcp6 or unix.</param>
    /// <param name="address">Where; see the remarks of <see cref="Net"/>. Of a name's addresses, the first
    /// that works.</param>
    /// <returns>The listener, to be closed by its owner.</returns>
    /// <exception cref="ArgumentException">Network or address cannot be understood.</exception>
    /// <exception cref="SocketException">The system refuses it (AddressAlreadyInUse, AccessDenied), or the
    /// name is not known.</exception>
    public static Listener Listen(string network, string address)
    {
        NetAddress parsed = NetAddress.Parse(network, streams: true);
        if (!parsed.IsStream)
        {
            throw new ArgumentException(
                $"'{network}' has no connections; use ListenPacket.", nameof(network));
        }
        string what = $"listen {network} {address}";
        nint error = -Posix.EINVAL;
        foreach (EndPoint endPoint in parsed.Resolve(address, listens: true))
        {
            error = OpenSocket(parsed, endPoint, bind: true, out Descriptor descriptor);
            if (error == 0)
            {
                error = Os.Listen(descriptor.Number, Backlog);
                if (error == 0)
                {
                    return new Listener(descriptor, network, what);
                }
                _ = descriptor.Close();
            }
        }
        throw NetError.Of(error, what);
    }

    /// <summary>Makes a connection in memory, synchronous and without a buffer: what is written to one end is
    /// read from the other. Made in a bubble of <c>WeftTest.Run</c>, its waits are durable and its deadlines
    /// go by the bubble's clock. Go: net.Pipe.</summary>
    /// <returns>Its two ends.</returns>
    public static (PipeConn First, PipeConn Second) Pipe() => PipeConn.Make();

    /// <summary>Connects. Of a name's addresses, the first that answers. Go: Dialer.DialContext.</summary>
    /// <param name="network">Any of the networks. With udp and unixgram each read and write is one datagram,
    /// to and from that address only.</param>
    /// <param name="address">To where; see the remarks of <see cref="Net"/>.</param>
    /// <param name="token">Ends the attempt. A look-up of the name that is under way goes on without the
    /// caller, in a goroutine of its own.</param>
    /// <returns>The connection, to be closed by its owner.</returns>
    /// <exception cref="ArgumentException">Network or address cannot be understood.</exception>
    /// <exception cref="SocketException">Nobody answers (ConnectionRefused, TimedOut, HostUnreachable), or
    /// the name is not known (HostNotFound).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static Conn Dial(string network, string address, CancellationToken token = default) =>
        Dial(network, address, TimerNode.Never, token);

    /// <summary>The same, until the context ends.</summary>
    /// <param name="context">Ends the attempt.</param>
    /// <param name="network">Any of the networks.</param>
    /// <param name="address">To where.</param>
    /// <returns>The connection.</returns>
    /// <exception cref="SocketException">Nobody answers.</exception>
    /// <exception cref="OperationCanceledException">The context was cancelled, or its deadline passed.
    /// </exception>
    public static Conn Dial(Context context, string network, string address)
    {
        ArgumentNullException.ThrowIfNull(context);
        return Dial(network, address, TimerNode.Never, context.Token);
    }

    /// <summary>The same, for that long at the most. Go: net.DialTimeout.</summary>
    /// <param name="network">Any of the networks.</param>
    /// <param name="address">To where.</param>
    /// <param name="timeout">For the look-up and all addresses of the name together.</param>
    /// <returns>The connection.</returns>
    /// <exception cref="SocketException">Nobody answers; TimedOut when the time is up.</exception>
    public static Conn Dial(string network, string address, TimeSpan timeout) =>
        Dial(network, address, Deadline(timeout), default);

    /// <summary>Receives datagrams at an address, and sends them from there. Go: net.ListenPacket.</summary>
    /// <param name="network">udp, udp4, udp6 or unixgram.</param>
    /// <param name="address">Where; see the remarks of <see cref="Net"/>.</param>
    /// <returns>The socket, to be closed by its owner.</returns>
    /// <exception cref="ArgumentException">Network or address cannot be understood.</exception>
    /// <exception cref="SocketException">The system refuses it, or the name is not known.</exception>
    public static PacketConn ListenPacket(string network, string address)
    {
        NetAddress parsed = NetAddress.Parse(network, streams: false);
        string what = $"listen {network} {address}";
        nint error = -Posix.EINVAL;
        foreach (EndPoint endPoint in parsed.Resolve(address, listens: true))
        {
            error = OpenSocket(parsed, endPoint, bind: true, out Descriptor descriptor);
            if (error == 0)
            {
                _ = Os.SetOption(descriptor.Number, Posix.SOL_SOCKET, Posix.SO_BROADCAST, 1);
                return new PacketConn(descriptor, network, RawAddress.Family(endPoint));
            }
        }
        throw NetError.Of(error, what);
    }

    /// <summary>A time of Os.NowNs from a time span; Never for an infinite one.</summary>
    internal static long Deadline(TimeSpan fromNow) =>
        fromNow == Timeout.InfiniteTimeSpan ? TimerNode.Never
        : fromNow <= TimeSpan.Zero ? 0
        : Scheduler.TimeAfter(Alarm.Nanoseconds(fromNow));

    /// <summary>What Go sets for every TCP connection.</summary>
    internal static void SetTcpDefaults(int fd)
    {
        _ = Os.SetOption(fd, Posix.IPPROTO_TCP, Posix.TCP_NODELAY, 1);
        SetKeepAlive(fd, KeepAliveSeconds);
    }

    internal static nint SetKeepAlive(int fd, int seconds)
    {
        nint error = Os.SetOption(fd, Posix.SOL_SOCKET, Posix.SO_KEEPALIVE, seconds > 0 ? 1 : 0);
        if (error == 0 && seconds > 0)
        {
            _ = Os.SetOption(fd, Posix.IPPROTO_TCP, Posix.TCP_KEEPIDLE, seconds);
            _ = Os.SetOption(fd, Posix.IPPROTO_TCP, Posix.TCP_KEEPINTVL, seconds);
        }
        return error;
    }

    private static DescriptorKind Kind(bool isStream, int family) =>
        !isStream ? DescriptorKind.Datagrams
        : family == Posix.AF_UNIX ? DescriptorKind.Other
        : DescriptorKind.Tcp;

    /// <summary>The deadline is a time of Os.NowNs.</summary>
    internal static Conn Dial(string network, string address, long deadline, CancellationToken token)
    {
        NetAddress parsed = NetAddress.Parse(network, streams: true);
        CancelCause.ThrowIfCancelled(token);
        string what = $"dial {network} {address}";
        nint error = -Posix.EINVAL;
        foreach (EndPoint endPoint in parsed.Resolve(address, listens: false, deadline, token))
        {
            for (int attempt = 0; attempt < SelfConnects; attempt++)
            {
                error = Connect(parsed, endPoint, deadline, token, out Conn? conn);
                if (conn != null)
                {
                    return conn;
                }
                if (error != 0)
                {
                    break; // 0: it got itself, by chance.
                }
                error = -Posix.ECONNREFUSED;
            }
            if (error is Descriptor.ErrorCancelled or Descriptor.ErrorExpired)
            {
                break;
            }
        }
        throw NetError.OfWait(error, what, token);
    }

    private static nint Connect(
        NetAddress parsed, EndPoint endPoint, long deadline, CancellationToken token, out Conn? conn)
    {
        conn = null;
        nint error = OpenSocket(parsed, endPoint, bind: false, out Descriptor descriptor);
        if (error != 0)
        {
            return error;
        }
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.Write(
            endPoint, RawAddress.Family(endPoint), new Span<byte>(raw, RawAddress.MaxLength));
        if (deadline != TimerNode.Never)
        {
            _ = descriptor.SetDeadline(PollMode.Write, deadline);
        }
        error = descriptor.Connect(raw, length, token);
        if (error == 0 && IsSelf(parsed, descriptor.Number))
        {
            _ = descriptor.Close();
            return 0;
        }
        if (error != 0)
        {
            _ = descriptor.Close();
            return error;
        }
        if (deadline != TimerNode.Never)
        {
            _ = descriptor.SetDeadline(PollMode.Write, TimerNode.Never);
        }
        conn = new Conn(descriptor, parsed.Network, new ReadOnlySpan<byte>(raw, length));
        return 0;
    }

    /// <summary>A socket that dials a free port of this host may be given that very port for its own end, and
    /// connect to itself.</summary>
    private static bool IsSelf(NetAddress parsed, int fd)
    {
        if (!parsed.IsStream || parsed.Only == AddressFamily.Unix)
        {
            return false;
        }
        byte* local = stackalloc byte[RawAddress.MaxLength];
        byte* peer = stackalloc byte[RawAddress.MaxLength];
        int localLength = RawAddress.MaxLength;
        int peerLength = RawAddress.MaxLength;
        ReadOnlySpan<byte> mine = new(local, RawAddress.MaxLength);
        return Os.LocalAddress(fd, local, &localLength) == 0 && Os.PeerAddress(fd, peer, &peerLength) == 0
            && mine[..localLength].SequenceEqual(new ReadOnlySpan<byte>(peer, peerLength));
    }

    /// <summary>A socket with the options that Go sets; bound where it is to listen.</summary>
    private static nint OpenSocket(
        NetAddress parsed, EndPoint endPoint, bool bind, out Descriptor descriptor)
    {
        descriptor = null!;
        int family = RawAddress.Family(endPoint);
        byte* raw = stackalloc byte[RawAddress.MaxLength];
        int length = RawAddress.Write(endPoint, family, new Span<byte>(raw, RawAddress.MaxLength));
        nint fd = Os.Socket(family, parsed.SocketType);
        if (fd < 0)
        {
            return fd;
        }
        if (family == Posix.AF_INET6)
        {
            bool all = parsed.Only == AddressFamily.Unspecified
                && ((IPEndPoint)endPoint).Address.Equals(IPAddress.IPv6Any);
            _ = Os.SetOption((int)fd, Posix.IPPROTO_IPV6, Posix.IPV6_V6ONLY, all ? 0 : 1);
        }
        if (parsed.IsStream && family != Posix.AF_UNIX)
        {
            SetTcpDefaults((int)fd); // What a listener accepts inherits them.
            _ = bind ? Os.SetOption((int)fd, Posix.SOL_SOCKET, Posix.SO_REUSEADDR, 1) : 0;
        }
        nint error = bind ? Os.Bind((int)fd, raw, length) : 0;
        error = error < 0
            ? error
            : Descriptor.Open((int)fd, Kind(parsed.IsStream, family), false, false, null, out descriptor);
        if (error < 0)
        {
            _ = Os.CloseFile((int)fd);
        }
        return error;
    }
}
