// The end of descriptors: closed while others wait in them, reset by the peer, used up, used again.

using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class NetCloseTests
{
    private const int LimitOfFiles = 7; // RLIMIT_NOFILE

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ClosingWakesThoseWhoRead(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 50; i++)
            {
                (Conn client, Conn server) = Loopback.Pair();
                for (int reader = 0; reader < 3; reader++) // One in the poller, two in line.
                {
                    crew.GoAndPark(ParkReason.Network, () => _ = crew.Throws<ObjectDisposedException>(
                        () => client.ReadByte(), "read"));
                }
                client.Dispose();
                crew.Equal(server.ReadByte(), -1, "the peer's end");
                server.Dispose();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ClosingWakesThoseWhoWrite(int procs)
    {
        byte[] much = new byte[32 * 1024 * 1024];
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 5; i++)
            {
                (Conn client, Conn server) = Loopback.Pair();
                crew.GoAndPark(ParkReason.Network, () => _ = crew.Throws<ObjectDisposedException>(
                    () => client.Write(much), "write"));
                client.Dispose();
                server.Dispose();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(4)]
    public async Task ClosingWakesThoseWhoAccept(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 50; i++)
            {
                Listener listener = Net.Listen("tcp", "127.0.0.1:0");
                for (int each = 0; each < 3; each++)
                {
                    crew.GoAndPark(ParkReason.Network, () => _ = crew.Throws<ObjectDisposedException>(
                        () => listener.Accept(), "accept"));
                }
                listener.Close();
                using Listener again = Net.Listen("tcp", Loopback.At(listener)); // The port is free.
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public async Task CloseMayRaceWithEverything(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 300; i++)
            {
                (Conn client, Conn server) = Loopback.Pair();
                WaitGroup ended = new();
                Action[] actions =
                [
                    () => _ = client.TryRead(new byte[10], out _),
                    () => _ = client.TryWrite("abc"u8),
                    () => Quietly(() => client.SetDeadline(TimeSpan.FromMicroseconds(50))),
                    () => Quietly(() => _ = client.NoDelay),
                    client.Dispose,
                    client.Dispose,
                ];
                Random.Shared.Shuffle(actions);
                foreach (Action action in actions)
                {
                    ended.Add();
                    crew.Start(asThread: i % 50 == 0, () =>
                    {
                        action();
                        ended.Done();
                    });
                }
                ended.Wait();
                server.Dispose();
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    private static void Quietly(Action action)
    {
        try
        {
            action();
        }
        catch (ObjectDisposedException)
        {
        }
    }

    // A number, and the record behind it, serve the next connection at once. Nobody may be woken by, or read
    // from, what was there before.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task NumbersThatAreUsedAgainDeliverNothingStale(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Listener listener = Loopback.EchoServer(crew);
            WaitGroup clients = new();
            clients.Add(20);
            for (int i = 0; i < 20; i++)
            {
                int seed = i;
                crew.Go(() =>
                {
                    for (int round = 0; round < 100 && !crew.Failed; round++)
                    {
                        Conn conn = Net.Dial("tcp", Loopback.At(listener));
                        conn.SetDeadline(TimeSpan.FromSeconds(30)); // A timer that must not hit the next.
                        Loopback.Exchange(crew, conn, 2, seed + round);
                        if (round % 3 == 0)
                        {
                            conn.Write("left behind"u8);
                            conn.SetLinger(TimeSpan.Zero);
                        }
                        conn.Dispose();
                    }
                    clients.Done();
                });
            }
            clients.Wait();
            listener.Close();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    [Test]
    public async Task AResetIsAnErrorOfReadsAndWrites()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            SocketError? read = null;
            crew.GoAndPark(ParkReason.Network, () => read = Loopback.ErrorOf(() => server.ReadByte()));
            client.SetLinger(TimeSpan.Zero);
            client.Dispose();
            crew.Until(() => read != null, "the reader");
            crew.Equal(read, SocketError.ConnectionReset, "read");
            crew.Equal(Loopback.ErrorOf(() => server.Write("x"u8)), SocketError.Shutdown, "write");
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AConnectionThatNobodyClosedIsClosedByTheCollector()
    {
        int before = PollTable.OpenCount;
        string? failure = Crew.Run(1, crew =>
        {
            bool forgotten = false;
            crew.Go(() =>
            {
                _ = Loopback.Pair();
                Volatile.Write(ref forgotten, true);
            });
            crew.Until(() => Volatile.Read(ref forgotten), "the pair");
            crew.Until(
                () =>
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    return PollTable.OpenCount == before;
                },
                "finalizers");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [NotOnJit("a thread takes a descriptor to start")]
    public async Task WithoutDescriptorsAcceptFailsAndGoesOnLater()
    {
        ChildResult child = ChildProcess.Run("net-no-descriptors");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).IsEqualTo("TooManyOpenSockets, then all 20 served\n");
    }

    /// <summary>Leaves no number free while clients wait, and frees some later.</summary>
    internal static int NoDescriptors(string[] args) => WeftHost.Run(() =>
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        using Conn warm = Net.Dial("tcp", Loopback.At(listener));
        using Conn first = listener.Accept();
        SetLimit(200);
        List<Conn> clients = [];
        for (int i = 0; i < 20; i++)
        {
            clients.Add(Net.Dial("tcp", Loopback.At(listener)));
        }
        List<FileStream> fillers = [];
        try
        {
            while (true)
            {
                fillers.Add(File.OpenRead("/dev/null"));
            }
        }
        catch (IOException)
        {
        }
        SocketError? error = Loopback.ErrorOf(() => listener.Accept());
        Go.Run(() =>
        {
            Go.Sleep(TimeSpan.FromMilliseconds(50));
            fillers.ForEach(each => each.Dispose());
        });
        int served = 0;
        while (served < 20)
        {
            if (Loopback.ErrorOf(() => listener.Accept().Dispose()) == null)
            {
                served++;
            }
            else
            {
                Go.Sleep(TimeSpan.FromMilliseconds(5));
            }
        }
        Console.WriteLine($"{error}, then all {served} served");
        clients.ForEach(each => each.Dispose());
        return 0;
    });

    private static void SetLimit(ulong files)
    {
        ulong[] limit = [files, files];
        if (SetResourceLimit(LimitOfFiles, limit) != 0)
        {
            throw new InvalidOperationException("setrlimit failed");
        }
    }

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetResourceLimit(int resource, ulong[] limit);

    [Test]
    [Arguments(2)]
    public async Task ThousandsOfConnectionsLeaveNothing(int procs)
    {
        int filesBefore = Directory.GetFiles("/proc/self/fd").Length;
        string? failure = Crew.Run(procs, crew =>
        {
            Listener listener = Loopback.EchoServer(crew);
            WaitGroup clients = new();
            clients.Add(50);
            for (int i = 0; i < 50; i++)
            {
                crew.Go(() =>
                {
                    for (int round = 0; round < 60; round++)
                    {
                        Conn conn = Net.Dial("tcp", Loopback.At(listener));
                        conn.SetLinger(TimeSpan.Zero); // No port is left waiting.
                        conn.Dispose();
                    }
                    clients.Done();
                });
            }
            clients.Wait();
            listener.Close();
        });
        int files = Directory.GetFiles("/proc/self/fd").Length;

        await Assert.That(failure).IsNull();
        await Assert.That(files).IsLessThanOrEqualTo(filesBefore + 2).Because(
            $"{filesBefore} before".ToString(CultureInfo.InvariantCulture)); // epoll and eventfd, the first time
    }
}
