// Net, Listener, Conn, PacketConn: what arrives, from whom, over which network, for goroutines and threads.

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed partial class NetTests
{
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task WhatManyConnectionsSendComesBackToEachOfThem(int procs)
    {
        string? failure = Crew.Run(procs, crew => ExchangeOnManyConnections(crew, 200, 50));

        await Assert.That(failure).IsNull();
    }

    private static void ExchangeOnManyConnections(Crew crew, int connections, int messages)
    {
        Listener listener = Loopback.EchoServer(crew);
        WaitGroup clients = new();
        clients.Add(connections);
        for (int i = 0; i < connections; i++)
        {
            int seed = i;
            crew.Go(() =>
            {
                using (Conn conn = Net.Dial("tcp", Loopback.At(listener)))
                {
                    Loopback.Exchange(crew, conn, messages, seed);
                }
                clients.Done();
            });
        }
        clients.Wait();
        listener.Close();
    }

    [Test]
    public async Task NeighboursThatComputeDoNotTakeTheNetworksTime()
    {
        List<Process> neighbours = [];
        for (int i = 0; i < Environment.ProcessorCount; i++)
        {
            neighbours.Add(Process.Start("taskset", ["-c", $"{i}", "sh", "-c", "while :; do :; done"]));
        }
        long start = Stopwatch.GetTimestamp();
        string? failure = Crew.Run(1, crew => ExchangeOnManyConnections(crew, 200, 50));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(start);
        foreach (Process each in neighbours)
        {
            each.Kill();
            each.Dispose();
        }

        await Assert.That(failure).IsNull();
        // To give a neighbour its time slice before each look took 15 s in the small build.
        await Assert.That(elapsed).IsLessThan(TimeSpan.FromSeconds(8));
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ThreadsUseConnectionsAsGoroutinesDo(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            WaitGroup ended = new();
            ended.Add(16);
            for (int i = 0; i < 8; i++)
            {
                int seed = i;
                crew.Start(asThread: i % 2 == 0, () =>
                {
                    Loopback.Echo(listener.Accept());
                    ended.Done();
                });
                crew.Start(asThread: i % 4 < 2, () =>
                {
                    using (Conn conn = Net.Dial("tcp", Loopback.At(listener)))
                    {
                        Loopback.Exchange(crew, conn, 50, seed);
                    }
                    ended.Done();
                });
            }
            ended.Wait();
            listener.Close();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AThreadAloneMayAcceptAndRead()
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        Thread client = new(() =>
        {
            Thread.Sleep(20);
            using TcpClient tcp = new("127.0.0.1", listener.Port);
            Thread.Sleep(20);
            tcp.GetStream().Write("hello"u8);
        });
        client.Start();
        using Conn conn = listener.Accept();
        byte[] buffer = new byte[10];
        int count = conn.ReadAtLeast(buffer, 5);
        client.Join();

        await Assert.That(count).IsEqualTo(5);
        await Assert.That(conn.Read(buffer, 0, 10)).IsEqualTo(0);
    }

    [Test]
    [Arguments("tcp")]
    [Arguments("unix")]
    public async Task MegabytesArriveInOrderBothWaysAtOnce(string network)
    {
        const int size = 4 * 1024 * 1024;
        string? failure = Crew.Run(2, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair(network);
            byte[] data = new byte[size];
            new Random(1).NextBytes(data);
            WaitGroup ended = new();
            ended.Add(4);
            foreach (Conn each in new[] { client, server })
            {
                crew.Go(() =>
                {
                    each.Write(data);
                    ended.Done();
                });
                crew.Go(() =>
                {
                    byte[] got = new byte[size];
                    each.ReadExactly(got);
                    crew.Expect(got.AsSpan().SequenceEqual(data), "what arrived is different");
                    ended.Done();
                });
            }
            ended.Wait();
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AfterCloseWriteThePeerReadsTheRestAndMayAnswer()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            client.Write("question"u8);
            client.CloseWrite();
            using StreamReader reader = new(server);
            crew.Equal(reader.ReadToEnd(), "question", "read");
            server.Write("answer"u8);
            server.CloseWrite();
            using StreamReader answers = new(client);
            crew.Equal(answers.ReadToEnd(), "answer", "answered");
            crew.Equal(Loopback.ErrorOf(() => client.Write("x"u8)), SocketError.Shutdown, "write after the end");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheEndThatComesWithTheLastBytesIsNotMissed()
    {
        string? failure = Crew.Run(2, crew =>
        {
            Span<byte> buffer = stackalloc byte[100];
            for (int i = 0; i < 300; i++)
            {
                (Conn client, Conn server) = Loopback.Pair();
                crew.Go(() =>
                {
                    client.Write("last"u8);
                    client.Dispose();
                });
                int sum = 0;
                int count;
                while ((count = server.Read(buffer)) > 0)
                {
                    sum += count;
                }
                crew.Equal(sum, 4, "bytes before the end");
                server.Dispose();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task UrgentDataDoesNotHideWhatFollows()
    {
        string? failure = Crew.Run(1, crew =>
        {
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            using Socket peer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            peer.Connect(IPAddress.Loopback, listener.Port);
            using Conn conn = listener.Accept();
            _ = peer.Send("abc"u8);
            _ = peer.Send("!"u8, SocketFlags.OutOfBand);
            _ = peer.Send("def"u8);
            Thread.Sleep(20);
            byte[] got = new byte[100];
            conn.SetReadDeadline(TimeSpan.FromSeconds(10));
            conn.ReadExactly(got.AsSpan(0, 6));
            crew.Expect(got.AsSpan(0, 6).SequenceEqual("abcdef"u8), "the bytes before and after");
        });

        await Assert.That(failure).IsNull();
    }

    // No read joins the two pieces: the first ends with the descriptor, however much room there is.
    [Test]
    public async Task ADescriptorThatIsSentAlongDoesNotHideWhatFollows()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair("unix");
            using (client)
            using (server)
            {
                for (int i = 0; i < 5; i++)
                {
                    crew.Expect(SendWithDescriptor(client.Descriptor.Number, "abc"u8), "sendmsg");
                    client.Write("def"u8);
                    Go.Sleep(TimeSpan.FromMilliseconds(2)); // Both are reported before the read.
                    byte[] got = new byte[100];
                    server.SetReadDeadline(TimeSpan.FromSeconds(10));
                    server.ReadExactly(got.AsSpan(0, 6));
                    crew.Expect(got.AsSpan(0, 6).SequenceEqual("abcdef"u8), "both pieces");
                }
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static unsafe bool SendWithDescriptor(int socket, ReadOnlySpan<byte> data)
    {
        const int rights = 1; // SCM_RIGHTS, of SOL_SOCKET, 1.
        long* control = stackalloc long[3]; // A cmsghdr: its length, level and type; then the descriptor.
        control[0] = 16 + sizeof(int);
        ((int*)control)[2] = 1;
        ((int*)control)[3] = rights;
        ((int*)control)[4] = 2; // Standard error: any will do.
        fixed (byte* at = data)
        {
            nint* vector = stackalloc nint[2];
            vector[0] = (nint)at;
            vector[1] = data.Length;
            nint* message = stackalloc nint[7]; // A msghdr: name, its length, vector, control, flags.
            new Span<nint>(message, 7).Clear();
            message[2] = (nint)vector;
            message[3] = 1;
            message[4] = (nint)control;
            message[5] = 24;
            return SendMessage(socket, (nint)message, 0) == data.Length;
        }
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(int socket, nint message, int flags);

    [Test]
    public async Task AnEmptyDatagramIsSent()
    {
        string? failure = Crew.Run(1, crew =>
        {
            using PacketConn receiver = Net.ListenPacket("udp", "127.0.0.1:0");
            using Conn conn = Net.Dial("udp", $"{receiver.LocalEndPoint}");
            byte[] got = new byte[10];
            Action[] sends =
            [
                () => conn.Write([]),
                () => conn.Write([], []),
                () => conn.Write([ReadOnlyMemory<byte>.Empty, ReadOnlyMemory<byte>.Empty]),
                () => Go.Await(conn.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask()),
                () => crew.Equal(conn.TryWrite([]), SocketError.Success, "TryWrite"),
            ];
            receiver.SetDeadline(TimeSpan.FromSeconds(10));
            foreach (Action send in sends)
            {
                send();
                conn.Write([], "x"u8);
                crew.Equal(receiver.ReceiveFrom(got, out _), 0, "the empty one");
                crew.Equal(receiver.ReceiveFrom(got, out _), 1, "the other");
            }
            (Conn client, Conn server) = Loopback.Pair(); // An empty write of a stream is nothing.
            client.Write([]);
            Go.Await(client.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask());
            client.Dispose();
            crew.Equal(server.ReadByte(), -1, "the end");
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AReadWithNoRoomWaitsForDataAndTakesNone()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            bool woken = false;
            crew.GoAndPark(Weft.Runtime.ParkReason.Network, () =>
            {
                crew.Equal(server.WaitReadable(), SocketError.Success, "wait");
                woken = true;
                Span<byte> buffer = stackalloc byte[10];
                crew.Equal(server.Read(buffer), 2, "then read");
                crew.Equal(server.WaitReadable(), SocketError.Success, "wait for the end");
                crew.Equal(server.Read(buffer), 0, "the end");
                server.Dispose();
            });
            Crew.LetOthersRun();
            crew.Expect(!woken, "woken without data");
            client.Write("ab"u8);
            crew.Until(() => woken, "the reader");
            client.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(true)]
    [Arguments(false)]
    public async Task WhatCameBeforeTheFirstWaitIsFound(bool isAlone)
    {
        string? failure = Crew.Run(2, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            client.Write("ab"u8);
            if (!isAlone)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(20)); // It is reported before anybody waits.
            }
            Span<byte> buffer = stackalloc byte[1];
            crew.Equal(server.WaitReadable(), SocketError.Success, "the first wait");
            crew.Equal(server.WaitReadable(), SocketError.Success, "another, of what is still there");
            crew.Equal(server.Read(buffer), 1, "a part");
            crew.Equal(server.WaitReadable(), SocketError.Success, "the rest");
            crew.Equal(server.Read(buffer), 1, "the last");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task VectorsArriveWhole()
    {
        string? failure = Crew.Run(2, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            List<ReadOnlyMemory<byte>> parts = [];
            MemoryStream all = new();
            Random random = new(7);
            for (int i = 0; i < 100; i++)
            {
                byte[] part = new byte[random.Next(5) switch { 0 => 0, 1 => 200_000, _ => random.Next(5000) }];
                random.NextBytes(part);
                parts.Add(part);
                all.Write(part);
            }
            byte[] head = "head"u8.ToArray();
            crew.Go(() =>
            {
                client.Write(parts);
                client.Write(head, parts[0].Span);
                client.Write(head, head);
                client.Dispose();
            });
            all.Write(head);
            all.Write(parts[0].Span);
            all.Write(head);
            all.Write(head);
            MemoryStream got = new();
            server.CopyTo(got);
            crew.Expect(got.ToArray().AsSpan().SequenceEqual(all.ToArray()), "what arrived is different");
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AFileIsSentFromAnyPlace()
    {
        string path = Path.GetTempFileName();
        byte[] content = new byte[3_000_000];
        new Random(3).NextBytes(content);
        await File.WriteAllBytesAsync(path, content);
        string? failure = Crew.Run(2, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            crew.Go(() =>
            {
                using FileStream file = File.OpenRead(path);
                crew.Equal(client.SendFile(file.SafeFileHandle, 1000, 2_000_000), 2_000_000, "sent");
                crew.Equal(client.SendFile(file.SafeFileHandle, 2_999_990, 100), 10, "sent at the end");
                client.Dispose();
            });
            MemoryStream got = new();
            server.CopyTo(got);
            byte[] expected = [.. content[1000..2_001_000], .. content[2_999_990..]];
            crew.Expect(got.ToArray().AsSpan().SequenceEqual(expected), "what arrived is different");
            server.Dispose();
        });
        File.Delete(path);

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments("tcp", "127.0.0.1:0", "127.0.0.1")]
    [Arguments("tcp", ":0", "127.0.0.1")]
    [Arguments("tcp", "localhost:0", "localhost")]
    [Arguments("tcp4", ":0", "localhost")]
    [Arguments("tcp6", "[::1]:0", "[::1]")]
    [Arguments("tcp6", ":0", "[::1]")]
    [Arguments("tcp", "[::]:0", "[::1]")]
    [Arguments("tcp", "[::]:0", "127.0.0.1")]
    public async Task EveryFormOfAddressWorks(string network, string listen, string dial)
    {
        if (!Socket.OSSupportsIPv6 && dial.StartsWith('['))
        {
            return;
        }
        string? failure = Crew.Run(1, crew =>
        {
            using Listener listener = Net.Listen(network, listen);
            using Conn client = Net.Dial(network, $"{dial}:{listener.Port}");
            using Conn server = listener.Accept();
            crew.Equal(client.RemoteEndPoint, server.LocalEndPoint, "client's peer");
            crew.Equal(server.RemoteEndPoint, client.LocalEndPoint, "server's peer");
            crew.Equal(((IPEndPoint)client.RemoteEndPoint!).Port, listener.Port, "port");
            client.Write("x"u8);
            crew.Equal(server.ReadByte(), 'x', "read");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task UnixSocketsByPathAndByName()
    {
        string path = Path.Combine(Path.GetTempPath(), $"weft-{Guid.NewGuid():N}.sock");
        string? failure = Crew.Run(1, crew =>
        {
            foreach (string address in new[] { path, "@weft-test-" + Guid.NewGuid() })
            {
                Listener listener = Net.Listen("unix", address);
                using Conn client = Net.Dial("unix", address);
                using Conn server = listener.Accept();
                client.Write("x"u8);
                crew.Equal(server.ReadByte(), 'x', "read");
                crew.Equal(client.RemoteEndPoint!.ToString(), address, "address");
                crew.Equal(server.RemoteEndPoint, null, "the client has no name");
                crew.Equal(
                    Loopback.ErrorOf(() => Net.Listen("unix", address)), SocketError.AddressAlreadyInUse, "twice");
                listener.Close();
            }
            crew.Expect(!File.Exists(path), "the file is still there");
            crew.Expect(Loopback.ErrorOf(() => Net.Dial("unix", path)) != null, "nobody listens");
        });

        await Assert.That(failure).IsNull();
    }

    private static readonly int[] s_lengths = [5, 1, 90];

    [Test]
    [Arguments("udp", "127.0.0.1:0")]
    [Arguments("udp4", "127.0.0.1:0")]
    [Arguments("udp6", "[::1]:0")]
    [Arguments("udp", ":0")]
    public async Task DatagramsKeepTheirBoundsAndTheirSender(string network, string address)
    {
        string? failure = Crew.Run(2, crew =>
        {
            using PacketConn server = Net.ListenPacket(network, address);
            int port = ((IPEndPoint)server.LocalEndPoint!).Port;
            using Conn client = Net.Dial(network, (network == "udp6" ? "[::1]:" : "127.0.0.1:") + port);
            crew.Go(() =>
            {
                Span<byte> got = stackalloc byte[100];
                for (int i = 0; i < 3; i++)
                {
                    int count = server.ReceiveFrom(got, out EndPoint? from);
                    crew.Equal(from, client.LocalEndPoint, "sender");
                    server.SendTo(got[..count], from!);
                }
            });
            Span<byte> buffer = stackalloc byte[100];
            foreach (int length in s_lengths)
            {
                client.Write(new byte[length]);
                crew.Equal(client.Read(buffer), length, "length of the answer");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments("tcp", "127.0.0.1")]
    [Arguments("tcp", "127.0.0.1:")]
    [Arguments("tcp", "127.0.0.1:70000")]
    [Arguments("tcp", "127.0.0.1:http")]
    [Arguments("tcp", "::1:80")]
    [Arguments("tcp", "[::1:80")]
    [Arguments("tcp4", "[::1]:80")]
    [Arguments("tcp5", "127.0.0.1:80")]
    [Arguments("unix", "")]
    public async Task WhatIsNoAddressIsRefused(string network, string address)
    {
        await Assert.That(() => Net.Dial(network, address)).Throws<ArgumentException>();
        await Assert.That(() => Net.Listen(network, address)).Throws<ArgumentException>();
    }

    [Test]
    public async Task ErrorsAreThoseOfDotNet()
    {
        string? failure = Crew.Run(1, crew =>
        {
            Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            string address = Loopback.At(listener);
            crew.Equal(
                Loopback.ErrorOf(() => Net.Listen("tcp", address)), SocketError.AddressAlreadyInUse, "twice");
            listener.Close();
            crew.Equal(
                Loopback.ErrorOf(() => Net.Dial("tcp", address)), SocketError.ConnectionRefused, "closed");
            using Listener again = Net.Listen("tcp", address); // The port is free at once.
            crew.Equal(
                Loopback.ErrorOf(() => Net.Dial("tcp", "no-such-host.invalid:80")),
                Loopback.ErrorOf(() => Dns.GetHostAddresses("no-such-host.invalid")),
                "no host: HostNotFound, or TryAgain where no resolver answers");
            _ = crew.Throws<ObjectDisposedException>(() => listener.Accept(), "accept after close");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task OptionsAreWhatGoSetsAndCanBeChanged()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            crew.Expect(client.NoDelay, "the client delays");
            crew.Expect(server.NoDelay, "the server delays");
            server.NoDelay = false;
            crew.Expect(!server.NoDelay, "no-delay stays");
            server.SetKeepAlive(TimeSpan.FromSeconds(30));
            server.SetKeepAlive(TimeSpan.Zero);
            client.Dispose();
            client.Dispose();
            _ = crew.Throws<ObjectDisposedException>(() => client.NoDelay = true, "option after close");
            _ = crew.Throws<ObjectDisposedException>(() => client.Write("x"u8), "write after close");
            _ = crew.Throws<ObjectDisposedException>(() => client.ReadByte(), "read after close");
            crew.Expect(!client.CanRead, "can be read after close");
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }
}
