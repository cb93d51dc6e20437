// weave echo and weave proxy, and TLS.

using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Weft.Tests;

internal sealed class WeaveServeTests
{
    [Test]
    public async Task WhatIsSentComesBack()
    {
        using WeaveServer server = new("echo");
        byte[] sent = Noise(3_000_000);

        await Assert.That(Talk(server.Connect(), sent).AsSpan().SequenceEqual(sent)).IsTrue();
    }

    [Test]
    public async Task ManyConnectionsEchoAtOnce()
    {
        using WeaveServer server = new("echo");
        byte[][] found = await Task.WhenAll(Enumerable.Range(0, 50).Select(
            i => Task.Run(() => Talk(server.Connect(), Noise(100_000, seed: i)))));

        await Assert.That(found.Select((bytes, i) => bytes.AsSpan().SequenceEqual(Noise(100_000, seed: i))).All(same => same))
            .IsTrue();
    }

    [Test]
    public async Task AProxyCarriesBothDirectionsAndTheirEnds()
    {
        using WeaveServer target = new("echo");
        using WeaveServer proxy = new("proxy", target.Address);
        byte[] sent = Noise(3_000_000);

        // Talk ends its output first: the end must pass through, and the rest come back after it.
        await Assert.That(Talk(proxy.Connect(), sent).AsSpan().SequenceEqual(sent)).IsTrue();

        using WeaveServer http = new("http");
        using WeaveServer second = new("proxy", http.Address);
        await Assert.That(second.Get("/").Body).IsEqualTo("Hello, World!");
    }

    [Test]
    public async Task ATargetThatRefusesEndsTheConnectionOnly()
    {
        int port;
        using (TcpListener free = new(System.Net.IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((System.Net.IPEndPoint)free.LocalEndpoint).Port;
        }

        using WeaveServer proxy = new("proxy", $"127.0.0.1:{port}");
        await Assert.That(proxy.Exchange("hello")).IsEqualTo("");
        await Assert.That(proxy.Exchange("hello")).IsEqualTo("");
        proxy.Signal("TERM");
        ChildResult result = proxy.WaitForExit();
        await Assert.That(result.ExitCode).IsEqualTo(0);
        await Assert.That(result.Error).Contains("refused");
    }

    [Test]
    public async Task AnEndThatDoesNotReadHoldsUpTheOther()
    {
        using TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using WeaveServer proxy = new("proxy", $"{listener.LocalEndpoint}");
        using Socket client = proxy.Connect();
        using Socket target = listener.AcceptSocket();
        client.SendTimeout = 500;
        long before = proxy.Resident;
        byte[] sent = Noise(64_000_000);
        int count = 0;
        try
        {
            while (count < sent.Length)
            {
                count += client.Send(sent.AsSpan(count, Math.Min(100_000, sent.Length - count)));
            }
        }
        catch (SocketException)
        {
            // Nobody takes any more.
        }

        await Assert.That(count).IsLessThan(sent.Length);
        await Assert.That(proxy.Resident - before).IsLessThan(4_000_000);

        // And lets it go on when it reads.
        client.Shutdown(SocketShutdown.Send);
        byte[] found = WeaveServer.ReadToEnd(target);
        await Assert.That(found.AsSpan().StartsWith(sent.AsSpan(0, count))).IsTrue();
    }

    [Test]
    public async Task AResetPassesThroughAProxy()
    {
        using TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using WeaveServer proxy = new("proxy", $"{listener.LocalEndpoint}");
        using Socket client = proxy.Connect();
        using Socket target = listener.AcceptSocket();
        client.LingerState = new LingerOption(true, 0);
        client.Dispose();

        await Assert.That(WeaveServer.ReadToEnd(target)).IsEmpty();
        proxy.Signal("TERM");
        await Assert.That(proxy.WaitForExit().ExitCode).IsEqualTo(0);
    }

    [Test]
    public async Task TlsClientsAreServedByEchoAndHttp()
    {
        using Certificate certificate = new();
        using WeaveServer echo = new("echo", "--tls", certificate.CertificateFile, certificate.KeyFile);
        using WeaveServer http = new("http", "--tls", certificate.CertificateFile, certificate.KeyFile);

        byte[][] found = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(() =>
        {
            using SslStream stream = Authenticate(echo, certificate);
            byte[] bytes = new byte[200_000];
            Task write = stream.WriteAsync(Noise(bytes.Length, seed: i)).AsTask();
            stream.ReadExactly(bytes);
            write.Wait();
            return bytes;
        })));
        await Assert.That(found.Select((bytes, i) => bytes.AsSpan().SequenceEqual(Noise(bytes.Length, seed: i))).All(same => same))
            .IsTrue();

