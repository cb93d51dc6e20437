// What weave http understands and what it refuses, without a server: the sources of the parser are compiled
// into the tests.

using System.Text;
using Weave.Http.Files;
using Weave.Http.Parsing;

namespace Weft.Tests;

internal sealed class HttpParserTests
{
    private const int Mutations = 40_000;

    [Test]
    public void EachInputOfTheCorpusIsReadAsItsNameSays() => Fail(
        from input in Corpus()
        let found = LastLine(HttpReading.Read(input.Bytes, []))
        where found != (input.Expected == "ok" ? "end" : input.Expected)
        select $"{input.Name}: {found}");

    [Test]
    public void ACutAtAnyByteChangesNothing() => Fail(
        from input in Corpus()
        let whole = HttpReading.Read(input.Bytes, [])
        from cut in Cuts(input.Bytes.Length)
        let found = HttpReading.Read(input.Bytes, [cut])
        where found != whole
        select $"{input.Name}, cut at {cut}: {found} for {whole}");

    [Test]
    public void OneByteAtATimeChangesNothing() => Fail(
        from input in Corpus()
        let whole = HttpReading.Read(input.Bytes, [])
        let found = HttpReading.Read(input.Bytes, Enumerable.Range(0, input.Bytes.Length))
        where found != whole
        select $"{input.Name}: {found} for {whole}");

    [Test]
    public void WhatIsReadOfDamagedInputDoesNotDependOnCuts()
    {
        Random random = new(1);
        CorpusInput[] corpus = [.. Corpus().Where(input => input.Bytes.Length < 2000)];
        HashSet<string> outcomes = [];
        List<string> wrong = [];
        for (int i = 0; i < Mutations; i++)
        {
            byte[] input = Mutate(random, corpus);
            string whole = HttpReading.Read(input, []);
            int[] cuts = [.. Enumerable.Range(0, 3).Select(_ => random.Next(input.Length + 1)).Order()];
            string found = HttpReading.Read(input, cuts);
            if (found != whole)
            {
                wrong.Add($"{Convert.ToBase64String(input)} cut at {string.Join(' ', cuts)}: {found} for {whole}");
            }

            outcomes.Add(LastLine(whole));
        }

        Fail(wrong);

        // The damage was of the kind that reaches all parts of the parser.
        string[] all = ["end", "more", "400", "417", "501", "505"];
        Fail(all.Except(outcomes));
    }

    [Test]
    public async Task AHeadMayHaveItsLimitsAndNoMore()
    {
        HeadLimits limits = new() { RequestLine = 100, Head = 300, Fields = 3 };
        string Read(string text) => LastLine(HttpReading.Read(Encoding.Latin1.GetBytes(text), [], limits));
        string Line(int length) => $"GET /{new string('a', length - 15)} HTTP/1.1\r\n";
        string Field(int length) => $"X: {new string('a', length - 5)}\r\n";

        // Line ends count, but for the last line feed.
        await Assert.That(Read(Line(100) + "Host: a\r\n\r\n")).IsEqualTo("end");
        await Assert.That(Read(Line(101) + "Host: a\r\n\r\n")).IsEqualTo("414");
        await Assert.That(Read(Line(50) + "Host: a\r\n" + Field(239) + "\r\n")).IsEqualTo("end");
        await Assert.That(Read(Line(50) + "Host: a\r\n" + Field(240) + "\r\n")).IsEqualTo("431");
        await Assert.That(Read(Line(50) + "Host: a\r\nX: b\r\nX: c\r\n\r\n")).IsEqualTo("end");
        await Assert.That(Read(Line(50) + "Host: a\r\nX: b\r\nX: c\r\nX: d\r\n\r\n")).IsEqualTo("431");
    }

    [Test]
    public async Task AHeadSaysWhatItsFieldsSay()
    {
        string found = HttpReading.Read(
            "GET http://h:1/p/q?r HTTP/1.1\r\nhost: \t h:2 \r\nUSER-AGENT: u v\r\nReferer:w\r\nRange: bytes=1-\r\nrange: x\r\n"u8
                .ToArray().Concat("If-Match: a\r\nIf-None-Match: b\r\nIf-Modified-Since: c\r\n"u8.ToArray())
                .Concat("If-Unmodified-Since: d\r\nIf-Range: e\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"u8.ToArray())
                .ToArray(),
            []);

        await Assert.That(found).IsEqualTo(
            "Get 1.1|GET http://h:1/p/q?r HTTP/1.1|/p/q|h:2|bytes=1-|a|b|c|d|e|w|u v|0 expects keep\nbody 0 0\nend");
    }

