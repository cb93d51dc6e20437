// Deadlines, tokens and contexts: what ends a wait on the network.

using System.Diagnostics;
using System.Net.Sockets;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class NetDeadlineTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_never = Timeout.InfiniteTimeSpan;

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task AReadEndsAtItsDeadlineAndTheConnectionGoesOn(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            long start = Stopwatch.GetTimestamp();
            client.SetReadDeadline(s_short);
            crew.Equal(Loopback.ErrorOf(() => client.ReadByte()), SocketError.TimedOut, "read");
            crew.Expect(Stopwatch.GetElapsedTime(start) >= s_short, "too early");
            crew.Equal(Loopback.ErrorOf(() => client.ReadByte()), SocketError.TimedOut, "read again");
            crew.Equal(client.TryRead(new byte[1], out _), SocketError.TimedOut, "try");
            crew.Equal(client.WaitReadable(), SocketError.TimedOut, "wait");
            client.Write("x"u8); // Writes have their own.
            client.SetReadDeadline(s_never);
            server.Write("y"u8);
            crew.Equal(client.ReadByte(), 'y', "read later");
            client.ReadTimeout = 20;
            crew.Equal(Loopback.ErrorOf(() => client.ReadByte()), SocketError.TimedOut, "stream's timeout");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    [Test]
    public async Task AWriteEndsAtItsDeadline()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            client.SetWriteDeadline(s_short);
            byte[] much = new byte[64 * 1024 * 1024];
            crew.Equal(Loopback.ErrorOf(() => client.Write(much)), SocketError.TimedOut, "write");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ADeadlineMayBeMovedWhileAReadWaits(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            client.SetReadDeadline(TimeSpan.FromMilliseconds(30));
            bool ended = false;
            crew.GoAndPark(ParkReason.Network, () =>
            {
                crew.Equal(Loopback.ErrorOf(() => client.ReadByte()), SocketError.TimedOut, "read");
                ended = true;
            });
            client.SetReadDeadline(TimeSpan.FromSeconds(100)); // Later: the old timer does nothing.
            Go.Sleep(TimeSpan.FromMilliseconds(60));
            crew.Expect(!ended, "ended at the old deadline");
            client.SetReadDeadline(TimeSpan.FromSeconds(50)); // Earlier.
            client.SetReadDeadline(TimeSpan.Zero); // Now.
            crew.Until(() => ended, "the read to end");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    [Test]
    [Arguments(1)]
    [Arguments(4)]
    public async Task AcceptEndsAtItsDeadline(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            for (int i = 0; i < 5; i++)
            {
                listener.SetDeadline(TimeSpan.FromMilliseconds(5));
                crew.Equal(Loopback.ErrorOf(() => listener.Accept()), SocketError.TimedOut, "accept");
            }
            listener.SetDeadline(s_never);
            using Conn client = Net.Dial("tcp", Loopback.At(listener));
            using Conn server = listener.Accept();
        });

        await Assert.That(failure).IsNull();
    }

    // Go: TestReadWriteDeadlineRace.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ReadsWritesAndDeadlinesMayRace(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Listener listener = Loopback.EchoServer(crew);
            using (Conn conn = Net.Dial("tcp", Loopback.At(listener)))
            {
                WaitGroup ended = new();
                ended.Add(3);
                crew.Go(() =>
                {
                    for (int i = 0; i < 1000; i++)
                    {
                        conn.SetDeadline(TimeSpan.FromMicroseconds(i % 7 * 50));
                    }
                    conn.SetDeadline(TimeSpan.Zero);
                    ended.Done();
                });
                crew.Go(() =>
                {
                    Span<byte> buffer = stackalloc byte[100];
                    for (int i = 0; i < 1000; i++)
                    {
                        SocketError error = conn.TryRead(buffer, out _);
                        crew.Expect(error is SocketError.Success or SocketError.TimedOut, $"read: {error}");
                    }
                    ended.Done();
                });
                crew.Go(() =>
                {
                    for (int i = 0; i < 1000; i++)
                    {
                        SocketError error = conn.TryWrite("0123456789"u8);
                        crew.Expect(error is SocketError.Success or SocketError.TimedOut, $"write: {error}");
                    }
                    ended.Done();
                });
                ended.Wait();
            }
            listener.Close();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    // Go: TestConcurrentSetDeadline.
    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ManyMaySetDeadlinesOfOneConnectionAtOnce(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            WaitGroup ended = new();
            ended.Add(32);
            for (int i = 0; i < 32; i++)
            {
                crew.Go(() =>
                {
                    for (int j = 0; j < 50; j++)
                    {
                        client.SetReadDeadline(TimeSpan.FromMilliseconds(1 + (j % 10)));
                        client.SetWriteDeadline(TimeSpan.FromHours(1));
                        client.SetDeadline(j % 2 == 0 ? s_never : TimeSpan.FromSeconds(1));
                    }
                    ended.Done();
                });
            }
            ended.Wait();
            client.SetReadDeadline(TimeSpan.FromMilliseconds(1));
            crew.Equal(Loopback.ErrorOf(() => client.ReadByte()), SocketError.TimedOut, "the last one counts");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsEqualTo(0);
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ATokenEndsOneAcceptAndNoOther(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            for (int i = 0; i < 50; i++)
            {
                using CancellationTokenSource first = new();
                using CancellationTokenSource second = new();
                int cancelled = 0;
                int accepted = 0;
                void Accept(CancellationToken token)
                {
                    try
                    {
                        listener.Accept(token).Dispose();
                        Interlocked.Increment(ref accepted);
                    }
                    catch (OperationCanceledException e)
                    {
                        crew.Equal(e.CancellationToken, token, "token");
                        Interlocked.Increment(ref cancelled);
                    }
                }
                crew.GoAndPark(ParkReason.Network, () => Accept(first.Token));
                crew.GoAndPark(ParkReason.Network, () => Accept(second.Token)); // In line behind it.
                crew.GoAndPark(ParkReason.Network, () => Accept(default));
                (i % 2 == 0 ? first : second).Cancel();
                crew.Until(() => Volatile.Read(ref cancelled) == 1, "the cancelled one");
                Net.Dial("tcp", Loopback.At(listener)).Dispose();
                Net.Dial("tcp", Loopback.At(listener)).Dispose();
                crew.Until(() => Volatile.Read(ref accepted) == 2, "the others");
                crew.Equal(Volatile.Read(ref cancelled), 1, "cancelled");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public async Task TokensMayRaceWithData(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            int received = 0;
            for (int i = 0; i < 500; i++)
            {
                using CancellationTokenSource source = new();
                WaitGroup cancelled = new();
                cancelled.Add();
                crew.Go(() =>
                {
                    source.Cancel();
                    cancelled.Done();
                });
                client.Write("x"u8);
                try
                {
                    byte[] one = new byte[1];
                    ValueTask<int> read = server.ReadAsync(one, source.Token);
                    received += read.Result;
                }
                catch (OperationCanceledException)
                {
                }
                cancelled.Wait();
            }
            while (received < 500)
            {
                received += server.Read(new byte[500]); // No token's left-over ends it.
            }
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ContextsEndDialAndAccept()
    {
        string? failure = Crew.Run(1, crew =>
        {
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            (Context context, Action cancel) = Context.Background.WithTimeout(s_short);
            _ = crew.Throws<OperationCanceledException>(() => listener.Accept(context), "accept");
            _ = crew.Throws<OperationCanceledException>(
                () => Net.Dial(context, "tcp", Loopback.At(listener)), "dial");
            cancel();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task DialingWhereNobodyAnswersEndsInTime()
    {
        string? failure = Crew.Run(2, crew =>
        {
            // A unix listener whose line is full leaves a dialler waiting, and so does a TCP one.
            using Socket full = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            full.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
            full.Listen(0);
            string address = $"127.0.0.1:{((System.Net.IPEndPoint)full.LocalEndPoint!).Port}";
            List<Conn> got = [];
            SocketError? error = null;
            for (int i = 0; i < 20 && error == null; i++)
            {
                error = Loopback.ErrorOf(() => got.Add(Net.Dial("tcp", address, s_short)));
            }
            crew.Equal(error, SocketError.TimedOut, "dial");
            using CancellationTokenSource source = new();
            crew.GoAndPark(ParkReason.Network, () => _ = crew.Throws<OperationCanceledException>(
                () => Net.Dial("tcp", address, source.Token), "cancelled dial"));
            source.Cancel();
            got.ForEach(each => each.Dispose());
        });

        await Assert.That(failure).IsNull();
    }
}