        using SslStream stream = Authenticate(http, certificate);
        stream.Write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"u8);
        using StreamReader reader = new(stream, Encoding.Latin1);
        await Assert.That(string.Concat(HttpAnswer.All(reader.ReadToEnd()).Select(answer => answer.Body)))
            .IsEqualTo("Hello, World!Hello, World!");
    }

    [Test]
    public async Task OpensslIsServed()
    {
        Skip.When(ChildProcess.Execute("sh", ["-c", "command -v openssl"]).ExitCode != 0, "there is no openssl");
        using Certificate certificate = new();
        using WeaveServer http = new("http", "--tls", certificate.CertificateFile, certificate.KeyFile);
        string request = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";
        foreach (string version in new[] { "-tls1_2", "-tls1_3" })
        {
            ChildResult result = ChildProcess.Execute("sh", ["-c",
                $"(printf '{request}'; sleep 0.3) | openssl s_client -connect {http.Address} {version} -quiet "
                + $"-verify_return_error -CAfile {certificate.CertificateFile}"]);

            await Assert.That(result.Output).StartsWith("HTTP/1.1 200 OK\r\n").And.EndsWith("Hello, World!");
        }
    }

    [Test]
    public async Task WhoSpeaksNoTlsIsLeft()
    {
        using Certificate certificate = new();
        using WeaveServer echo = new("echo", "--tls", certificate.CertificateFile, certificate.KeyFile);

        _ = echo.Exchange("GET / HTTP/1.1\r\n\r\n");
        _ = echo.Exchange("");
        using SslStream stream = Authenticate(echo, certificate);
        stream.Write("x"u8);
        await Assert.That(stream.ReadByte()).IsEqualTo('x');
    }

    [Test]
    [Arguments("http", "nowhere")]
    [Arguments("echo", "127.0.0.1:99999")]
    [Arguments("proxy", "unix:", "x")]
    [Arguments("http", "127.0.0.1:0", "--tls", "/nope", "/nope")]
    public async Task WhatCannotBeListenedOnIsAnError(string verb, params string[] args)
    {
        ChildResult result = ChildProcess.Execute(WeaveProgram.Path(), [verb, .. args]);

        await Assert.That(result.ExitCode).IsEqualTo(1).Because(result.ToString());
        await Assert.That(result.Error).StartsWith("weave: ");
        await Assert.That(result.Error.Count(c => c == '\n')).IsEqualTo(1);
    }

    private static byte[] Noise(int length, int seed = 0)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Sends, ends the output, and returns all that comes.</summary>
    private static byte[] Talk(Socket socket, byte[] bytes)
    {
        using (socket)
        {
            Task send = Task.Run(() =>
            {
                WeaveServer.SendAll(socket, bytes);
                socket.Shutdown(SocketShutdown.Send);
            });
            byte[] found = WeaveServer.ReadToEnd(socket);
            send.Wait();
            return found;
        }
    }

    private static SslStream Authenticate(WeaveServer server, Certificate certificate)
    {
        SslStream stream = new(new NetworkStream(server.Connect(), ownsSocket: true));
        X509ChainPolicy policy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
        };
        policy.CustomTrustStore.Add(X509CertificateLoader.LoadCertificateFromFile(certificate.CertificateFile));
        stream.AuthenticateAsClient(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            CertificateChainPolicy = policy,
        });
        return stream;
    }

    /// <summary>A certificate for localhost that signs itself, in two files.</summary>
    private sealed class Certificate : IDisposable
    {
        private readonly string _directory = Directory.CreateTempSubdirectory("weave-tls-").FullName;

        internal Certificate()
        {
            using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256);
            SubjectAlternativeNameBuilder names = new();
            names.AddDnsName("localhost");
            request.CertificateExtensions.Add(names.Build());
            using X509Certificate2 certificate = request.CreateSelfSigned(
                DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
            File.WriteAllText(CertificateFile, certificate.ExportCertificatePem());
            File.WriteAllText(KeyFile, key.ExportPkcs8PrivateKeyPem());
        }

        internal string CertificateFile => Path.Combine(_directory, "certificate.pem");

        internal string KeyFile => Path.Combine(_directory, "key.pem");

        public void Dispose() => Directory.Delete(_directory, recursive: true);
    }
}
