using System.Net.Sockets;

namespace Weft.Tests;

/// <summary>What the tests of net/ have in common: pairs of connections, and a server that echoes.</summary>
internal static class Loopback
{
    /// <summary>Two ends of a connection. On a goroutine or a thread.</summary>
    internal static (Conn Client, Conn Server) Pair(string network = "tcp")
    {
        string address = network == "unix" ? "@weft-" + Guid.NewGuid() : "127.0.0.1:0";
        using Listener listener = Net.Listen(network, address);
        Conn client = Net.Dial(network, network == "unix" ? address : At(listener));
        return (client, listener.Accept());
    }

    internal static string At(Listener listener) => $"127.0.0.1:{listener.Port}";

    /// <summary>A goroutine of the crew that accepts until the listener is closed, and one for each
    /// connection that sends back what comes.</summary>
    internal static Listener EchoServer(Crew crew, string network = "tcp", string address = "127.0.0.1:0")
    {
        Listener listener = Net.Listen(network, address);
        crew.Go(() =>
        {
            try
            {
                while (true)
                {
                    Conn conn = listener.Accept();
                    crew.Go(() => Echo(conn));
                }
            }
            catch (ObjectDisposedException)
            {
            }
        });
        return listener;
    }

    internal static void Echo(Conn conn)
    {
        using (conn)
        {
            Span<byte> buffer = stackalloc byte[200];
            while (conn.TryRead(buffer, out int count) == SocketError.Success && count > 0)
            {
                if (conn.TryWrite(buffer[..count]) != SocketError.Success)
                {
                    break;
                }
            }
        }
    }

    /// <summary>Sends messages of random length and expects each back.</summary>
    internal static void Exchange(Crew crew, Conn conn, int messages, int seed)
    {
        Span<byte> sent = stackalloc byte[150];
        Span<byte> received = stackalloc byte[150];
        Random random = new(seed);
        for (int i = 0; i < messages && !crew.Failed; i++)
        {
            int length = 1 + random.Next(150);
            random.NextBytes(sent[..length]);
            conn.Write(sent[..length]);
            conn.ReadExactly(received[..length]);
            crew.Expect(sent[..length].SequenceEqual(received[..length]), $"message {i} of {seed} is wrong");
        }
    }

    /// <summary>The SocketError of an IOException, or of a SocketException.</summary>
    internal static SocketError? ErrorOf(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (IOException e) when (e.InnerException is SocketException inner)
        {
            return inner.SocketErrorCode;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode;
        }
    }
}
