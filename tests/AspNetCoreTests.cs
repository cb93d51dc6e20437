// Weft.AspNetCore: a server of its own process (tests/aspnetcore/), asked over HTTP. It runs as the tests do, with
// NativeAOT or on the JIT.

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Weft.Tests;

[Slow] // A server of Kestrel's is made first.
internal sealed class AspNetCoreTests
{
    private static readonly string[] s_sources = ["tests/aspnetcore", "runtime", "asm"];
    private static readonly Lazy<string> s_program = new(Make);

    [Test]
    [NotOnJit("each takes a thread")]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task EndpointsMayBlock(string sockets)
    {
        using Server server = new(sockets);

        string[] answers = await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => server.Get("/sleep")));

        int[][] counts = [.. answers.Select(
            text => text.Split(' ').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToArray())];
        int together = counts.Max(count => count[0]);
        int threads = counts.Max(count => count[1]);
        await Assert.That(together).IsGreaterThan(threads);
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task WhatAnEndpointThrowsGoesToTheMiddlewareBefore(string sockets)
    {
        using Server server = new(sockets);

        using HttpResponseMessage failed = await server.Client.GetAsync("/fail");
        await Assert.That(failed.StatusCode).IsEqualTo(HttpStatusCode.InternalServerError);

        using HttpResponseMessage cancelled = await server.Client.GetAsync("/cancel");
        await Assert.That((int)cancelled.StatusCode).IsEqualTo(418);
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task WhatFlowsToAnEndpointFlowsToItsGoroutine(string sockets)
    {
        using Server server = new(sockets);

        await Assert.That(await server.Get("/local?local=a")).IsEqualTo("a True");
        await Assert.That(await server.Get("/local")).IsEqualTo(" True");
        await Assert.That(await server.Get("/task?local=b")).IsEqualTo("True b");
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task BodiesMayBeReadAndWrittenSynchronously(string sockets)
    {
        using Server server = new(sockets);
        using StringContent content = new(new string('x', 300_000));

        await Assert.That(await server.Get("/delegate")).IsEqualTo("written");
        using HttpResponseMessage answer = await server.Client.PostAsync("/body", content);
        await Assert.That(await answer.Content.ReadAsStringAsync()).IsEqualTo("300000");
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task RequestsThatCameTogetherAreAnsweredInOrder(string sockets)
    {
        using Server server = new(sockets);
        using Socket socket = server.Connect();

        socket.Send(Encoding.Latin1.GetBytes(
            Request("/local?local=1") + Request("/task?local=2") + Request("/local?local=3", last: true)));
        string answers = WeaveServer.Latin1(WeaveServer.ReadToEnd(socket));

        await Assert.That(answers.IndexOf("1 True", StringComparison.Ordinal)).IsPositive();
        await Assert.That(answers.IndexOf("True 2", StringComparison.Ordinal))
            .IsGreaterThan(answers.IndexOf("1 True", StringComparison.Ordinal));
        await Assert.That(answers.IndexOf("3 True", StringComparison.Ordinal))
            .IsGreaterThan(answers.IndexOf("True 2", StringComparison.Ordinal));
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task TheContextEndsWhenTheClientGoesAway(string sockets)
    {
        using Server server = new(sockets);
        using (Socket socket = server.Connect())
        {
            socket.Send(Encoding.Latin1.GetBytes(Request("/watch")));
            _ = WeaveServer.ReadUntil(socket, "watching");
        }

        await Assert.That(await server.Get("/ended")).IsEqualTo("watch True True");
    }

    [Test]
    [Arguments("kestrel")]
    [Arguments("goroutines")]
    public async Task TheContextEndsWithTheRequest(string sockets)
    {
        using Server server = new(sockets);

        await Assert.That(await server.Get("/outlive")).IsEqualTo("True");
        await Assert.That(await server.Get("/ended")).IsEqualTo("outlive");
    }

    // With TLS, HTTP/1.1 and HTTP/2; and on a Unix socket.
    [Test]
    [Arguments("https://127.0.0.1:0", 1)]
    [Arguments("https://127.0.0.1:0", 2)]
    [Arguments("http://unix:", 1)]
    public async Task GoroutineSocketsCarryWhatKestrelsDo(string address, int version)
    {
        string path = Path.Combine(Path.GetTempPath(), $"weft-{Guid.NewGuid():N}.sock");
        bool isUnix = address.EndsWith(':');
        using Server server = new("goroutines", isUnix ? address + path : address);

        string[] answers = await Task.WhenAll(
            Enumerable.Range(0, 20).Select(i => server.Get($"/local?local={i}", version)));

        await Assert.That(string.Join(',', answers))
            .IsEqualTo(string.Join(',', Enumerable.Range(0, 20).Select(i => $"{i} True")));
        if (isUnix)
        {
            server.Stop();
            await Assert.That(File.Exists(path)).IsFalse();
        }
    }

    // The client takes nothing for a while: the server waits, and loses no byte.
    [Test]
    public async Task ALargeAnswerWaitsForItsReader()
    {
        using Server server = new("goroutines");
        using Socket socket = server.Connect();

        socket.Send(Encoding.Latin1.GetBytes(
            "GET /large HTTP/1.0\r\nHost: a\r\n\r\n"));
        await Task.Delay(200);
        byte[] answer = WeaveServer.ReadToEnd(socket);

        int body = answer.AsSpan().IndexOf("\r\n\r\n"u8) + 4;
        await Assert.That(answer.Length - body).IsEqualTo(5_000_000);
        await Assert.That(Enumerable.Range(0, 5_000_000).All(i => answer[body + i] == i % 10_000 % 251)).IsTrue();
    }

    [Test]
    public async Task WhatTheServerEndsIsReset()
    {
        using Server server = new("goroutines");
        using Socket socket = server.Connect();

        socket.Send(Encoding.Latin1.GetBytes(Request("/reset")));
        SocketException? failure = null;
        try
        {
            _ = socket.Receive(new byte[1]);
        }
        catch (SocketException e)
        {
            failure = e;
        }

        await Assert.That(failure?.SocketErrorCode).IsEqualTo(SocketError.ConnectionReset);
    }

    // Idle connections do not hold it up, and new ones are refused from then on.
    [Test]
    public async Task TheServerStopsWithConnectionsOpen()
    {
        using Server server = new("goroutines");
        using Socket idle = server.Connect();
        idle.Send(Encoding.Latin1.GetBytes(Request("/local?local=a")));
        _ = WeaveServer.ReadUntil(idle, "a True");

        await Assert.That(server.Stop()).IsEqualTo(0);

        await Assert.That(WeaveServer.ReadToEnd(idle).Length).IsLessThan(100);
    }

    [Test]
    public async Task AnAddressThatIsInUseIsSaidAsByKestrel()
    {
        using Socket taken = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        taken.Listen(1);

        ChildResult result = ChildProcess.Execute(
            s_program.Value,
            ["--sockets", "goroutines", "--urls", $"http://{taken.LocalEndPoint}"],
            Repository.Root(),
            timeout: TimeSpan.FromSeconds(30));

        await Assert.That(result.ExitCode).IsNotEqualTo(0);
        await Assert.That(result.ToString()).Contains("Failed to bind to address");
    }

    private static string Request(string target, bool last = false) =>
        $"GET {target} HTTP/1.1\r\nHost: a\r\n{(last ? "Connection: close\r\n" : "")}\r\n";

    /// <summary>Made if it is missing or older than its sources.</summary>
    private static string Make()
    {
        bool isJit = Go.Mode == GoMode.Jit;
        string root = Repository.Root();
        string program = Path.Combine(
            root, "out", isJit ? "obj/Weft.AspNetCore.Program/Release.jit/bin" : "bin", "weft-aspnetcore");
        if (!File.Exists(program) || File.GetLastWriteTimeUtc(program) < s_sources
                .SelectMany(folder => Directory.EnumerateFiles(
                    Path.Combine(root, folder), "*", SearchOption.AllDirectories))
                .Max(File.GetLastWriteTimeUtc))
        {
            ChildResult made = ChildProcess.Execute(
                "dotnet",
                [
                    .. isJit ? (string[])["build", "-p:WeftJit=true"] : ["publish"],
                    "tests/aspnetcore/Weft.AspNetCore.Program.csproj", "-v:quiet", "-tl:off", "-p:RunAnalyzers=false",
                ],
                root,
                timeout: TimeSpan.FromMinutes(5));
            Skip.When(made.Output.Contains("error NU1"), "the packages of ASP.NET Core are not to be had");
            if (made.ExitCode != 0)
            {
                Assert.Fail(made.ToString());
            }
            File.SetLastWriteTimeUtc(program, DateTime.UtcNow); // Even if there was nothing to do.
        }
        return program;
    }

    /// <summary>The server in a process of its own, on a free port of this machine.</summary>
    private sealed class Server : IDisposable
    {
        private readonly Process _process;
        private readonly int _port;

        internal Server(string sockets, string address = "http://127.0.0.1:0")
        {
            bool isTls = address.StartsWith("https:", StringComparison.Ordinal);
            _process = Process.Start(new ProcessStartInfo(
                s_program.Value, ["--urls", address, "--sockets", sockets, "--tls", isTls ? "yes" : "no"])
            {
                RedirectStandardOutput = true,
            })!;
            string line = _process.StandardOutput.ReadLine() ?? "";
            if (!line.StartsWith(address[..^1], StringComparison.Ordinal))
            {
                Dispose();
                Assert.Fail($"the server said '{line}'");
            }
            SocketsHttpHandler handler = new();
            handler.SslOptions.RemoteCertificateValidationCallback = NetStreamTests.IsOurs;
            const string unix = "http://unix:";
            if (line.StartsWith(unix, StringComparison.Ordinal))
            {
                UnixDomainSocketEndPoint endPoint = new(line[unix.Length..]);
                handler.ConnectCallback = async (_, token) =>
                {
                    Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                    await socket.ConnectAsync(endPoint, token);
                    return new NetworkStream(socket, ownsSocket: true);
                };
                line = "http://unix.test";
            }
            else
            {
                _port = int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
            }
            Client = new HttpClient(handler) { BaseAddress = new Uri(line), Timeout = TimeSpan.FromSeconds(20) };
        }

        internal HttpClient Client { get; } = null!;

        internal async Task<string> Get(string target, int version = 1)
        {
            using HttpRequestMessage request = new(HttpMethod.Get, target)
            {
                Version = version == 2 ? HttpVersion.Version20 : HttpVersion.Version11,
                VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            };
            using HttpResponseMessage answer = await Client.SendAsync(request);
            _ = answer.EnsureSuccessStatusCode();
            return await answer.Content.ReadAsStringAsync();
        }

        internal Socket Connect()
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
            {
                ReceiveTimeout = 20_000,
            };
            socket.Connect(IPAddress.Loopback, _port);
            return socket;
        }

        /// <summary>Asks it to stop; its exit code.</summary>
        internal int Stop()
        {
            using Process kill = Process.Start("sh", ["-c", $"kill -TERM {_process.Id}"]);
            return _process.WaitForExit(TimeSpan.FromSeconds(20)) ? _process.ExitCode : -1;
        }

        public void Dispose()
        {
            Client?.Dispose();
            if (!_process.HasExited)
            {
                _process.Kill();
                _process.WaitForExit();
            }
            _process.Dispose();
        }
    }
}
