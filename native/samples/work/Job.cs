using System.Security.Cryptography;
using System.Text;

namespace Work;

/// <summary>What there is to do: a time and a text. The answer is the text's SHA-256.</summary>
internal static class Job
{
    /// <summary>Every thousandth takes longer than the server waits.</summary>
    internal static string Text(int number)
    {
        TimeSpan time = number % 1000 == 500 ? 2 * JobQueue.AckWait : TimeSpan.FromMilliseconds(50);
        return $"{time.TotalMilliseconds} job {number}";
    }

    /// <summary>Blocks, as a database or another service would make it block.</summary>
    internal static string Do(string text)
    {
        Thread.Sleep(int.Parse(text[..text.IndexOf(' ')]));
        return Answer(text);
    }

    internal static string Answer(string text) =>
        Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
}
