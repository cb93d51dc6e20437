// weave http as its clients meet it: the protocol, limits, the end, /metrics and the access log. Clients that
// mean no good are in HttpBadClientTests.cs, files in HttpFileTests.cs.

using System.Globalization;
using System.Net.Sockets;

namespace Weft.Tests;

internal sealed class HttpServerTests
{
    private const string Hello = "Hello, World!";
    private const string Get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    [Test]
    public async Task ATextAndItsHead()
    {
        using WeaveServer server = new("http");
        HttpAnswer get = server.Get("/");
        HttpAnswer head = server.Ask("HEAD", "/");

        await Assert.That(get.Status).IsEqualTo(200);
        await Assert.That(get.Body).IsEqualTo(Hello);
        await Assert.That(get["Content-Type"]).IsEqualTo("text/plain; charset=utf-8");
        await Assert.That(DateTime.ParseExact(get["Date"], "r", CultureInfo.InvariantCulture))
            .IsBetween(DateTime.UtcNow.AddSeconds(-5), DateTime.UtcNow.AddSeconds(1));
        await Assert.That(head.Status).IsEqualTo(200);
        await Assert.That(head["Content-Length"]).IsEqualTo("13");
    }

    [Test]
    [Arguments("GET", "/nope", 404, "")]
    [Arguments("PUT", "/", 405, "GET, HEAD, OPTIONS")]
    [Arguments("CONNECT", "a:1", 405, "GET, HEAD, OPTIONS")]
    [Arguments("GET", "/echo", 405, "POST, OPTIONS")]
    [Arguments("OPTIONS", "/echo", 204, "POST, OPTIONS")]
    [Arguments("OPTIONS", "*", 204, "GET, HEAD, OPTIONS")]
    [Arguments("BREW", "/", 501, "")]
    public async Task MethodsThatAreNotAllowedAreToldFromThoseThatAreNotKnown(
        string method, string target, int status, string allow)
    {
        using WeaveServer server = new("http");
        HttpAnswer answer = server.Ask(method, target);

        await Assert.That(answer.Status).IsEqualTo(status);
        await Assert.That(answer["Allow"]).IsEqualTo(allow);
    }

    [Test]
    public async Task PipelinedRequestsAreAnsweredInOrder()
    {
        using WeaveServer server = new("http");
        const int rounds = 300;
        string chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        string sized = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nfg";
        List<HttpAnswer> answers = HttpAnswer.All(server.Exchange(
            string.Concat(Enumerable.Repeat(Get + chunked + sized, rounds))));

        await Assert.That(answers.Count).IsEqualTo(3 * rounds);
        await Assert.That(answers.Select((answer, i) => answer.Body == (i % 3) switch
        {
            0 => Hello,
            1 => "abcde",
            _ => "fg",
        }).All(right => right)).IsTrue();
    }

    [Test]
    public async Task AnswersToPipelinedRequestsLeaveTogether()
    {
        using WeaveServer server = new("http");
        using Socket socket = server.Connect();
        WeaveServer.Send(socket, string.Concat(Enumerable.Repeat(Get, 10)));
        byte[] buffer = new byte[64 * 1024];
        int count = socket.Receive(buffer);

        await Assert.That(HttpAnswer.All(WeaveServer.Latin1(buffer[..count])).Count).IsEqualTo(10);
    }

    [Test]
    public async Task ARequestMayComeInPiecesOfOneByte()
    {
        using WeaveServer server = new("http");
        using Socket socket = server.Connect();
        foreach (char c in "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        {
            WeaveServer.Send(socket, $"{c}");
        }
        HttpAnswer answer = HttpAnswer.Single(WeaveServer.ReadUntil(socket, "0\r\n\r\n"));

        // In as many chunks as the server needed to read it.
        await Assert.That(answer["Transfer-Encoding"]).IsEqualTo("chunked");
        await Assert.That(answer.Body).IsEqualTo("abc");
    }

