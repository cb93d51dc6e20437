using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;
using Weft;

namespace Weave.Serve;

/// <summary>The bytes themselves.</summary>
internal sealed class PlainTransport(Conn conn) : Transport
{
    internal override bool CanWake => true;

    internal override string Peer => conn.RemoteEndPoint?.ToString() is { Length: > 0 } peer ? peer : "-";

    internal override bool CanSendFile => true;

    internal override bool WaitReadable() => conn.WaitReadable() != SocketError.TimedOut;

    internal override int Read(Span<byte> buffer)
    {
        SocketError error = conn.TryRead(buffer, out int count);
        return error switch
        {
            SocketError.Success => count,
            SocketError.TimedOut => throw new TimeoutException(),
            _ => throw Failed(error),
        };
    }

    internal override void Write(ReadOnlySpan<byte> bytes)
    {
        SocketError error = conn.TryWrite(bytes);
        if (error != SocketError.Success)
        {
            throw Failed(error);
        }
    }

    internal override long SendFile(SafeFileHandle file, long offset, long length) =>
        conn.SendFile(file, offset, length);

    internal override void CloseWrite()
    {
        try
        {
            conn.CloseWrite();
        }
        catch (SocketException e)
        {
            throw Failed(e.SocketErrorCode);
        }
    }

    internal override void Wake() => conn.SetReadDeadline(TimeSpan.Zero);

    internal override void WakeAfter(TimeSpan time) => conn.SetReadDeadline(time);

    internal override void Resume() => conn.SetReadDeadline(Timeout.InfiniteTimeSpan);

    internal override void Abort() => conn.SetDeadline(TimeSpan.Zero);

    public override void Dispose() => conn.Dispose();

    private static IOException Failed(SocketError error) => new("The connection broke.", new SocketException((int)error));
}