    [Test]
    [Arguments("/", "")]
    [Arguments("/a/b", "a/b")]
    [Arguments("/a//b/", "a//b/")]
    [Arguments("/%61%2E", "a.")]
    [Arguments("/...", "...")]
    [Arguments("/.a/..b", ".a/..b")]
    [Arguments("/%c3%A4", "\u00c3\u00a4")]
    [Arguments("/a%5c..", "a\\..")]
    [Arguments("", null)]
    [Arguments("a", null)]
    [Arguments("//a", null)]
    [Arguments("/%2fa", null)]
    [Arguments("/a%2fb", null)]
    [Arguments("/..", null)]
    [Arguments("/../a", null)]
    [Arguments("/a/../b", null)]
    [Arguments("/a/..", null)]
    [Arguments("/./a", null)]
    [Arguments("/%2e%2e/a", null)]
    [Arguments("/.%2E", null)]
    [Arguments("/%2e", null)]
    [Arguments("/a%00", null)]
    [Arguments("/a%", null)]
    [Arguments("/a%4", null)]
    [Arguments("/a%4g", null)]
    public async Task APathIsDecodedOnlyIfItStaysBelowTheRoot(string path, string? expected)
    {
        byte[] name = new byte[100];
        bool isName = RequestPath.TryDecode(Encoding.Latin1.GetBytes(path), name, out int length);

        await Assert.That(isName ? Encoding.Latin1.GetString(name, 0, length) : null).IsEqualTo(expected);
    }

    [Test]
    [Arguments("bytes=0-0", "0+1")]
    [Arguments("bytes=0-", "0+10")]
    [Arguments("Bytes=3-5", "3+3")]
    [Arguments("bytes= 3-5 ", "3+3")]
    [Arguments("bytes=9-99", "9+1")]
    [Arguments("bytes=-3", "7+3")]
    [Arguments("bytes=-99", "0+10")]
    [Arguments("bytes=10-", "none")]
    [Arguments("bytes=-0", "none")]
    [Arguments("bytes=5-4", "whole")]
    [Arguments("bytes=1-2,4-5", "whole")]
    [Arguments("bytes=", "whole")]
    [Arguments("bytes=-", "whole")]
    [Arguments("bytes=a-b", "whole")]
    [Arguments("bytes=1", "whole")]
    [Arguments("lines=1-2", "whole")]
    [Arguments("bytes=99999999999999999999-", "whole")]
    public async Task ARangeIsTakenFromAFileOfTenBytes(string field, string expected)
    {
        RangeKind kind = ByteRange.Parse(Encoding.ASCII.GetBytes(field), 10, out long offset, out long length);

        await Assert.That(kind switch
        {
            RangeKind.Part => $"{offset}+{length}",
            RangeKind.Whole => "whole",
            _ => "none",
        }).IsEqualTo(expected);
    }

    [Test]
    [Arguments("Sun, 06 Nov 1994 08:49:37 GMT", 784111777)]
    [Arguments("Sunday, 06-Nov-94 08:49:37 GMT", 784111777)]
    [Arguments("Sun Nov  6 08:49:37 1994", 784111777)]
    [Arguments("Sun, 06 Nov 1994 08:49:37", null)]
    [Arguments("yesterday", null)]
    public async Task ADateHasOneOfThreeForms(string text, long? expected)
    {
        bool isDate = HttpDate.TryParse(Encoding.ASCII.GetBytes(text), out long second);

        await Assert.That(isDate ? second : (long?)null).IsEqualTo(expected);
        await Assert.That(Encoding.ASCII.GetString(HttpDate.Format(784111777)))
            .IsEqualTo("Sun, 06 Nov 1994 08:49:37 GMT");
    }

    private static string LastLine(string text) => text[(text.LastIndexOf('\n') + 1)..];

    /// <summary>Every place; for long inputs those where something happens, and some.</summary>
    private static IEnumerable<int> Cuts(int length) => Enumerable.Range(0, length)
        .Where(cut => length < 2000 || cut < 100 || cut > length - 100 || cut % 997 == 0);

    private static byte[] Mutate(Random random, CorpusInput[] corpus)
    {
        List<byte> input = [.. corpus[random.Next(corpus.Length)].Bytes];
        ReadOnlySpan<byte> interesting = "\r\n\r\n\0 \t:;,0123456789afxGP/*%#?\u007f"u8;
        for (int changes = random.Next(1, 4); changes > 0 && input.Count > 0; changes--)
        {
            int at = random.Next(input.Count);
            int length = Math.Min(random.Next(1, 9), input.Count - at);
            switch (random.Next(5))
            {
                case 0:
                    input[at] = (byte)random.Next(256);
                    break;
                case 1:
                    input[at] = interesting[random.Next(interesting.Length)];
                    break;
                case 2:
                    input.Insert(at, interesting[random.Next(interesting.Length)]);
                    break;
                case 3:
                    input.RemoveRange(at, length);
                    break;
                default:
                    input.InsertRange(at, input.GetRange(random.Next(input.Count - length + 1), length));
                    break;
            }
        }

        return [.. input];
    }

    private static void Fail(IEnumerable<string> wrong)
    {
        string[] found = [.. wrong.Take(20)];
        if (found.Length > 0)
        {
            Assert.Fail(string.Join('\n', found));
        }
    }

    private static IEnumerable<CorpusInput> Corpus() =>
        from file in Directory.EnumerateFiles(Path.Combine(Repository.Root(), "tests", "corpus", "http"))
        let name = Path.GetFileName(file)
        orderby name
        select new CorpusInput(name, File.ReadAllBytes(file));

    private sealed record CorpusInput(string Name, byte[] Bytes)
    {
        internal string Expected => Name.Split('-')[0];
    }
}
