using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Weft.Tests;

/// <summary>A server of weave's in a process of its own, on a free port of this machine.</summary>
internal sealed class WeaveServer : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly Task<string> _error;

    internal WeaveServer(string verb, params string[] options)
    {
        string[] args = [verb, "127.0.0.1:0", .. options];
        _process = Process.Start(new ProcessStartInfo(WeaveProgram.Path(), args)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        _error = _process.StandardError.ReadToEndAsync();
        string line = _process.StandardOutput.ReadLine() ?? "";
        if (!line.StartsWith("weave: listening on 127.0.0.1:"))
        {
            Dispose();
            Assert.Fail($"weave {string.Join(' ', args)}: {line}\n{_error.Result}");
        }

        Port = int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
    }

    internal int Port { get; }

    internal string Address => $"127.0.0.1:{Port}";

    internal int ProcessId => _process.Id;

    /// <summary>Bytes resident.</summary>
    internal long Resident => long.Parse(
        File.ReadLines($"/proc/{ProcessId}/status").Single(line => line.StartsWith("VmRSS:")).Split(' ')[^2],
        CultureInfo.InvariantCulture) * 1024;

    internal int Descriptors => Directory.GetFiles($"/proc/{ProcessId}/fd").Length;

    internal Socket Connect(int port = 0)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = (int)s_limit.TotalMilliseconds,
            SendTimeout = (int)s_limit.TotalMilliseconds,
        };
        socket.Connect(IPAddress.Loopback, port == 0 ? Port : port);
        return socket;
    }

    /// <summary>Sends and ends the output, then returns all that comes until the server closes.</summary>
    internal string Exchange(string request) => Latin1(Exchange(Encoding.Latin1.GetBytes(request)));

    internal byte[] Exchange(byte[] request, int port = 0)
    {
        using Socket socket = Connect(port);
        SendAll(socket, request);
        Shutdown(socket);
        return ReadToEnd(socket);
    }

    /// <summary>The same for a request of a method and a target; the connection ends with it.</summary>
    internal HttpAnswer Ask(string method, string target, string fields = "", int port = 0) => HttpAnswer.Single(
        Latin1(Exchange(
            Encoding.Latin1.GetBytes(
                $"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"),
            port)),
        method);

    /// <summary>On another port than the first, if it is given.</summary>
    internal HttpAnswer Get(string target, string fields = "", int port = 0) => Ask("GET", target, fields, port);

    internal byte[] GetBytes(string target, int port) => Encoding.Latin1.GetBytes(Get(target, "", port).Body);

    /// <summary>The port of the next line of standard output, which says what happens there.</summary>
    internal int ReadPort(string what)
    {
        string line = _process.StandardOutput.ReadLine() ?? "";
        if (!line.StartsWith($"weave: {what} on 127.0.0.1:"))
        {
            Assert.Fail(line);
        }

        return int.Parse(line[(line.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture);
    }

    /// <summary>A figure of /metrics.</summary>
    internal long Metric(string name) => long.Parse(
        Get("/metrics").Body.Split('\n').Single(line => line.StartsWith(name + " ")).Split(' ')[1],
        CultureInfo.InvariantCulture);

    /// <summary>Waits until something is so; the test fails if it never is.</summary>
    internal static void Until(string what, Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit)
            {
                Assert.Fail($"in {s_limit.TotalSeconds} s not seen: {what}");
            }

            Thread.Sleep(5);
        }
    }

    // The shell's own kill: a small system has no program of that name.
    internal void Signal(string name) =>
        _ = ChildProcess.Execute("sh", ["-c", $"kill -{name} {ProcessId}"]);

    /// <summary>Waits for the end; exit code and what was written since the start.</summary>
    internal ChildResult WaitForExit()
    {
        if (!_process.WaitForExit(s_limit))
        {
            Assert.Fail("weave did not end");
        }

        return new ChildResult(_process.ExitCode, _process.StandardOutput.ReadToEnd(), _error.Result);
    }

    internal static void SendAll(Socket socket, ReadOnlySpan<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[socket.Send(bytes)..];
            }
        }
        catch (SocketException)
        {
            // The server has closed: what it said before that is what matters.
        }
    }

    internal static void Send(Socket socket, string text) => SendAll(socket, Encoding.Latin1.GetBytes(text));

    internal static byte[] ReadToEnd(Socket socket)
    {
        using MemoryStream all = new();
        byte[] buffer = new byte[64 * 1024];
        int count;
        while ((count = Receive(socket, buffer)) > 0)
        {
            all.Write(buffer, 0, count);
        }

        return all.ToArray();
    }

    /// <summary>Reads until a text has come; returns what has come so far.</summary>
    internal static string ReadUntil(Socket socket, string end)
    {
        StringBuilder all = new();
        byte[] one = new byte[1];
        while (!all.ToString().EndsWith(end, StringComparison.Ordinal) && Receive(socket, one) > 0)
        {
            all.Append((char)one[0]);
        }

        return all.ToString();
    }

    internal static string Latin1(byte[] bytes) => Encoding.Latin1.GetString(bytes);

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }

    private static void Shutdown(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Closed already.
        }
    }

    /// <summary>A reset is an end; a time-out fails the test.</summary>
    private static int Receive(Socket socket, byte[] buffer)
    {
        try
        {
            return socket.Receive(buffer);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            return 0;
        }
    }
}
