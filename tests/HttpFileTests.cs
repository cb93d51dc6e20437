// weave http with a directory.

using System.Text;

namespace Weft.Tests;

internal sealed class HttpFileTests
{
    private const string Secret = "not to be seen";

    [Test]
    [Arguments("/", 200, "text/html; charset=utf-8", "<p>index")]
    [Arguments("/a.txt", 200, "text/plain; charset=utf-8", "0123456789")]
    [Arguments("/a.txt?query", 200, "text/plain; charset=utf-8", "0123456789")]
    [Arguments("/%61.t%78t", 200, "text/plain; charset=utf-8", "0123456789")]
    [Arguments("http://x/a.txt", 200, "text/plain; charset=utf-8", "0123456789")]
    [Arguments("/sub/", 200, "text/html; charset=utf-8", "sub index")]
    [Arguments("/sub//index.html", 200, "text/html; charset=utf-8", "sub index")]
    [Arguments("/sub/b.JPG", 200, "image/jpeg", "jpg")]
    [Arguments("/none", 200, "application/octet-stream", "none")]
    [Arguments("/a%20b", 200, "application/octet-stream", "space")]
    [Arguments("/inner", 200, "application/octet-stream", "0123456789")]
    [Arguments("/.hidden", 200, "application/octet-stream", "hidden")]
    [Arguments("/empty.css", 200, "text/css; charset=utf-8", "")]
    [Arguments("/sub", 301, "", "")]
    [Arguments("/sub?a=/b&c=%20", 301, "", "")]
    [Arguments("http://x/sub?", 301, "", "")]
    [Arguments("/missing", 404, "text/plain; charset=utf-8", "404 Not Found\n")]
    [Arguments("/bare/", 404, "text/plain; charset=utf-8", "404 Not Found\n")]
    [Arguments("/a.txt/", 404, "text/plain; charset=utf-8", "404 Not Found\n")]
    [Arguments("/pipe", 403, "text/plain; charset=utf-8", "403 Forbidden\n")]
    public async Task FilesAreServedByTheirNames(string target, int status, string type, string body)
    {
        using Site site = new();
        HttpAnswer get = site.Server.Get(target);
        HttpAnswer head = site.Server.Ask("HEAD", target);

        await Assert.That(get.Status).IsEqualTo(status);
        await Assert.That(get.Body).IsEqualTo(body);
        await Assert.That(get["Content-Type"]).IsEqualTo(type);
        await Assert.That(get["Location"]).IsEqualTo(
            status != 301 ? "" : target.StartsWith('/') ? target.Replace("/sub", "/sub/") : "/sub/?");
        await Assert.That(head.Status).IsEqualTo(status);
        await Assert.That(head["Content-Length"]).IsEqualTo(get["Content-Length"]);
    }

    [Test]
    public async Task NothingOutsideOfTheDirectoryIsServed()
    {
        using Site site = new();
        string[] targets =
        [
            "/../secret", "/sub/../../secret", "/..%2fsecret", "/%2e%2e/secret", "/.%2e/secret", "/%2E%2E%2Fsecret",
            "//secret", "/%2fetc/passwd", "//etc/passwd", "/outside", "/outside-directory/secret", "/absolute",
            "/sub/..", "/a.txt/../../secret", "/..\\secret", "/%5c..%5csecret", "/%c0%ae%c0%ae/secret",
            "/....//secret", "/..;/secret", "/%252e%252e/secret", "/a%00.txt", "/proc/self/environ",
        ];
        foreach (string target in targets)
        {
            HttpAnswer answer = site.Server.Get(target);
            await Assert.That(answer.Status).IsEqualTo(400).Or.IsEqualTo(403).Or.IsEqualTo(404);
            await Assert.That(answer.Body).DoesNotContain(Secret).And.DoesNotContain("root:");
        }

        await Assert.That(site.Server.Get("/outside").Status).IsEqualTo(403);
        await Assert.That(site.Server.Get("/../secret").Status).IsEqualTo(400);
    }

    [Test]
    [Arguments("bytes=0-0", 206, "0", "bytes 0-0/10")]
    [Arguments("bytes=2-4", 206, "234", "bytes 2-4/10")]
    [Arguments("bytes=7-", 206, "789", "bytes 7-9/10")]
    [Arguments("bytes=-2", 206, "89", "bytes 8-9/10")]
    [Arguments("bytes=8-100", 206, "89", "bytes 8-9/10")]
    [Arguments("bytes=10-", 416, "", "bytes */10")]
    [Arguments("bytes=0-1,3-4", 200, "0123456789", "")]
    [Arguments("bytes=x", 200, "0123456789", "")]
    public async Task ARangeOfAFileIsServed(string range, int status, string body, string contentRange)
    {
        using Site site = new();
        HttpAnswer answer = site.Server.Get("/a.txt", $"Range: {range}\r\n");

        await Assert.That(answer.Status).IsEqualTo(status);
        await Assert.That(answer.Body).IsEqualTo(body);
        await Assert.That(answer["Content-Range"]).IsEqualTo(contentRange);
    }

