// What the base library's own thread is told of sockets that goroutines registered: asm/events.c.

using System.Net;
using System.Net.Sockets;

namespace Weft.Tests;

internal sealed class SocketEventTests
{
    // Far beyond what the kernel keeps for a connection.
    private const int Large = 16 << 20;

    // A synchronous receive of a socket that was used asynchronously registers it, for reading. A send that
    // finds no room after that waits for the other direction.
    [Test]
    [Arguments("goroutine")]
    [Arguments("pool")]
    public async Task ASendThatWaitsIsToldOfRoomThoughAReaderRegistered(string sender)
    {
        string? failure = Crew.Run(2, crew =>
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            _ = b.Send([1]);
            crew.Equal(Go.Await(a.ReceiveAsync(new byte[1])), 1, "which makes it non-blocking");
            WaitGroup reader = new();
            reader.Go(() => crew.Equal(a.Receive(new byte[1]), 1, "the reader's"));
            Go.Sleep(TimeSpan.FromMilliseconds(20)); // It registers, and waits.
            Task<int> sent = sender == "pool"
                ? Task.Run(() => SendAll(a))
                : Go.RunAsync(() => Go.Await(SendAll(a)));
            Go.Sleep(TimeSpan.FromMilliseconds(20)); // There is no more room.
            crew.Equal(ReadAll(b), Large, "bytes on the other side");
            crew.Equal(Go.Await(sent), Large, "bytes sent");
            _ = b.Send([1]);
            reader.Wait();
            a.Dispose();
            b.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    // Nothing comes from the peer: only that it can be written to tells that the connect is over.
    [Test]
    public async Task AConnectOfAGoroutinesIsToldOfItsEnd()
    {
        string? failure = Crew.Run(2, crew =>
        {
            using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(100);
            for (int i = 0; i < 100; i++)
            {
                using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                Go.Await(socket.ConnectAsync(listener.LocalEndPoint!));
                using Socket accepted = listener.Accept();
                crew.Equal(Go.Await(socket.SendAsync(new byte[3])), 3, "sent at once");
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static async Task<int> SendAll(Socket socket)
    {
        byte[] all = new byte[Large];
        int sent = 0;
        while (sent < Large)
        {
            sent += await socket.SendAsync(all.AsMemory(sent));
        }
        return sent;
    }

    private static int ReadAll(Socket socket)
    {
        byte[] buffer = new byte[64 * 1024];
        int read = 0;
        while (read < Large)
        {
            read += socket.Receive(buffer);
        }
        return read;
    }
}