    [Test]
    public async Task ABodyOfMegabytesComesBackWhole()
    {
        using WeaveServer server = new("http");
        byte[] body = new byte[3_000_000];
        new Random(1).NextBytes(body);
        using HttpClient client = new();
        ByteArrayContent content = new(body);
        HttpResponseMessage answer = await client.PostAsync($"http://{server.Address}/echo", content);

        await Assert.That((await answer.Content.ReadAsByteArrayAsync()).AsSpan().SequenceEqual(body)).IsTrue();
    }

    [Test]
    public async Task AClientThatAsksIsToldToContinue()
    {
        using WeaveServer server = new("http", "--max-body", "10");
        using Socket socket = server.Connect();
        string head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";
        WeaveServer.Send(socket, head + "2\r\n\r\n");
        await Assert.That(WeaveServer.ReadUntil(socket, "\r\n\r\n")).IsEqualTo("HTTP/1.1 100 Continue\r\n\r\n");
        WeaveServer.Send(socket, "ab");
        await Assert.That(WeaveServer.ReadUntil(socket, "0\r\n\r\n")).Contains("\r\n\r\n2\r\nab\r\n");

        // Nor is one asked for a body that is not wanted: the connection ends instead.
        WeaveServer.Send(socket, head + "11\r\n\r\n");
        HttpAnswer answer = HttpAnswer.Single(WeaveServer.Latin1(WeaveServer.ReadToEnd(socket)));
        await Assert.That(answer.Status).IsEqualTo(413);
        await Assert.That(answer["Connection"]).IsEqualTo("close");
    }