    [Test]
    [Arguments("bytes=0-")]
    [Arguments("bytes=-1")]
    public async Task ARangeOfAnEmptyFileIsAllOfIt(string range)
    {
        using Site site = new();
        HttpAnswer answer = site.Server.Get("/empty.css", $"Range: {range}\r\n");

        await Assert.That(answer.Status).IsEqualTo(200);
        await Assert.That(answer["Content-Length"]).IsEqualTo("0");
        await Assert.That(answer["Content-Range"]).IsEqualTo("");
    }

    [Test]
    public async Task ARangeIsForGetOnly()
    {
        using Site site = new();
        HttpAnswer answer = site.Server.Ask("HEAD", "/a.txt", "Range: bytes=0-1\r\n");

        await Assert.That(answer.Status).IsEqualTo(200);
        await Assert.That(answer["Content-Length"]).IsEqualTo("10");
    }

    [Test]
    public async Task ConditionsAreEvaluated()
    {
        using Site site = new();
        HttpAnswer first = site.Server.Get("/a.txt");
        string tag = first["ETag"];
        string date = first["Last-Modified"];
        string before = "Sun, 06 Nov 1994 08:49:37 GMT";
        string after = DateTime.UtcNow.AddDays(1).ToString("r");
        (string Fields, int Status)[] cases =
        [
            ($"If-None-Match: {tag}", 304), ($"If-None-Match: W/{tag}", 304), ("If-None-Match: *", 304),
            ($"If-None-Match: \"x\", {tag}", 304), ("If-None-Match: \"x\"", 200),
            ($"If-Modified-Since: {date}", 304), ($"If-Modified-Since: {after}", 304),
            ($"If-Modified-Since: {before}", 200), ("If-Modified-Since: yesterday", 200),
            ($"If-None-Match: \"x\"\r\nIf-Modified-Since: {date}", 200), // The tag decides.
            ($"If-Match: {tag}", 200), ("If-Match: *", 200), ("If-Match: \"x\"", 412), ($"If-Match: W/{tag}", 412),
            ($"If-Unmodified-Since: {date}", 200), ($"If-Unmodified-Since: {before}", 412),
            ($"Range: bytes=0-1\r\nIf-Range: {tag}", 206), ("Range: bytes=0-1\r\nIf-Range: \"x\"", 200),
            ($"Range: bytes=0-1\r\nIf-Range: {date}", 206), ($"Range: bytes=0-1\r\nIf-Range: {before}", 200),
            ($"Range: bytes=0-1\r\nIf-None-Match: {tag}", 304),
        ];
        foreach ((string fields, int status) in cases)
        {
            HttpAnswer answer = site.Server.Get("/a.txt", fields + "\r\n");
            await Assert.That(answer.Status).IsEqualTo(status).Because(fields);
            await Assert.That(answer["ETag"]).IsEqualTo(status == 412 ? "" : tag);
        }

        File.WriteAllText(Path.Combine(site.Root, "a.txt"), "changed");
        await Assert.That(site.Server.Get("/a.txt", $"If-None-Match: {tag}\r\n").Body).IsEqualTo("changed");
    }

