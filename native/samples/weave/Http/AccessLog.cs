// The access log, in the Combined Log Format that web servers share.
//
//   connection --line--> channel --> one goroutine --many lines, one write--> file
//
// A connection waits only when the channel is full, because the disk is slower than the clients.

using System.Diagnostics;
using System.Globalization;
using System.Text;
using Weave.Files;
using Weft;

namespace Weave.Http;

internal sealed class AccessLog
{
    private const int MostWaiting = 4096;

    private readonly Chan<byte[]> _lines = new(MostWaiting);
    private readonly WaitGroup _written = new();
    private readonly Output _output;

    internal AccessLog(int descriptor)
    {
        _output = new Output(descriptor);
        _written.Go(WriteLines);
    }

    /// <summary>Adds the line of a request that has been answered; the time it took, in microseconds, is
    /// the last field.</summary>
    internal void Add(Exchange exchange, string peer, int status, long bytes, long startedAt)
    {
        DateTime now = DateTime.Now;
        long took = (long)Stopwatch.GetElapsedTime(startedAt).TotalMicroseconds;
        string zone = now.ToString("zzz", CultureInfo.InvariantCulture).Replace(":", "", StringComparison.Ordinal);
        string time = now.ToString("dd/MMM/yyyy:HH:mm:ss ", CultureInfo.InvariantCulture) + zone;
        _lines.Send(Encoding.Latin1.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"{peer} - - [{time}] {Quoted(exchange.Text(exchange.Head.RequestLine))} {status} {bytes} "
            + $"{Quoted(exchange.Text(exchange.Head.Referer))} {Quoted(exchange.Text(exchange.Head.UserAgent))} {took}\n")));
    }

    /// <summary>Writes what is left. Nobody may add any more.</summary>
    internal void Close()
    {
        _lines.Close();
        _written.Wait();
    }

    private void WriteLines()
    {
        while (_lines.Receive(out byte[]? line))
        {
            do
            {
                _output.Write(line);
            }
            while (_lines.TryReceive(out line));
            _output.Flush();
        }
    }

    /// <summary>In quotation marks, so that a client can neither end the field nor send a terminal what
    /// it should not see.</summary>
    private static string Quoted(ReadOnlySpan<byte> text)
    {
        if (text.IsEmpty)
        {
            return "\"-\"";
        }

        StringBuilder quoted = new("\"");
        foreach (byte c in text)
        {
            if (c is < 0x20 or >= 0x7f or (byte)'"' or (byte)'\\')
            {
                _ = quoted.Append(CultureInfo.InvariantCulture, $"\\x{c:x2}");
            }
            else
            {
                _ = quoted.Append((char)c);
            }
        }

        return quoted.Append('"').ToString();
    }
}