    [Test]
    public async Task ABodyThatNobodyReadsDoesNotEndTheConnection()
    {
        using WeaveServer server = new("http");
        string post = "POST / HTTP/1.1\r\nHost: a\r\n";
        List<HttpAnswer> answers = HttpAnswer.All(server.Exchange(
            $"{post}Content-Length: 30000\r\n\r\n{new string('x', 30000)}"
            + $"{post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + Get));

        await Assert.That(string.Join(',', answers.Select(answer => answer.Status))).IsEqualTo("405,405,200");
    }

    [Test]
    public async Task AnOldClientIsAnsweredAsItExpects()
    {
        using WeaveServer server = new("http");
        HttpAnswer once = HttpAnswer.Single(server.Exchange("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n"));
        List<HttpAnswer> kept = HttpAnswer.All(server.Exchange(
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"));
        HttpAnswer stream = HttpAnswer.Single(server.Exchange("POST /echo HTTP/1.0\r\nContent-Length: 2\r\n\r\nab"));

        await Assert.That(once["Connection"]).IsEqualTo("close");
        await Assert.That(string.Join(',', kept.Select(answer => answer["Connection"]))).IsEqualTo("keep-alive,close");
        await Assert.That(stream["Transfer-Encoding"]).IsEqualTo("");
        await Assert.That(stream.Body).IsEqualTo("ab");
    }

    [Test]
    public async Task AConnectionHasNoMoreRequestsThanAllowed()
    {
        using WeaveServer server = new("http", "--max-requests", "3");
        List<HttpAnswer> answers = HttpAnswer.All(server.Exchange(string.Concat(Enumerable.Repeat(Get, 5))));

        await Assert.That(string.Join(',', answers.Select(answer => answer["Connection"]))).IsEqualTo(",,close");
    }

    [Test]
    public async Task ConnectionsAboveTheLimitWait()
    {
        using WeaveServer server = new("http", "--max-connections", "2");
        using Socket first = server.Connect();
        using Socket second = server.Connect();
        Socket third = server.Connect();
        WeaveServer.Send(second, Get);
        await Assert.That(WeaveServer.ReadUntil(second, Hello)).Contains("200 OK");
        WeaveServer.Send(third, Get);
        await Assert.That(third.Poll(200_000, SelectMode.SelectRead)).IsFalse();
        first.Close();
        await Assert.That(WeaveServer.ReadUntil(third, Hello)).Contains("200 OK");
        third.Close();
    }

    [Test]
    public async Task SigtermEndsWhatIsIdleAndFinishesWhatIsNot()
    {
        using WeaveServer server = new("http");
        using Socket idle = server.Connect();
        using Socket fresh = server.Connect();
        using Socket busy = server.Connect();
        using Socket last = server.Connect();
        WeaveServer.Send(idle, Get);
        WeaveServer.ReadUntil(idle, Hello);
        WeaveServer.Send(busy, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        WeaveServer.ReadUntil(busy, "ab\r\n");
        WeaveServer.Send(last, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
        WeaveServer.ReadUntil(last, "a\r\n");
        server.Signal("TERM");

        await Assert.That(WeaveServer.ReadToEnd(idle)).IsEmpty();
        await Assert.That(WeaveServer.ReadToEnd(fresh)).IsEmpty();
        await Assert.That(() => server.Connect()).Throws<SocketException>();
        WeaveServer.Send(busy, "cd" + Get);
        await Assert.That(WeaveServer.Latin1(WeaveServer.ReadToEnd(busy)))
            .StartsWith("2\r\ncd\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n").And.Contains("Connection: close");

        // This one's answer had begun before, and did not say that it is the last.
        WeaveServer.Send(last, "b");
        await Assert.That(WeaveServer.Latin1(WeaveServer.ReadToEnd(last))).IsEqualTo("1\r\nb\r\n0\r\n\r\n");
        await Assert.That(server.WaitForExit().ExitCode).IsEqualTo(0);
    }

    [Test]
    public async Task ARequestThatDoesNotEndHoldsUpTheEndForSoLongOnly()
    {
        using WeaveServer server = new("http", "--drain", "0.3");
        using Socket busy = server.Connect();
        WeaveServer.Send(busy, "GET / HTTP/1.1\r\n");
        WeaveServer.Until("the connection", () => server.Metric("weave_connections") == 2);
        server.Signal("TERM");
        ChildResult result = server.WaitForExit();

        await Assert.That(result.ExitCode).IsEqualTo(1);
        await Assert.That(result.Error).Contains("1 connections did not end in time");
    }

    [Test]
    public async Task TheMetricsCountWhatHappened()
    {
        using WeaveServer server = new("http");
        _ = server.Exchange(Get + Get + "bad\r\n\r\n");
        HttpAnswer metrics = server.Get("/metrics");

        await Assert.That(metrics["Content-Type"]).StartsWith("text/plain; version=0.0.4");
        await Assert.That(metrics.Body).Contains("\nweave_responses_total{code=\"200\"} 2\n")
            .And.Contains("\nweave_responses_total{code=\"400\"} 1\n")
            .And.Contains("\nweave_connections_total 2\n")
            .And.Contains("\n# TYPE weft_runs_total counter\n");
        foreach (string line in metrics.Body.TrimEnd('\n').Split('\n').Where(line => line[0] != '#'))
        {
            await Assert.That(long.TryParse(line.Split(' ')[^1], out long value) && value >= 0).IsTrue();
        }

        await Assert.That(server.Metric("weft_runs_total")).IsGreaterThan(0);
        await Assert.That(server.Metric("weft_polls_total")).IsGreaterThan(0);
        await Assert.That(server.Metric("weft_goroutines")).IsGreaterThan(0).And.IsLessThan(20);
    }

    [Test]
    public async Task TheAccessLogHasALineForEachRequest()
    {
        using WeaveServer server = new("http", "--log", "-");
        _ = server.Exchange("GET /a\"b HTTP/1.1\r\nHost: a\r\nUser-Agent: x\\y\r\nReferer: http://r/\r\n\r\nbad\r\n\r\n");
        server.Signal("TERM");
        string[] lines = server.WaitForExit().Output.TrimEnd('\n').Split('\n');

        await Assert.That(lines.Length).IsEqualTo(2);
        await Assert.That(lines[0]).StartsWith("127.0.0.1:").And
            .Contains(" \"GET /a\\x22b HTTP/1.1\" 404 14 \"http://r/\" \"x\\x5cy\" ");
        await Assert.That(lines[1]).Contains(" \"-\" 400 16 \"-\" \"-\" ");
    }

    [Test]
    public async Task CurlIsServed()
    {
        Skip.When(ChildProcess.Execute("sh", ["-c", "command -v curl"]).ExitCode != 0, "there is no curl");
        using WeaveServer server = new("http");
        ChildResult result = ChildProcess.Execute("sh", ["-ec", $$"""
            url=http://{{server.Address}}
            [ "$(curl -fsS $url/ $url/)" = "Hello, World!Hello, World!" ]
            [ "$(curl -fsS -I $url/ | tr -d '\r' | sed -n 's/^Content-Length: //p')" = 13 ]
            seq 200000 >"$0"
            curl -fsS -T "$0" -X POST $url/echo | cmp - "$0"
            curl -fsS -H 'Transfer-Encoding: chunked' --data-binary @"$0" $url/echo | cmp - "$0"
            curl -fsS --http1.0 --data-binary @"$0" $url/echo | cmp - "$0"
            [ "$(curl -s -o /dev/null -w '%{http_code}' $url/nope)" = 404 ]
            curl -fsS -Z --parallel-max 50 "$url/?[1-500]" >"$0"
            [ "$(wc -c <"$0")" = 6500 ]
            """, Path.GetTempFileName()]);

        await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
    }

    [Test]
    public async Task AnIdleConnectionTakesLessThan3KB()
    {
        const int count = 2000;
        using WeaveServer server = new("http");
        _ = server.Get("/");
        long before = server.Resident;
        List<Socket> sockets = [.. Enumerable.Range(0, count).Select(_ => server.Connect())];
        foreach (Socket socket in sockets)
        {
            WeaveServer.Send(socket, Get);
            WeaveServer.ReadUntil(socket, Hello);
        }

        // Some of this is the process's own, made now: the less for each the more there are.
        double first = (double)(server.Resident - before) / count;
        WeaveServer.Until("stacks came down", () => server.Resident - before < 3 * 1024 * count);
        foreach (Socket socket in sockets)
        {
            WeaveServer.Send(socket, Get);
            WeaveServer.ReadUntil(socket, Hello);
        }

        sockets.ForEach(socket => socket.Dispose());

        await Assert.That(first).IsGreaterThan(4000).And.IsLessThan(8192);
        WeaveServer.Until("all closed", () => server.Metric("weave_connections") == 1);
    }

    [Test]
    public async Task DebugHasProfilesATraceAndAllMetrics()
    {
        using WeaveServer server = new("http", "--debug", "127.0.0.1:0");
        int port = server.ReadPort("debugging");
        string goroutines = server.Get("/debug/pprof/goroutine?debug=1", "", port).Body;
        PprofFile profile = new(server.GetBytes("/debug/pprof/goroutine", port));
        PprofFile blocks = new(server.GetBytes("/debug/pprof/block?seconds=0", port));
        PprofFile mutexes = new(server.GetBytes("/debug/pprof/mutex?seconds=0", port));
        PerfettoFile trace = new(server.GetBytes("/debug/pprof/trace?seconds=1", port));
        Thread.Sleep(300); // Counted ten times a second.
        string metrics = server.Get("/metrics", "", port).Body;

        await Assert.That(goroutines).Contains("[network");
        await Assert.That(profile.Samples.Sum(sample => sample.Values[0])).IsGreaterThanOrEqualTo(4);
        await Assert.That(string.Join(' ', blocks.Types)).IsEqualTo("contentions/count delay/nanoseconds");
        await Assert.That(string.Join(' ', mutexes.Types)).IsEqualTo("contentions/count delay/nanoseconds");
        await Assert.That(trace.Faults).IsEmpty();
        await Assert.That(trace.Runs.Any(run => run.Name.Contains("Weave."))).IsTrue();
        await Assert.That(metrics).Contains("weft_goroutine_count{weft_state=\"network\"}");
        await Assert.That(metrics).Contains("weft_scheduler_latency_seconds_bucket{le=\"+Inf\"}");
        await Assert.That(metrics).Contains("weft_gc_pause_time_seconds_total ");
        // Nobody else sees that.
        await Assert.That(server.Get("/debug/pprof/").Status).IsEqualTo(404);
        await Assert.That(server.Get("/debug/nothing", "", port).Status).IsEqualTo(404);
    }
}
