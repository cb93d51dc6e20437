// A server for HttpLoad.cs: it answers each request after a second. Asynchronous, so that all the connections
// cost it two threads. It serves until it is killed.

using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Weft.Bench.Bare;

internal static class HttpServer
{
    private const int Backlog = 4096;
    private static readonly TimeSpan s_delay = TimeSpan.FromSeconds(1);

    /// <summary>Prints the port, and serves.</summary>
    internal static async Task Serve(bool tls)
    {
        using X509Certificate2? certificate = tls ? MakeCertificate() : null;
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(Backlog);
        Console.WriteLine(((IPEndPoint)listener.LocalEndPoint!).Port);
        while (true)
        {
            _ = Answer(await listener.AcceptAsync(), certificate);
        }
    }

    private static async Task Answer(Socket socket, X509Certificate2? certificate)
    {
        try
        {
            await using Stream stream = await Open(socket, certificate);
            byte[] buffer = new byte[4096]; // A request of the load's is shorter, and the next comes after the answer.
            while (await stream.ReadAsync(buffer) > 0)
            {
                await Task.Delay(s_delay);
                await stream.WriteAsync("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"u8.ToArray());
            }
        }
        catch (IOException)
        {
            // The client has gone.
        }
    }

    private static async Task<Stream> Open(Socket socket, X509Certificate2? certificate)
    {
        NetworkStream plain = new(socket, ownsSocket: true);
        if (certificate is null)
        {
            return plain;
        }
        SslStream stream = new(plain);
        await stream.AuthenticateAsServerAsync(certificate);
        return stream;
    }

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
