using System.Globalization;

namespace Weft.Tests;

/// <summary>An HTTP response, taken apart.</summary>
internal sealed record HttpAnswer(int Status, Dictionary<string, string> Fields, string Body)
{
    internal string this[string name] => Fields.GetValueOrDefault(name, "");

    /// <summary>The answers in what a connection received. The method of each request is needed to tell which
    /// have no body.</summary>
    internal static List<HttpAnswer> All(string text, params string[] methods)
    {
        List<HttpAnswer> all = [];
        while (text.Length > 0)
        {
            int end = text.IndexOf("\r\n\r\n", StringComparison.Ordinal);
            if (end < 0)
            {
                Assert.Fail($"no end of a head: {text}");
            }

            string[] lines = text[..end].Split("\r\n");
            Dictionary<string, string> fields = new(StringComparer.OrdinalIgnoreCase);
            foreach (string line in lines.Skip(1))
            {
                string[] parts = line.Split(": ", 2);
                fields.Add(parts[0], parts[1]);
            }

            int status = int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture);
            text = text[(end + 4)..];
            string body = "";
            string method = methods.ElementAtOrDefault(all.Count) ?? "GET";
            if (status >= 200 && status is not 204 and not 304 && method != "HEAD")
            {
                body = TakeBody(fields, ref text);
            }

            all.Add(new HttpAnswer(status, fields, body));
        }

        return all;
    }

    internal static HttpAnswer Single(string text, string method = "GET")
    {
        List<HttpAnswer> all = All(text, method);
        if (all.Count != 1)
        {
            Assert.Fail($"{all.Count} answers, not one: {text}");
        }

        return all[0];
    }

    private static string TakeBody(Dictionary<string, string> fields, ref string text)
    {
        string body = "";
        if (fields.TryGetValue("Content-Length", out string? length))
        {
            int count = int.Parse(length, CultureInfo.InvariantCulture);
            if (count > text.Length)
            {
                Assert.Fail($"{text.Length} bytes of a body of {count}");
            }

            body = text[..count];
            text = text[count..];
        }
        else if (fields.GetValueOrDefault("Transfer-Encoding") == "chunked")
        {
            int size;
            do
            {
                int end = text.IndexOf("\r\n", StringComparison.Ordinal);
                size = int.Parse(text[..end], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                body += text.Substring(end + 2, size);
                text = text[(end + 2 + size + 2)..];
            }
            while (size > 0);
        }
        else
        {
            body = text;
            text = "";
        }

        return body;
    }
}
