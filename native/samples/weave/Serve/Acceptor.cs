// Where connections come from, and the one place where the server's options meet the network.

using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using Weave.Files;
using Weft;

namespace Weave.Serve;

internal sealed class Acceptor(Listener listener, SslServerAuthenticationOptions? tls) : IDisposable
{
    private const string Unix = "unix:";

    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(1);

    /// <summary>Listens, says so on standard output, and serves to the end. Returns the exit code of the
    /// process.</summary>
    internal static int Serve(Server server, ServerOptions options)
    {
        try
        {
            using Acceptor acceptor = Listen(options);
            return server.Run(acceptor);
        }
        catch (Exception e) when (e
            is SocketException or ArgumentException or CryptographicException or IOException
            or UnauthorizedAccessException)
        {
            Output.WriteError($"weave: {e.Message}\n");
            return Commands.Failure;
        }
    }

    internal static Acceptor Listen(ServerOptions options)
    {
        (string network, string address) = Split(options.Address);
        SslServerAuthenticationOptions? tls = options.Tls is null ? null : TlsTransport.Load(options.Tls);
        return new Acceptor(Net.Listen(network, address), tls);
    }

    /// <summary>Connects to an address of the same form.</summary>
    /// <exception cref="IOException">Nobody answers in time, or nobody can.</exception>
    internal static Transport Dial(string target, TimeSpan limit)
    {
        try
        {
            (string network, string address) = Split(target);
            return new PlainTransport(Net.Dial(network, address, limit));
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            throw new IOException(e.Message, e);
        }
    }

    /// <summary>Waits for the next connection; null when the acceptor is disposed. If the system refuses,
    /// which it does when it is out of descriptors or memory, it waits a little and tries again.</summary>
    internal Transport? Accept()
    {
        TimeSpan pause = s_firstPause;
        while (true)
        {
            try
            {
                Conn conn = listener.Accept();
                return tls is null ? new PlainTransport(conn) : new TlsTransport(conn, tls);
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
            catch (SocketException)
            {
                Go.Sleep(pause);
                pause = pause * 2 < s_longestPause ? pause * 2 : s_longestPause;
            }
        }
    }

    public void Dispose() => listener.Dispose();

    /// <summary>Says on standard output where it listens.</summary>
    internal void Announce(string what)
    {
        string where = listener.Address is IPEndPoint endPoint ? endPoint.ToString() : $"{listener.Address}";
        Output output = new(Posix.StandardOutput);
        output.Write(System.Text.Encoding.UTF8.GetBytes($"weave: {what} on {where}\n"));
        output.Flush();
    }

    private static (string Network, string Address) Split(string address) =>
        address.StartsWith(Unix, StringComparison.Ordinal) ? ("unix", address[Unix.Length..]) : ("tcp", address);
}
