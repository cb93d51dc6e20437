// TLS by .NET's SslStream, with its synchronous methods: they park the goroutine, because the stream below
// them is a Conn. The handshake is the connection's own first wait, so that a slow client holds up nobody.

using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Win32.SafeHandles;
using Weft;

namespace Weave.Serve;

internal sealed class TlsTransport(Conn conn, SslServerAuthenticationOptions options) : Transport
{
    private readonly SslStream _stream = new(conn, leaveInnerStreamOpen: false);

    // A wait that ends within a record could not be gone on with.
    internal override bool CanWake => false;

    internal override string Peer => conn.RemoteEndPoint?.ToString() is { Length: > 0 } peer ? peer : "-";

    internal override bool CanSendFile => false;

    /// <summary>What all connections share.</summary>
    internal static SslServerAuthenticationOptions Load(TlsFiles files)
    {
        X509Certificate2 certificate = X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = SslStreamCertificateContext.Create(certificate, null, offline: true),
        };
    }

    internal override bool WaitReadable()
    {
        Authenticate();
        try
        {
            _ = _stream.Read([]);
            return true;
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            return false;
        }
    }

    internal override int Read(Span<byte> buffer)
    {
        try
        {
            return _stream.Read(buffer);
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.TimedOut })
        {
            throw new TimeoutException(e.Message, e);
        }
    }

    internal override void Write(ReadOnlySpan<byte> bytes) => _stream.Write(bytes);

    internal override long SendFile(SafeFileHandle file, long offset, long length) =>
        throw new NotSupportedException();

    internal override void CloseWrite()
    {
        Weft.Go.Await(_stream.ShutdownAsync());
        try
        {
            conn.CloseWrite();
        }
        catch (SocketException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    internal override void Wake() => conn.SetReadDeadline(TimeSpan.Zero);

    internal override void WakeAfter(TimeSpan time) => conn.SetReadDeadline(time);

    internal override void Resume() => conn.SetReadDeadline(Timeout.InfiniteTimeSpan);

    internal override void Abort() => conn.SetDeadline(TimeSpan.Zero);

    public override void Dispose() => _stream.Dispose();

    private void Authenticate()
    {
        if (_stream.IsAuthenticated)
        {
            return;
        }

        try
        {
            _stream.AuthenticateAsServer(options);
        }
        catch (AuthenticationException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
