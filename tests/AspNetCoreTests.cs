// Weft.AspNetCore: a server of its own process (tests/aspnetcore/), asked over HTTP.

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Weft.Tests;

internal sealed class AspNetCoreTests
{
    private static readonly string[] s_sources = ["tests/aspnetcore", "runtime", "asm"];
    private static readonly Lazy<string> s_program = new(Publish);

    [Test]
    public async Task EndpointsMayBlock()
    {
        using Server server = new();

        string[] answers = await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => server.Get("/sleep")));

        int[][] counts = [.. answers.Select(
            text => text.Split(' ').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToArray())];
        int together = counts.Max(count => count[0]);
        int threads = counts.Max(count => count[1]);
        await Assert.That(together).IsGreaterThan(threads);
    }

    [Test]
    public async Task WhatAnEndpointThrowsGoesToTheMiddlewareBefore()
    {
        using Server server = new();

        using HttpResponseMessage failed = await server.Client.GetAsync("/fail");
        await Assert.That(failed.StatusCode).IsEqualTo(HttpStatusCode.InternalServerError);

        using HttpResponseMessage cancelled = await server.Client.GetAsync("/cancel");
        await Assert.That((int)cancelled.StatusCode).IsEqualTo(418);
    }

    [Test]
    public async Task WhatFlowsToAnEndpointFlowsToItsGoroutine()
    {
        using Server server = new();

        await Assert.That(await server.Get("/local?local=a")).IsEqualTo("a True");
        await Assert.That(await server.Get("/local")).IsEqualTo(" True");
        await Assert.That(await server.Get("/task?local=b")).IsEqualTo("True b");
    }

    [Test]
    public async Task BodiesMayBeReadAndWrittenSynchronously()
    {
        using Server server = new();
        using StringContent content = new(new string('x', 300_000));

        await Assert.That(await server.Get("/delegate")).IsEqualTo("written");
        using HttpResponseMessage answer = await server.Client.PostAsync("/body", content);
        await Assert.That(await answer.Content.ReadAsStringAsync()).IsEqualTo("300000");
    }

    [Test]
    public async Task RequestsThatCameTogetherAreAnsweredInOrder()
    {
        using Server server = new();
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
    public async Task TheContextEndsWhenTheClientGoesAway()
    {
        using Server server = new();
        using (Socket socket = server.Connect())
        {
            socket.Send(Encoding.Latin1.GetBytes(Request("/watch")));
            _ = WeaveServer.ReadUntil(socket, "watching");
        }

        await Assert.That(await server.Get("/ended")).IsEqualTo("watch True True");
    }

    [Test]
    public async Task TheContextEndsWithTheRequest()
    {
        using Server server = new();

        await Assert.That(await server.Get("/outlive")).IsEqualTo("True");
        await Assert.That(await server.Get("/ended")).IsEqualTo("outlive");
    }

    private static string Request(string target, bool last = false) =>
        $"GET {target} HTTP/1.1\r\nHost: a\r\n{(last ? "Connection: close\r\n" : "")}\r\n";

    /// <summary>Published if it is missing or older than its sources.</summary>
    private static string Publish()
    {
        string root = Repository.Root();
        string program = Path.Combine(root, "out", "bin", "weft-aspnetcore");
        if (!File.Exists(program) || File.GetLastWriteTimeUtc(program) < s_sources
                .SelectMany(folder => Directory.EnumerateFiles(
                    Path.Combine(root, folder), "*", SearchOption.AllDirectories))
                .Max(File.GetLastWriteTimeUtc))
        {
            ChildResult publish = ChildProcess.Execute(
                "dotnet",
                [
                    "publish", "tests/aspnetcore/Weft.AspNetCore.Program.csproj", "-v:quiet", "-tl:off",
                    "-p:RunAnalyzers=false",
                ],
                root,
                timeout: TimeSpan.FromMinutes(5));
            Skip.When(publish.Output.Contains("error NU1"), "the packages of ASP.NET Core are not to be had");
            if (publish.ExitCode != 0)
            {
                Assert.Fail(publish.ToString());
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

        internal Server()
        {
            _process = Process.Start(new ProcessStartInfo(s_program.Value, ["--urls", "http://127.0.0.1:0"])
            {
                RedirectStandardOutput = true,
            })!;
            string line = _process.StandardOutput.ReadLine() ?? "";
            if (!line.StartsWith("http://", StringComparison.Ordinal))
            {
                Dispose();
                Assert.Fail($"the server said '{line}'");
            }
            _port = int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
            Client = new HttpClient { BaseAddress = new Uri(line), Timeout = TimeSpan.FromSeconds(20) };
        }

        internal HttpClient Client { get; } = null!;

        internal async Task<string> Get(string target)
        {
            using HttpResponseMessage answer = await Client.GetAsync(target);
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
