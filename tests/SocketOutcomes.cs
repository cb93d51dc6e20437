// What the base library's calls on sockets and pipes end with, as a list: the same on goroutines that park in
// them as on goroutines that block their threads. All cases at once; who closes waits long enough for any
// call to have begun.

using System.IO.Pipes;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal static partial class SocketOutcomes
{
    private const int LaterMs = 250;
    private const int LimitMs = 60;

    private static readonly SortedDictionary<string, Action> s_cases = new(StringComparer.Ordinal)
    {
        ["accept, closed"] = () => Closed(Listening(), s => s.Accept()),
        ["accept, nobody comes"] = () =>
            Expect(Listening(), s => s.Poll(LimitMs * 1000, SelectMode.SelectRead)),
        ["connect, closed"] = () => With(Full(), l => Closed(New(), s => s.Connect(l.LocalEndPoint!))),
        ["connect, refused"] = () => With(New(), s => s.Connect(Nobody())),
        ["connect, refused twice"] = () => With(New(), s =>
        {
            Note(() => s.Connect(Nobody()));
            s.Connect(Nobody());
        }),
        ["connect, refused, then not"] = () => With(New(), s =>
        {
            Note(() => s.Connect(Nobody()));
            using Socket l = Listening();
            s.Connect(l.LocalEndPoint!);
        }),
        ["connect, then again"] = () => With(Listening(), l => With(New(), s =>
        {
            s.Connect(l.LocalEndPoint!);
            s.Connect(l.LocalEndPoint!);
        })),
        ["connect, time-out"] = () => With(Full(), l => With(New(), s =>
        {
            s.SendTimeout = LimitMs;
            s.Connect(l.LocalEndPoint!);
        })),
        ["connect, unix, nobody"] = () => With(
            new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified),
            s => s.Connect(new UnixDomainSocketEndPoint("/nowhere/at/all"))),
        ["datagram, closed"] = () => Closed(Datagrams(), s => s.Receive(new byte[1])),
        ["datagram, closed, used before"] = () => Closed(UsedDatagrams(), s => s.Receive(new byte[1])),
        ["datagram, from, closed"] = () => Closed(Datagrams(), s =>
        {
            EndPoint from = new IPEndPoint(IPAddress.Any, 0);
            _ = s.ReceiveFrom(new byte[1], ref from);
        }),
        ["datagram, refused"] = () => With(Datagrams(), s =>
        {
            s.Connect(Nobody());
            _ = s.Send(new byte[1]);
            _ = s.Receive(new byte[1]);
        }),
        ["datagram, time-out"] = () => With(Datagrams(), s =>
        {
            s.ReceiveTimeout = LimitMs;
            _ = s.Receive(new byte[1]);
        }),
        ["datagram, too long"] = () => With(Datagrams(), s =>
        {
            _ = s.SendTo(new byte[10], s.LocalEndPoint!);
            _ = s.Receive(new byte[3]);
        }),
        ["pipe, read, then end"] = () => Pipe((server, client) =>
        {
            server.WriteByte(7);
            server.Dispose();
            Note($"{client.ReadByte()} {client.ReadByte()}");
        }),
        ["pipe, write, nobody reads"] = () => Pipe((server, client) =>
        {
            client.Dispose();
            server.Write(new byte[100_000]);
        }),
        ["pipe, write, reader leaves"] = () => Pipe((server, client) =>
        {
            Later(client.Dispose);
            server.Write(new byte[1_000_000]);
        }),
        ["poll, closed"] = () => ClosedPair(s => s.Poll(-1, SelectMode.SelectRead)),
        ["poll, error"] = () => ExpectPair(s => s.Poll(LimitMs * 1000, SelectMode.SelectError)),
        ["poll, nothing"] = () => ExpectPair(s => s.Poll(LimitMs * 1000, SelectMode.SelectRead)),
        ["poll, something"] = () => WithPair((s, peer) =>
        {
            Later(() => peer.Send(new byte[1]));
            Note($"{s.Poll(-1, SelectMode.SelectRead)} {s.Available}");
        }),
        ["poll, writable"] = () => ExpectPair(s => s.Poll(-1, SelectMode.SelectWrite)),
        ["receive, closed"] = () => ClosedPair(s => s.Receive(new byte[1])),
        ["receive, closed, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            Closed(s, each => each.Receive(new byte[1]));
        }),
        ["receive, end"] = () => WithPair((s, peer) =>
        {
            Later(peer.Dispose);
            Note($"{s.Receive(new byte[1])}");
        }),
        ["receive, end, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            Later(peer.Dispose);
            Note($"{s.Receive(new byte[1])}");
        }),
        ["receive, not connected"] = () => With(New(), s => s.Receive(new byte[1])),
        ["receive, non-blocking"] = () => WithPair((s, peer) =>
        {
            s.Blocking = false;
            _ = s.Receive(new byte[1]);
        }),
        ["receive, peek"] = () => WithPair((s, peer) =>
        {
            Later(() => peer.Send(new byte[3]));
            byte[] buffer = new byte[10];
            Note($"{s.Receive(buffer, SocketFlags.Peek)} {s.Receive(buffer)}");
        }),
        ["receive, reset"] = () => WithPair((s, peer) =>
        {
            Later(() =>
            {
                peer.LingerState = new LingerOption(true, 0);
                peer.Dispose();
            });
            _ = s.Receive(new byte[1]);
        }),
        ["receive, several buffers"] = () => WithPair((s, peer) =>
        {
            Later(() => peer.Send(new byte[5]));
            Note($"{s.Receive([new byte[3], new byte[3]])}");
        }),
        ["receive, shut down"] = () => WithPair((s, peer) =>
        {
            Later(() => s.Shutdown(SocketShutdown.Receive));
            Note($"{s.Receive(new byte[1])}");
        }),
        ["receive, shut down, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            Later(() => s.Shutdown(SocketShutdown.Receive));
            Note($"{s.Receive(new byte[1])}");
        }),
        ["receive, time-out"] = () => WithPair((s, peer) =>
        {
            s.ReceiveTimeout = LimitMs;
            Note(() => s.Receive(new byte[1]));
            Note(() => s.Receive(new byte[1]));
            _ = peer.Send(new byte[1]);
            Note($"{s.Receive(new byte[1])}");
        }),
        ["receive, time-out, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            s.ReceiveTimeout = LimitMs;
            _ = s.Receive(new byte[1]);
        }),
        ["receive, unix, closed"] = () =>
        {
            (Socket client, Socket server) = UnixPair();
            Closed(client, s => Note($"{s.Receive(new byte[1])}"));
            server.Dispose();
        },
        ["receive, unix, closed, used before"] = () =>
        {
            (Socket client, Socket server) = UnixPair();
            _ = server.Send(new byte[1]);
            Note($"{client.ReceiveAsync(new byte[1]).Result}");
            Closed(client, s => Note($"{s.Receive(new byte[1])}"));
            server.Dispose();
        },
        ["select, closed"] = () => ClosedPair(s => Select([s], [], [s], -1)),
        ["select, connected"] = () => With(Listening(), l => With(New(), s =>
        {
            s.Blocking = false;
            Note(() => s.Connect(l.LocalEndPoint!));
            Select([], [s], [s], -1);
            s.Blocking = true;
        })),
        ["select, nothing"] = () => WithPair((s, peer) => Select([s, peer], [], [s, peer], LimitMs)),
        ["select, refused"] = () => With(New(), s =>
        {
            s.Blocking = false;
            Note(() => s.Connect(Nobody()));
            Select([], [s], [s], -1);
            Note(() => s.Connect(Nobody()));
        }),
        ["select, something"] = () => WithPair((s, peer) =>
        {
            Later(() => peer.Send(new byte[1]));
            Select([peer, s], [], [s], -1);
        }),
        ["select, urgent"] = () => WithPair((s, peer) =>
        {
            Later(() => peer.Send(new byte[1], SocketFlags.OutOfBand));
            Select([s], [], [peer, s], -1);
        }),
        ["send a file"] = () => WithPair(SendFile),
        ["send a file, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            SendFile(s, peer);
        }),
        ["send a file, closed"] = () => ClosedPair(s => WithFile(s.SendFile)),
        ["send a file, time-out"] = () => WithPair((s, peer) => WithFile(path =>
        {
            s.SendTimeout = LimitMs;
            s.SendFile(path);
        })),
        ["send, closed"] = () => ClosedPair(s =>
        {
            while (true)
            {
                _ = s.Send(new byte[100_000]);
            }
        }),
        ["send, not connected"] = () => With(New(), s => s.Send(new byte[1])),
        ["send, reset"] = () => WithPair((s, peer) =>
        {
            Later(() =>
            {
                peer.LingerState = new LingerOption(true, 0);
                peer.Dispose();
            });
            while (true)
            {
                _ = s.Send(new byte[100_000]);
            }
        }),
        ["send, time-out"] = () => WithPair((s, peer) =>
        {
            s.SendTimeout = LimitMs;
            while (true)
            {
                _ = s.Send(new byte[100_000]);
            }
        }),
        ["send, unix, time-out"] = () =>
        {
            (Socket client, Socket server) = UnixPair();
            client.SendTimeout = LimitMs;
            With(client, s =>
            {
                while (true)
                {
                    _ = s.Send(new byte[100_000]);
                }
            });
            server.Dispose();
        },
        ["stream, closed, used before"] = () => WithPair((s, peer) =>
        {
            _ = peer.Send(new byte[1]);
            Note($"{s.ReceiveAsync(new byte[1]).Result}");
            using NetworkStream stream = new(s);
            Closed(s, each => stream.ReadByte());
        }),
        ["stream, time-out"] = () => WithPair((s, peer) =>
        {
            using NetworkStream stream = new(s) { ReadTimeout = LimitMs };
            _ = stream.ReadByte();
        }),
    };

    [ThreadStatic]
    private static List<string>? t_notes;

    /// <summary>Skips the calling test under a qemu whose getsockopt gives nothing for a time-out, and says that
    /// it has (version 10.0.13): a goroutine waits for ever there.</summary>
    internal static void SkipWithoutTimeOuts()
    {
        const int socketLevel = 1, receiveTimeOut = 20;
        using Socket socket = new(SocketType.Dgram, ProtocolType.Udp);
        bool says = !Qemu.IsHere || socket.GetRawSocketOption(socketLevel, receiveTimeOut, stackalloc byte[16]) > 0;
        Skip.Unless(says, "qemu: it does not say what the time-out of a socket is");
    }

    /// <summary>Prints the list.</summary>
    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        SortedDictionary<string, string> outcomes = new(StringComparer.Ordinal);
        WaitGroup done = new();
        foreach ((string name, Action action) in s_cases)
        {
            done.Go(() =>
            {
                t_notes = [];
                Note(action);
                string outcome = string.Join(", ", t_notes);
                lock (outcomes)
                {
                    outcomes[name] = outcome;
                }
            });
        }
        done.Wait();
        foreach ((string name, string outcome) in outcomes)
        {
            Console.WriteLine($"{name}: {outcome}");
        }
        return 0;
    });

    /// <summary>The same list, with one outcome where two are right, on a thread as well: on a busy machine one
    /// of six sends that are in the middle of something ends with the other one, and the kernel says to a
    /// connect that a signal made begin anew that it is under way.</summary>
    internal static string Usual(string list) => list
        .Replace("send, closed: SocketError.ConnectionAborted", "send, closed: ObjectDisposedException")
        .Replace("send a file, closed: SocketError.ConnectionAborted", "send a file, closed: ObjectDisposedException")
        .Replace("reader leaves: IOException of TimedOut", "reader leaves: IOException of Shutdown")
        .Replace("send, reset: SocketError.TimedOut", "send, reset: SocketError.ConnectionReset")
        .Replace("connect, time-out: SocketError.AlreadyInProgress", "connect, time-out: SocketError.TimedOut");

    private static void Note(string what) => t_notes!.Add(what);

    private static void Note(Action action)
    {
        try
        {
            action();
            Note("done");
        }
        catch (SocketException e)
        {
            Note($"SocketError.{e.SocketErrorCode}");
        }
        catch (IOException e)
        {
            Note($"{e.GetType().Name} of {(e.InnerException as SocketException)?.SocketErrorCode}");
        }
        catch (Exception e)
        {
            Note(e.GetType().Name);
        }
    }

    private static void Select(List<Socket> read, List<Socket> write, List<Socket> error, int ms)
    {
        Socket.Select(read, write, error, ms < 0 ? ms : ms * 1000);
        Note($"{read.Count} {write.Count} {error.Count}");
    }

    /// <summary>To one who begins to read later.</summary>
    private static void SendFile(Socket s, Socket peer) => WithFile(path =>
    {
        long got = 0;
        WaitGroup done = new();
        done.Go(() =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(LaterMs));
            byte[] buffer = new byte[100_000];
            for (int n = peer.Receive(buffer); n > 0; n = peer.Receive(buffer))
            {
                got += n;
            }
        });
        s.SendFile(path);
        s.Shutdown(SocketShutdown.Send);
        done.Wait();
        Note($"{got}");
    });

    /// <summary>One that is longer than what a connection takes.</summary>
    private static void WithFile(Action<string> use)
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using (FileStream file = File.Create(path))
        {
            file.SetLength(50_000_000); // Nothing of it is on the disk.
        }
        Note(() => use(path));
        File.Delete(path);
    }

    private static void Later(Action action) => Go.Run(() =>
    {
        Go.Sleep(TimeSpan.FromMilliseconds(LaterMs));
        action();
    });

    private static void With(Socket socket, Action<Socket> use)
    {
        using (socket)
        {
            Note(() => use(socket));
            Note(FlagsOf(socket));
        }
    }

    private static void ExpectPair(Func<Socket, bool> use) => WithPair((s, peer) => Note($"{use(s)}"));

    private static void ClosedPair(Action<Socket> use) => WithPair((s, peer) => Closed(s, use));

    private static void Expect(Socket socket, Func<Socket, bool> use) =>
        With(socket, s => Note($"{use(s)}"));

    private static void Closed(Socket socket, Action<Socket> use)
    {
        Later(socket.Dispose);
        use(socket);
    }

    private static void WithPair(Action<Socket, Socket> use)
    {
        (Socket client, Socket server) = Pair();
        using (server)
        {
            With(client, s => use(s, server));
        }
    }

    private static void Pipe(Action<AnonymousPipeServerStream, AnonymousPipeClientStream> use)
    {
        using AnonymousPipeServerStream server = new(PipeDirection.Out);
        using AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
        use(server, client);
    }

    private static Socket New() => new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    internal static Socket Datagrams()
    {
        Socket s = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        s.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return s;
    }

    /// <summary>One in non-blocking mode, as it was used asynchronously.</summary>
    private static Socket UsedDatagrams()
    {
        Socket s = Datagrams();
        _ = s.SendTo(new byte[1], s.LocalEndPoint!);
        Note($"{s.ReceiveAsync(new byte[1]).Result}");
        return s;
    }

    internal static Socket Listening(int backlog = 200)
    {
        Socket l = New();
        l.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        l.Listen(backlog);
        return l;
    }

    /// <summary>One that answers nobody: its queue is full.</summary>
    private static Socket Full()
    {
        Socket l = Listening(1);
        for (int i = 0; i < 4; i++)
        {
            Socket s = New();
            s.Blocking = false;
            Note(() => s.Connect(l.LocalEndPoint!));
            t_notes!.Clear();
        }
        return l;
    }

    private static IPEndPoint Nobody()
    {
        using Socket s = New();
        s.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)s.LocalEndPoint!;
    }

    internal static (Socket Client, Socket Server) Pair()
    {
        using Socket l = Listening();
        Socket client = New();
        client.Connect(l.LocalEndPoint!);
        return (client, l.Accept());
    }

    internal static (Socket Client, Socket Server) UnixPair(SocketType type = SocketType.Stream)
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        using Socket l = new(AddressFamily.Unix, type, ProtocolType.Unspecified);
        l.Bind(new UnixDomainSocketEndPoint(path));
        l.Listen();
        Socket client = new(AddressFamily.Unix, type, ProtocolType.Unspecified);
        client.Connect(l.LocalEndPoint!);
        File.Delete(path);
        return (client, l.Accept());
    }

    private static string FlagsOf(Socket socket)
    {
        const int getFlags = 3;
        const int nonBlocking = 0x800;
        int flags = socket.SafeHandle.IsClosed ? -1 : Fcntl((int)socket.Handle, getFlags, 0);
        return flags < 0 ? "closed" : (flags & nonBlocking) != 0 ? "non-blocking" : "blocking";
    }

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int Fcntl(int fd, int command, int value);
}