    [Test]
    public async Task LargeFilesArriveWholeAndInParts()
    {
        using Site site = new();
        byte[] content = new byte[5_000_001];
        new Random(1).NextBytes(content);
        File.WriteAllBytes(Path.Combine(site.Root, "large"), content);
        using HttpClient client = new() { BaseAddress = new Uri($"http://{site.Server.Address}") };

        byte[][] found = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => client.GetByteArrayAsync("/large")));
        await Assert.That(found.All(bytes => bytes.AsSpan().SequenceEqual(content))).IsTrue();

        using HttpRequestMessage part = new(HttpMethod.Get, "/large");
        part.Headers.Range = new(1_000_000, 4_000_000);
        HttpResponseMessage answer = await client.SendAsync(part);
        byte[] bytes = await answer.Content.ReadAsByteArrayAsync();
        await Assert.That(bytes.AsSpan().SequenceEqual(content.AsSpan(1_000_000..4_000_001))).IsTrue();
    }

    [Test]
    public async Task OtherMethodsAreNotAllowedOnFiles()
    {
        using Site site = new();

        await Assert.That(site.Server.Ask("DELETE", "/a.txt").Status).IsEqualTo(405);
        await Assert.That(site.Server.Ask("POST", "/echo", "Content-Length: 0\r\n").Status).IsEqualTo(405);
        await Assert.That(site.Server.Get("/metrics").Status).IsEqualTo(200);
        await Assert.That(File.Exists(Path.Combine(site.Root, "a.txt"))).IsTrue();
    }

    [Test]
    [Slow]
    public async Task ConnectionsThatServedFilesBecomeSmallAgain()
    {
        const int count = 5000; // Far more than the 1,024 stacks that Weft keeps resident for others.
        using Site site = new();
        _ = site.Server.Get("/a.txt");
        List<System.Net.Sockets.Socket> sockets = [.. Enumerable.Range(0, count).Select(_ => site.Server.Connect())];
        long before = site.Server.Resident;
        double busy = 0;
        for (int served = 1; served <= count; served++)
        {
            WeaveServer.Send(sockets[served - 1], "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
            WeaveServer.ReadUntil(sockets[served - 1], "0123456789");
            if (served == 500) // Soon: the first ones become small again while the last ones are served.
            {
                busy = (double)(site.Server.Resident - before) / served;
            }
        }

        long goroutines = site.Server.Metric("weft_goroutines");
        WeaveServer.Until("less memory", () => (double)(site.Server.Resident - before) / count < 0.8 * busy);

        // New goroutines wait in the place of the old ones.
        WeaveServer.Until("the same number", () => site.Server.Metric("weft_goroutines") == goroutines);
        WeaveServer.Send(sockets[0], "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        await Assert.That(WeaveServer.ReadUntil(sockets[0], "0123456789")).Contains("200 OK");
        sockets.ForEach(socket => socket.Dispose());
    }

    [Test]
    public async Task ABrowserLoadsAPageWithItsStyleScriptAndImage()
    {
        Skip.When(ChildProcess.Execute("sh", ["-c", "command -v chromium"]).ExitCode != 0, "there is no chromium");
        using Site site = new();
        site.Write("page.html", """
            <link rel="stylesheet" href="page.css"><h1 id="h"></h1><img id="i" src="page.svg">
            <script src="page.js"></script>
            """);
        site.Write("page.css", "h1 { color: rgb(1, 2, 3) }");
        site.Write("page.svg", """<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"/>""");
        site.Write("page.json", """{ "answer": 42 }""");
        site.Write("page.js", """
            onload = async () => {
                const data = await (await fetch("page.json")).json();
                const h = document.getElementById("h"), i = document.getElementById("i");
                h.textContent = `${getComputedStyle(h).color} ${i.naturalWidth}x${i.naturalHeight} ${data.answer}`;
            };
            """);
        ChildResult result = ChildProcess.Execute("chromium",
        [
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            $"--user-data-dir={Path.Combine(site.Root, "profile")}", "--virtual-time-budget=5000", "--dump-dom",
            $"http://{site.Server.Address}/page.html",
        ]);

        await Assert.That(result.Output).Contains("rgb(1, 2, 3) 40x20 42").Because(result.ToString());
    }

    [Test]
    public async Task ADirectoryThatIsNotThereIsAnError()
    {
        ChildResult result = ChildProcess.Execute(WeaveProgram.Path(), ["http", "127.0.0.1:0", "/nope"]);

        await Assert.That(result.ExitCode).IsEqualTo(1);
        await Assert.That(result.Error).IsEqualTo("weave: /nope: No such file or directory\n");
    }

    /// <summary>A directory of files, beside one that must not be served, and its server.</summary>
    private sealed class Site : IDisposable
    {
        private readonly string _top = Directory.CreateTempSubdirectory("weave-http-").FullName;

        internal Site()
        {
            Root = Directory.CreateDirectory(Path.Combine(_top, "root")).FullName;
            Directory.CreateDirectory(Path.Combine(Root, "sub"));
            Directory.CreateDirectory(Path.Combine(Root, "bare"));
            Write("index.html", "<p>index");
            Write("a.txt", "0123456789");
            Write("sub/index.html", "sub index");
            Write("sub/b.JPG", "jpg");
            Write("none", "none");
            Write("a b", "space");
            Write(".hidden", "hidden");
            Write("empty.css", "");
            Write("../secret", Secret);
            File.CreateSymbolicLink(Path.Combine(Root, "inner"), "a.txt");
            File.CreateSymbolicLink(Path.Combine(Root, "outside"), "../secret");
            File.CreateSymbolicLink(Path.Combine(Root, "outside-directory"), "..");
            File.CreateSymbolicLink(Path.Combine(Root, "absolute"), Path.Combine(_top, "secret"));
            _ = ChildProcess.Execute("mkfifo", [Path.Combine(Root, "pipe")]);
            Server = new WeaveServer("http", Root);
        }

        internal string Root { get; }

        internal WeaveServer Server { get; }

        public void Dispose()
        {
            Server.Dispose();
            Directory.Delete(_top, recursive: true);
        }

        internal void Write(string name, string text) => File.WriteAllText(Path.Combine(Root, name), text, Encoding.Latin1);
    }
}
