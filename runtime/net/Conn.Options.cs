// Ends, deadlines and options of a connection.

using System.Net;
using System.Net.Sockets;
using Weft.Runtime;

namespace Weft;

public sealed unsafe partial class Conn
{
    /// <summary>This side's address; null for a unix socket without a name, and after the close.</summary>
    public EndPoint? LocalEndPoint
    {
        get
        {
            if (!_descriptor.AddReference())
            {
                return null;
            }
            byte* raw = stackalloc byte[RawAddress.MaxLength];
            int length = RawAddress.MaxLength;
            nint error = Os.LocalAddress(_descriptor.Number, raw, &length);
            _descriptor.Release();
            return error == 0 ? RawAddress.Read(new ReadOnlySpan<byte>(raw, length)) : null;
        }
    }

    /// <summary>The peer's address, as it was when the connection came about; null for a unix socket without
    /// a name.</summary>
    public EndPoint? RemoteEndPoint => RawAddress.Read(((ReadOnlySpan<byte>)_peer)[.._peerLength]);

    /// <summary>Whether small writes go out at once (TCP_NODELAY). On unless it is set; only for TCP.
    /// </summary>
    /// <exception cref="SocketException">The system refuses it.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public bool NoDelay
    {
        get
        {
            int value = 0;
            Use("get no-delay", fd => Os.GetOption(fd, Posix.IPPROTO_TCP, Posix.TCP_NODELAY, out value));
            return value != 0;
        }

        set => Use(
            "set no-delay", fd => Os.SetOption(fd, Posix.IPPROTO_TCP, Posix.TCP_NODELAY, value ? 1 : 0));
    }

    /// <summary>Sets how long a TCP connection is silent before the system asks the peer whether it is still
    /// there, and how often it asks again. 15 s unless it is set. Go: SetKeepAliveConfig.</summary>
    /// <param name="period">1 s or more, in whole seconds; zero turns it off.</param>
    /// <exception cref="SocketException">The system refuses it.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void SetKeepAlive(TimeSpan period) => Use(
        "set keep-alive", fd => Net.SetKeepAlive(fd, (int)Math.Clamp(period.TotalSeconds, 0, 32767)));

    /// <summary>Sets what a close does with data that the peer has not confirmed. Go: SetLinger.</summary>
    /// <param name="time">Null, the default: sends it in the background. Zero: drops it and resets the
    /// connection. Else: sends it for that many whole seconds, then drops it; the close waits for that.
    /// </param>
    /// <exception cref="SocketException">The system refuses it.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void SetLinger(TimeSpan? time) => Use(
        "set linger", fd => Os.SetLinger(fd, time != null, (int)(time?.TotalSeconds ?? 0)));

    /// <summary>When reads and writes stop waiting, those under way too. It stays in force until it is set
    /// again. Go: SetDeadline.</summary>
    /// <param name="fromNow">Zero or less: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</param>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void SetDeadline(TimeSpan fromNow)
    {
        long when = Net.Deadline(fromNow);
        SetDeadline(PollMode.Read, when);
        SetDeadline(PollMode.Write, when);
    }

    /// <summary>The same for reads only. Moving it to a later time, again and again, is cheap.</summary>
    /// <param name="fromNow">See <see cref="SetDeadline(TimeSpan)"/>.</param>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void SetReadDeadline(TimeSpan fromNow) => SetDeadline(PollMode.Read, Net.Deadline(fromNow));

    /// <summary>The same for writes only.</summary>
    /// <param name="fromNow">See <see cref="SetDeadline(TimeSpan)"/>.</param>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void SetWriteDeadline(TimeSpan fromNow) => SetDeadline(PollMode.Write, Net.Deadline(fromNow));

    /// <summary>Ends this side: the peer reads the rest, then the end. Reading goes on. Go: CloseWrite.
    /// </summary>
    /// <exception cref="SocketException">The peer is gone already.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void CloseWrite() => Use("close write", fd => Os.ShutDown(fd, Posix.SHUT_WR));

    /// <summary>Reads find the end from now on. Writing goes on. Go: CloseRead.</summary>
    /// <exception cref="SocketException">The peer is gone already.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public void CloseRead() => Use("close read", fd => Os.ShutDown(fd, Posix.SHUT_RD));

    private void SetDeadline(PollMode mode, long when)
    {
        nint error = _descriptor.SetDeadline(mode, when);
        if (error < 0)
        {
            throw NetError.Of(error, "set deadline");
        }
    }

    private void Use(string what, Func<int, nint> call)
    {
        if (!_descriptor.AddReference())
        {
            throw NetError.Of(Descriptor.ErrorClosed, what);
        }
        nint error = call(_descriptor.Number);
        _descriptor.Release();
        if (error < 0)
        {
            throw NetError.Of(error, what);
        }
    }
}
