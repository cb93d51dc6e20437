// Clients that are slow, broken or worse: each is answered or left, and nothing of it stays.

using System.Diagnostics;
using System.Net.Sockets;

namespace Weft.Tests;

internal sealed class HttpBadClientTests
{
    private const string Head = "POST /echo HTTP/1.1\r\nHost: a\r\n";
    private const int Churn = 3000;

    [Test]
    public async Task TheCorpusIsAnsweredAsItsNamesSay()
    {
        using WeaveServer server = new("http");
        List<string> wrong = [];
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Root(), "tests", "corpus", "http")))
        {
            string expected = Path.GetFileName(file).Split('-')[0];
            string answer = WeaveServer.Latin1(server.Exchange(File.ReadAllBytes(file)));
            int last = answer.LastIndexOf("HTTP/1.1 ", StringComparison.Ordinal);
            answer = last < 0 ? "" : answer[last..];
            string status = last < 0 ? "none" : answer.Substring(9, 3);
            bool isRight = expected == "ok"
                ? status is "200" or "204" or "404" or "405" or "501"
                : status == expected && answer.Contains("\r\nConnection: close\r\n");
            if (!isRight)
            {
                wrong.Add($"{Path.GetFileName(file)}: {status}");
            }
        }

        await Assert.That(wrong).IsEmpty();
        await NothingIsLeft(server);
    }

    [Test]
    public async Task AHeadThatComesTooSlowlyIsAnsweredWith408()
    {
        using WeaveServer server = new("http", "--head-timeout", "0.3");
        using Socket socket = server.Connect();
        long start = Stopwatch.GetTimestamp();
        WeaveServer.Send(socket, "GET / HTTP/1.1\r\nHost: a\r\n");
        while (!socket.Poll(50_000, SelectMode.SelectRead))
        {
            WeaveServer.Send(socket, "X: y\r\n"); // Each line is progress, and does not help.
        }

        HttpAnswer answer = HttpAnswer.Single(WeaveServer.ReadUntil(socket, "Timeout\n"));
        await Assert.That(answer.Status).IsEqualTo(408);
        await Assert.That(answer["Connection"]).IsEqualTo("close");
        await Assert.That(Stopwatch.GetElapsedTime(start).TotalSeconds).IsGreaterThan(0.25).And.IsLessThan(10);
    }

    [Test]
    [Arguments(Head + "Content-Length: 5\r\n\r\nab", "\r\nab\r\n")]
    [Arguments(Head + "Transfer-Encoding: chunked\r\n\r\n2\r\nab", "\r\nab\r\n")]
    public async Task ABodyThatDoesNotComeEndsTheConnection(string request, string echoed)
    {
        using WeaveServer server = new("http", "--transfer-timeout", "0.3");
        using Socket socket = server.Connect();
        WeaveServer.Send(socket, request);

        // The answer had begun: there is no status left to give, and no last chunk.
        await Assert.That(WeaveServer.Latin1(WeaveServer.ReadToEnd(socket))).Contains("200 OK").And.EndsWith(echoed);
    }

    [Test]
    [Arguments("Content-Length: 5\r\n\r\n")]
    [Arguments("Transfer-Encoding: chunked\r\n\r\n5")]
    public async Task ABodyThatDoesNotBeginIsAnsweredWith408(string rest)
    {
        using WeaveServer server = new("http", "--transfer-timeout", "0.3");
        using Socket socket = server.Connect();
        WeaveServer.Send(socket, Head + rest);

        await Assert.That(WeaveServer.ReadUntil(socket, "Timeout\n")).StartsWith("HTTP/1.1 408 ");
    }

    [Test]
    public async Task AnIdleConnectionIsClosed()
    {
        using WeaveServer server = new("http", "--idle-timeout", "1.5");
        using Socket fresh = server.Connect();
        using Socket used = server.Connect();
        WeaveServer.Send(used, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        WeaveServer.ReadUntil(used, "World!");

        await Assert.That(WeaveServer.ReadToEnd(used)).IsEmpty();
        await Assert.That(WeaveServer.ReadToEnd(fresh)).IsEmpty();
    }

    [Test]
    public async Task AClientThatDoesNotReadIsLeft()
    {
        using WeaveServer server = new("http", "--transfer-timeout", "0.3");
        using Socket socket = server.Connect();
        using CancellationTokenSource stop = new();
        Task sender = Task.Run(() => WeaveServer.SendAll(
            socket, System.Text.Encoding.ASCII.GetBytes($"{Head}Content-Length: 16000000\r\n\r\n{new string('x', 16_000_000)}")));

        WeaveServer.Until("the connection is left", () => server.Metric("weave_connections") == 1);
        await sender;
    }

    [Test]
    public async Task AClientThatEndsItsSideIsAnsweredFirst()
    {
        using WeaveServer server = new("http");

        await Assert.That(HttpAnswer.Single(server.Exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")).Status).IsEqualTo(200);
        await Assert.That(server.Exchange("")).IsEqualTo("");
        await Assert.That(server.Exchange("GET / HT")).IsEqualTo("");
        await Assert.That(server.Exchange(Head + "Content-Length: 5\r\n\r\n")).IsEqualTo("");
    }

    [Test]
    public async Task ResetsLeaveNothing()
    {
        using WeaveServer server = new("http");
        string[] beginnings =
        [
            "", "GET / HT", Head + "Content-Length: 1000\r\n\r\nab", Head + "Transfer-Encoding: chunked\r\n\r\n5\r\na",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        for (int i = 0; i < 200; i++)
        {
            using Socket socket = server.Connect();
            WeaveServer.Send(socket, beginnings[i % beginnings.Length]);
            socket.LingerState = new LingerOption(true, 0); // Close resets.
        }

        await NothingIsLeft(server);
    }

    [Test]
    public async Task AMegabyteOfHeadIsAnsweredWith431()
    {
        using WeaveServer server = new("http");
        string fields = string.Concat(Enumerable.Repeat($"X: {new string('y', 1000)}\r\n", 1000));
        HttpAnswer answer = HttpAnswer.Single(server.Exchange($"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));

        await Assert.That(answer.Status).IsEqualTo(431);
        await NothingIsLeft(server);
    }

    [Test]
    [Arguments("Content-Length: 11\r\n\r\n0123456789a")]
    [Arguments("Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n")]
    [Arguments("Transfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n0")]
    public async Task ABodyAboveTheLimitIsAnsweredWith413(string rest)
    {
        using WeaveServer server = new("http", "--max-body", "10");

        await Assert.That(HttpAnswer.Single(server.Exchange(Head + rest)).Status).IsEqualTo(413);
    }

    [Test]
    [Slow]
    public async Task ThousandsOfConnectionsLeaveNothing()
    {
        using WeaveServer server = new("http");
        ChurnResult result = RunChurn(server, Churn);

        await Assert.That(result.Answered).IsEqualTo(Churn / 2);
        await NothingIsLeft(server);
        await Assert.That(server.Metric("weave_connections_total")).IsGreaterThanOrEqualTo(Churn);
    }

    [Test]
    public async Task WithoutDescriptorsNobodyIsAcceptedUntilSomeAreFree()
    {
        using WeaveServer server = new("http");
        ChildResult limit = ChildProcess.Execute(
            "prlimit", ["--pid", $"{server.ProcessId}", $"--nofile={server.Descriptors + 10}"]);
        Skip.When(limit.ExitCode != 0, "prlimit does not work here");
        List<Socket> sockets = [.. Enumerable.Range(0, 30).Select(_ => server.Connect())];
        await Task.Delay(100); // Some are accepted, then accepting fails, and is tried again and again.
        sockets.ForEach(socket => socket.Dispose());

        await Assert.That(server.Get("/").Status).IsEqualTo(200);
        await NothingIsLeft(server);
    }

    /// <summary>The child program http-churn: connects and disconnects COUNT times, for a figure.</summary>
    internal static int ChurnMany(string[] args)
    {
        using WeaveServer server = new("http");
        int count = int.Parse(args[0]);
        int descriptors = server.Descriptors;
        long start = Stopwatch.GetTimestamp();
        ChurnResult result = RunChurn(server, count);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        WeaveServer.Until("all closed", () => server.Metric("weave_connections") == 1);
        Console.WriteLine(
            $"{count} connections in {seconds:F1} s, {result.Answered} answered; descriptors {descriptors} before, "
            + $"{server.Descriptors} after; goroutines {server.Metric("weft_goroutines")}; "
            + $"resident {server.Resident / 1e6:F1} MB");
        return 0;
    }

    /// <summary>Connects again and again, from four threads: half ask and read, the others close or reset at
    /// once.</summary>
    private static ChurnResult RunChurn(WeaveServer server, int count)
    {
        int answered = 0;
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = 4 }, i =>
        {
            using Socket socket = server.Connect();
            if (i % 2 == 0)
            {
                WeaveServer.Send(socket, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                byte[] buffer = new byte[1000];
                int length = socket.Receive(buffer);
                Interlocked.Add(ref answered, WeaveServer.Latin1(buffer[..length]).EndsWith("World!") ? 1 : 0);
            }

            // No port stays taken, so that this can go on for ever.
            socket.LingerState = new LingerOption(true, 0);
        });
        return new ChurnResult(answered);
    }

    private static async Task NothingIsLeft(WeaveServer server)
    {
        // The one that asks is open itself.
        WeaveServer.Until("all connections are closed", () => server.Metric("weave_connections") == 1);
        WeaveServer.Until("no goroutine is left", () => server.Metric("weft_goroutines") <= 6);
        WeaveServer.Until("no descriptor is left", () => server.Descriptors < 25);
        await Assert.That(server.Get("/").Status).IsEqualTo(200);
    }

    private readonly record struct ChurnResult(int Answered);
}
