// The base library's sockets and pipes on goroutines: their calls park. asm/sockets.c, sched/SocketWait.cs.

using System.Diagnostics;
using System.IO.Pipes;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Mono.Unix.Native;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class SocketWaitTests
{
    private const int Many = 100;
    private const int FileSize = 1_000_003;
    private const int FewThreads = Many * 3 / 4; // Each native call takes longer beside busy neighbours.

    private static readonly byte[] s_byte = [7];

    private static unsafe nint This() => (nint)Current.Goroutine();

    private static unsafe bool IsParked(nint address)
    {
        Goroutine* g = (Goroutine*)address;
        return g != null && g->State == GoroutineState.Waiting
            && g->Reason is ParkReason.Network or ParkReason.DotNetWait;
    }

    /// <summary>A goroutine for each action. Returns when all of them wait.</summary>
    private static void GoAndParkAll(Crew crew, List<Action> actions)
    {
        nint[] all = new nint[actions.Count];
        for (int i = 0; i < all.Length; i++)
        {
            int id = i;
            crew.Go(() =>
            {
                Volatile.Write(ref all[id], This());
                actions[id]();
            });
        }
        crew.Until(() => Array.TrueForAll(all, IsParked), "all to wait");
    }

    // Each goroutine waits in that call; as many threads would show.
    [Test]
    [Arguments("receive")]
    [Arguments("unix")]
    [Arguments("datagram")]
    [Arguments("poll")]
    [Arguments("urgent")]
    [Arguments("select")]
    [Arguments("send")]
    [Arguments("send-file")]
    [Arguments("pipe")]
    [Arguments("used-before")]
    public async Task ACallThatWaitsCostsNoThread(string kind)
    {
        int more = 0;
        string? failure = Crew.Run(2, crew =>
        {
            List<IDisposable> open = [];
            List<Action> waits = [];
            List<Action> ends = [];
            for (int i = 0; i < Many; i++)
            {
                Add(kind, crew, open, waits, ends);
            }
            int machines = Scheduler.MachineCount;
            WaitGroup through = new();
            through.Add(Many);
            GoAndParkAll(crew, waits.ConvertAll<Action>(wait => () =>
            {
                wait();
                through.Done();
            }));
            more = Scheduler.MachineCount - machines;
            ends.ForEach(end => end());
            through.Wait();
            open.ForEach(each => each.Dispose());
        });

        await Assert.That(failure).IsNull();
        await Assert.That(more).IsLessThan(FewThreads);
    }

    private static void Add(
        string kind, Crew crew, List<IDisposable> open, List<Action> waits, List<Action> ends)
    {
        switch (kind)
        {
            case "pipe":
                AnonymousPipeServerStream server = new(PipeDirection.Out);
                AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
                open.AddRange([server, client]);
                waits.Add(() => crew.Equal(client.ReadByte(), 7, "from a pipe"));
                ends.Add(() => server.WriteByte(7));
                return;
            case "datagram":
                Socket datagrams = SocketOutcomes.Datagrams();
                open.Add(datagrams);
                waits.Add(() => crew.Equal(datagrams.Receive(new byte[9]), 1, "a datagram"));
                ends.Add(() => datagrams.SendTo(s_byte, datagrams.LocalEndPoint!));
                return;
            default:
                (Socket a, Socket b) = kind is "unix" or "send-file"
                    ? SocketOutcomes.UnixPair()
                    : SocketOutcomes.Pair();
                open.AddRange([a, b]);
                if (kind == "used-before")
                {
                    _ = b.Send(s_byte);
                    crew.Equal(Go.Await(a.ReceiveAsync(new byte[1])), 1, "received before");
                }
                ends.Add(() => b.Send(s_byte, kind == "urgent" ? SocketFlags.OutOfBand : SocketFlags.None));
                switch (kind)
                {
                    case "poll":
                        waits.Add(() => crew.Expect(a.Poll(-1, SelectMode.SelectRead), "poll"));
                        break;
                    case "urgent":
                        waits.Add(() => crew.Expect(a.Poll(-1, SelectMode.SelectError), "poll"));
                        break;
                    case "select":
                        waits.Add(() =>
                        {
                            List<Socket> read = [b, a];
                            List<Socket> error = [a, b];
                            Socket.Select(read, null, error, -1);
                            crew.Expect(error.Count == 0 && read.Count == 1 && read[0] == a, "selected");
                        });
                        break;
                    case "send":
                        const int size = 8 << 20;
                        waits.Add(() => crew.Equal(a.Send(new byte[size]), size, "sent"));
                        ends.Add(() => crew.Equal(Drain(b, size), size, "came"));
                        break;
                    case "send-file":
                        string path = NewFile();
                        waits.Add(() => a.SendFile(path));
                        ends.Add(() =>
                        {
                            byte[] came = new byte[FileSize];
                            using NetworkStream stream = new(b);
                            stream.ReadExactly(came);
                            crew.Expect(came.AsSpan().SequenceEqual(File.ReadAllBytes(path)), "what came");
                            File.Delete(path);
                        });
                        break;
                    default:
                        waits.Add(() => crew.Equal(a.Receive(new byte[9]), 1, "received"));
                        break;
                }
                return;
        }
    }

    private static string NewFile()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        byte[] bytes = new byte[FileSize];
        new Random(FileSize).NextBytes(bytes);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    /// <summary>Sends until it would wait. How much that was.</summary>
    private static int Fill(Socket socket)
    {
        int size = 0;
        socket.Blocking = false;
        while (socket.Poll(0, SelectMode.SelectWrite))
        {
            size += socket.Send(new byte[10_000]);
        }
        return size;
    }

    private static int Drain(Socket socket, int size)
    {
        byte[] buffer = new byte[1 << 20];
        int got = 0;
        while (got < size)
        {
            got += socket.Receive(buffer);
        }
        return got;
    }

    [Test]
    public async Task TheirThreadsAreFew()
    {
        ChildResult child = ChildProcess.Run("socket-waits", ["receive", "500"]);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
        await Assert.That(int.Parse(child.Output)).IsLessThan(40);
    }

    [Test]
    public async Task TheyBlockTheirThreadsWhereTheSettingSaysSo()
    {
        Dictionary<string, string> off = new() { ["WEFTDEBUG"] = "dotnetwaits=0" };
        ChildResult child = ChildProcess.Run("socket-waits", ["receive", "60"], off);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
        await Assert.That(int.Parse(child.Output)).IsGreaterThan(60);
    }

    // As without Weft: the results, and the mode of the socket afterwards.
    [Test]
    public async Task TheyEndAsOnAThread()
    {
        SocketOutcomes.SkipWithoutTimeOuts();
        Dictionary<string, string> off = new() { ["WEFTDEBUG"] = "dotnetwaits=0" };
        Task<ChildResult> blocking = Task.Run(() => ChildProcess.Run("socket-outcomes", [], off));
        ChildResult parking = ChildProcess.Run("socket-outcomes");

        await Assert.That(SocketOutcomes.Usual(parking.ToString()))
            .IsEqualTo(SocketOutcomes.Usual((await blocking).ToString()));
        await Assert.That(parking.Output).Contains("receive, time-out: SocketError.TimedOut, SocketError.Tim");
        await Assert.That(parking.Output).Contains("connect, time-out: SocketError.TimedOut");
    }

    /// <summary>Prints the number of threads while so many wait.</summary>
    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        int count = int.Parse(args[1]);
        int started = 0;
        int got = 0;
        List<Socket> others = [];
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            others.Add(b);
            done.Go(() =>
            {
                Interlocked.Increment(ref started);
                Interlocked.Add(ref got, a.Receive(new byte[9]));
            });
        }
        while (Volatile.Read(ref started) < count)
        {
            Go.Yield();
        }
        Go.Sleep(TimeSpan.FromMilliseconds(50));
        Console.Write(Directory.GetDirectories("/proc/self/task").Length);
        others.ForEach(each => each.Send(s_byte));
        done.Wait();
        return got == count ? 0 : 1;
    });

    // In both directions at once, more than the buffers hold; while collections move things.
    [Test]
    [Arguments("tcp", 1)]
    [Arguments("tcp", 2)]
    [Arguments("tcp", 4)]
    [Arguments("unix", 1)]
    [Arguments("unix", 2)]
    [Arguments("unix", 4)]
    public async Task WhatIsSentComesBack(string network, int procs)
    {
        const int pairs = 4;
        const int size = 1 << 20;
        int ended = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            crew.CollectUntil(() => Volatile.Read(ref ended) == pairs || crew.Failed);
            for (int i = 0; i < pairs; i++)
            {
                (Socket a, Socket b) = network == "unix" ? SocketOutcomes.UnixPair() : SocketOutcomes.Pair();
                int seed = i;
                crew.Go(() =>
                {
                    byte[] buffer = new byte[10_000];
                    for (int got = b.Receive(buffer); got > 0; got = b.Receive(buffer))
                    {
                        _ = b.Send(buffer, got, SocketFlags.None);
                    }
                    b.Dispose();
                });
                crew.Go(() =>
                {
                    byte[] sent = new byte[size];
                    new Random(seed).NextBytes(sent);
                    Go.Run(() =>
                    {
                        _ = a.Send(sent);
                        a.Shutdown(SocketShutdown.Send);
                    });
                    byte[] back = new byte[size];
                    int got = 0;
                    for (int more = 1; more > 0; got += more)
                    {
                        more = a.Receive(back.AsSpan(got, Math.Min(30_000, size - got)));
                    }
                    crew.Expect(back.AsSpan().SequenceEqual(sent), "what came back");
                    a.Dispose();
                    Interlocked.Increment(ref ended);
                });
            }
        });

        await Assert.That(failure).IsNull();
    }

    // A socket in two of the lists, and many that are not ready; nothing of it is left open.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task SelectFindsWhatIsReady(int procs)
    {
        const int count = 90; // More than the base library has room for on the stack.
        const int rounds = 20;
        int ended = 0;
        int left = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            // A full socket of TCP's takes more 40 ms later, when what the peer holds is acknowledged.
            (Socket A, Socket B)[] pairs = [.. Enumerable.Range(0, count).Select(
                i => i % 4 == 3 ? SocketOutcomes.UnixPair() : SocketOutcomes.Pair())];
            int records = PollTable.OpenCount;
            for (int i = 0; i < rounds; i++)
            {
                List<Socket> read = [.. pairs[i..].Select(pair => pair.A)];
                List<Socket> write = [];
                List<Socket> error = [.. read];
                (Socket one, Socket peer) = pairs[i];
                int kind = i % 4;
                List<Socket> ready = kind == 1 ? error : kind == 3 ? write : read;
                int filled = 0;
                if (kind == 3)
                {
                    filled = Fill(one);
                    write.Add(one);
                }
                GoAndParkAll(crew,
                [
                    () =>
                    {
                        Socket.Select(read, write, error, -1);
                        crew.Equal(read.Count + write.Count + error.Count, 1, "how many are ready");
                        crew.Expect(ready.Contains(one), $"round {i}: the one that is");
                        Interlocked.Increment(ref ended);
                    },
                ]);
                switch (kind)
                {
                    case 0:
                        _ = peer.Send(s_byte);
                        break;
                    case 1:
                        _ = peer.Send(s_byte, SocketFlags.OutOfBand);
                        break;
                    case 2:
                        peer.Dispose();
                        break;
                    default:
                        _ = Drain(peer, filled);
                        break;
                }
                crew.Until(() => Volatile.Read(ref ended) > i, "the end");
            }
            left = PollTable.OpenCount - records;
            Array.ForEach(pairs, pair =>
            {
                pair.A.Dispose();
                pair.B.Dispose();
            });
        });

        await Assert.That(failure).IsNull();
        await Assert.That(left).IsLessThan(rounds); // Of peers that were received from.
    }

    // Each byte comes to one; when the other end is gone all of them are told.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task SeveralMayReceiveOnOneSocket(int procs)
    {
        const int readers = 8;
        const int count = 2000;
        int got = 0;
        int ended = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            for (int i = 0; i < readers; i++)
            {
                crew.Start(asThread: i == 0, () =>
                {
                    byte[] buffer = new byte[3];
                    for (int n = a.Receive(buffer); n > 0; n = a.Receive(buffer))
                    {
                        Interlocked.Add(ref got, n);
                        Go.Yield();
                    }
                    Interlocked.Increment(ref ended);
                });
            }
            for (int i = 0; i < count; i++)
            {
                _ = b.Send(s_byte);
                if (i % 50 == 0)
                {
                    Go.Sleep(TimeSpan.FromMilliseconds(0.2));
                }
            }
            crew.Until(() => Volatile.Read(ref got) == count, "all bytes");
            b.Dispose();
            crew.Until(() => Volatile.Read(ref ended) == readers, "all to be told");
            a.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(got).IsEqualTo(count);
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task SeveralMayAcceptOnOneSocket(int procs)
    {
        const int count = 60;
        int accepted = 0;
        int more = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            Socket l = SocketOutcomes.Listening();
            int machines = Scheduler.MachineCount;
            GoAndParkAll(crew, Enumerable.Repeat(() =>
            {
                while (true)
                {
                    try
                    {
                        l.Accept().Dispose();
                        Interlocked.Increment(ref accepted);
                    }
                    catch (Exception e) when (e is SocketException or ObjectDisposedException)
                    {
                        return;
                    }
                }
            }, 40).ToList());
            for (int i = 0; i < count; i++)
            {
                using Socket s = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                s.Connect(l.LocalEndPoint!);
            }
            crew.Until(() => Volatile.Read(ref accepted) == count, "all connections");
            more = Scheduler.MachineCount - machines;
            l.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(more).IsLessThan(30);
    }

    [Test]
    public async Task WhoWaitsInLineHasATimeOutToo()
    {
        SocketOutcomes.SkipWithoutTimeOuts();
        string? failure = Crew.Run(2, crew =>
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            GoAndParkAll(crew, [() => crew.Equal(a.Receive(new byte[9]), 1, "the first")]);
            a.ReceiveTimeout = 30;
            long start = Stopwatch.GetTimestamp();
            SocketException? e = crew.Throws<SocketException>(() => a.Receive(new byte[9]), "the second");
            crew.Equal(e?.SocketErrorCode, SocketError.TimedOut, "its code");
            crew.Expect(Stopwatch.GetElapsedTime(start).TotalMilliseconds >= 29, "not before its time");
            _ = b.Send(s_byte);
            crew.Until(() => a.Available == 0, "the byte to be taken");
            a.Dispose();
            b.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    // Of that the poller knows nothing: it would report the socket as ready all the time.
    [Test]
    public async Task DatagramsToAFullQueueWait()
    {
        int sent = 0;
        string? failure = Crew.Run(2, crew =>
        {
            string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
            using Socket to = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            using Socket from = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            UnixDomainSocketEndPoint end = new(path);
            to.Bind(end);
            long waits = SocketWait.Count;
            const int count = 2000; // More than any queue holds: net.unix.max_dgram_qlen.
            WaitGroup done = new();
            done.Go(() =>
            {
                for (; sent < count; sent++)
                {
                    _ = from.SendTo(s_byte, end);
                }
            });
            for (int last = -1; last != Volatile.Read(ref sent);)
            {
                last = Volatile.Read(ref sent);
                Go.Sleep(TimeSpan.FromMilliseconds(30));
            }
            crew.Expect(SocketWait.Count - waits < 100, "few waits");
            for (int i = 0; i < count; i++)
            {
                _ = to.Receive(new byte[9]);
            }
            done.Wait();
            File.Delete(path);
        });

        await Assert.That(failure).IsNull();
        await Assert.That(sent).IsEqualTo(2000);
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task AWriteToAFullPipeParks(int procs)
    {
        const int size = 1_000_003;
        int more = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            using AnonymousPipeServerStream server = new(PipeDirection.Out);
            using AnonymousPipeClientStream client = new(PipeDirection.In, server.ClientSafePipeHandle);
            byte[] all = new byte[size];
            new Random(1).NextBytes(all);
            int machines = Scheduler.MachineCount;
            GoAndParkAll(crew,
            [
                () =>
                {
                    server.Write(all);
                    server.Dispose();
                },
            ]);
            more = Scheduler.MachineCount - machines;
            using MemoryStream got = new();
            client.CopyTo(got);
            crew.Expect(got.ToArray().AsSpan().SequenceEqual(all), "what came");
        });

        await Assert.That(failure).IsNull();
        await Assert.That(more).IsLessThan(3);
    }

    // From .NET 11 on: one call for several buffers, of which a pipe takes only a part at once.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task BuffersInARowPark(int procs)
    {
        Skip.When(Environment.Version.Major < 11, "It has no such calls for pipes.");
        const int size = 400_000;
        string? failure = Crew.Run(procs, crew =>
        {
            (int read, int write) = NewPipe();
            using SafeFileHandle input = new(read, ownsHandle: true);
            using SafeFileHandle output = new(write, ownsHandle: true);
            byte[] all = new byte[size];
            new Random(1).NextBytes(all);
            byte[] came = new byte[size];
            int Take(int at) => (int)RandomAccess.Read(
                input, [came.AsMemory(at, Math.Min(100, size - at)), came.AsMemory(Math.Min(at + 100, size))], 0);
            void Give(int from, int to)
            {
                int middle = from + ((to - from) * 3 / 4);
                RandomAccess.Write(output, [all.AsMemory(from..middle), default, all.AsMemory(middle..to)], 0);
            }
            int got = 0;
            GoAndParkAll(crew, [() => Volatile.Write(ref got, Take(0))]);
            Give(0, 1000);
            crew.Until(() => Volatile.Read(ref got) == 1000, "the first ones");
            GoAndParkAll(crew, [() => Give(1000, size)]);
            while (got < size && !crew.Failed)
            {
                got += Take(got);
            }
            crew.Expect(came.AsSpan().SequenceEqual(all), "what came");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task APipeOfAProcessParks()
    {
        long waits = SocketWait.Count;
        string? failure = Crew.Run(2, crew =>
        {
            ProcessStartInfo start = new("cat")
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            };
            using Process cat = Process.Start(start)!;
            string? line = null;
            GoAndParkAll(crew, [() => line = cat.StandardOutput.ReadToEnd()]);
            cat.StandardInput.Write("one\n");
            cat.StandardInput.Write(new string('x', 200_000));
            cat.StandardInput.Close();
            cat.WaitForExit();
            crew.Until(() => Volatile.Read(ref line) != null, "the end");
            cat.StandardOutput.Dispose();
            crew.Equal(line!.Length, 200_004, "what came back");
        });

        await Assert.That(failure).IsNull();
        await Assert.That(SocketWait.Count).IsGreaterThan(waits);
    }

    // Its number closed past the base library, and another file's: neither hears of the other.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task ANumberThatIsAnothersMisleadsNobody(bool isKept)
    {
        string? failure = Crew.Run(2, crew =>
        {
            (int read, int write) = NewPipe();
            int kept = isKept ? Syscall.dup(read) : -1;
            using SafeFileHandle old = new(read, ownsHandle: false);
            GoAndParkAll(crew,
            [
                () => crew.Throws<UnauthorizedAccessException>(() => Read(old), "the old one's reader"),
            ]);
            (int read2, int write2) = NewPipe();
            _ = Syscall.dup2(read2, read);
            using SafeFileHandle other = new(read, ownsHandle: false);
            int got = 0;
            GoAndParkAll(crew, [() => got = Read(other)]);
            _ = Write(write2, 3);
            crew.Until(() => Volatile.Read(ref got) == 3, "the other's bytes");
            _ = CloseNumber(read);
            foreach (int fd in (int[])[write, kept, read2, write2])
            {
                _ = Syscall.close(fd);
            }
        });

        await Assert.That(failure).IsNull();
    }

    // The same, when nobody waits any more: the poller still knows the number by the file before.
    [Test]
    public async Task ANumberThatWasAnothersIsWaitedOnAnew()
    {
        string? failure = Crew.Run(2, crew =>
        {
            (int read, int write) = NewPipe();
            (int read2, int write2) = NewPipe();
            for (int count = 1; count <= 2; count++)
            {
                using SafeFileHandle handle = new(read, ownsHandle: false);
                int got = 0;
                GoAndParkAll(crew, [() => got = Read(handle)]);
                _ = Write(count == 1 ? write : write2, count);
                crew.Until(() => Volatile.Read(ref got) == count, "the bytes");
                _ = Syscall.dup2(read2, read);
            }
            _ = CloseNumber(read); // As the base library does it: nothing is left of it in the poller.
            foreach (int fd in (int[])[write, read2, write2])
            {
                _ = Syscall.close(fd);
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static int CloseNumber(int fd)
    {
        using SafeFileHandle handle = new(fd, ownsHandle: true);
        return fd;
    }

    [Test]
    public async Task WhoWaitsOnANumberThatIsClosedIsTold()
    {
        string? failure = Crew.Run(2, crew =>
        {
            (int read, int write) = NewPipe();
            SafeFileHandle owner = new(read, ownsHandle: true);
            using SafeFileHandle user = new(read, ownsHandle: false);
            GoAndParkAll(crew,
                [() => crew.Throws<UnauthorizedAccessException>(() => Read(user), "the reader")]);
            owner.Dispose();
            (int read2, int write2) = NewPipe();
            Crew.LetOthersRun();
            foreach (int fd in (int[])[write, read2, write2])
            {
                _ = Syscall.close(fd);
            }
        });

        await Assert.That(failure).IsNull();
    }

    // Weft's own poller wants a descriptor on which the base library waits, or has.
    [Test]
    public async Task WhatTheBaseLibraryWaitedOnMayBecomeAPollFile()
    {
        string? failure = Crew.Run(2, crew =>
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            GoAndParkAll(crew, [() => crew.Equal(a.Receive(new byte[2]), 1, "a byte")]);
            _ = b.Send(s_byte);
            crew.Until(() => a.Available == 0, "the byte to be taken");
            using SafeFileHandle handle = new(a.Handle, ownsHandle: false);
            using (PollFile file = PollFile.Open(handle, FileAccess.ReadWrite))
            {
                int more = 0;
                GoAndParkAll(crew, [() => more = file.Read(new byte[2])]);
                _ = b.Send(s_byte);
                crew.Until(() => Volatile.Read(ref more) == 1, "another");
            }
            a.Dispose();
            b.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WithoutMemoryForItTheThreadWaits()
    {
        string? failure = Crew.Run(2, crew =>
        {
            SocketWait.RefusesRecords = true;
            (Socket a, Socket b) = SocketOutcomes.Pair();
            crew.Go(() => crew.Equal(a.Receive(new byte[9]), 1, "received"));
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            _ = b.Send(s_byte);
            a.ReceiveTimeout = 20;
            crew.Until(() => a.Available == 0, "the byte to be taken");
            SocketException? e = crew.Throws<SocketException>(() => a.Receive(new byte[9]), "a time-out");
            crew.Equal(e?.SocketErrorCode, SocketError.TimedOut, "its code");
            a.Dispose();
            b.Dispose();
        });
        SocketWait.RefusesRecords = false;

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhoWaitsOnASocketIsNotLeaked()
    {
        bool leaked = true;
        string? failure = Crew.Run(2, crew =>
        {
            (Socket a, Socket b) = SocketOutcomes.Pair();
            long id = 0;
            GoAndParkAll(crew,
            [
                () =>
                {
                    id = IdOf(This());
                    crew.Equal(a.Receive(new byte[9]), 1, "received");
                },
            ]);
            leaked = Go.FindLeaks().Any(leak => leak.Id == id);
            _ = b.Send(s_byte);
            crew.Until(() => a.Available == 0, "the byte to be taken");
            a.Dispose();
            b.Dispose();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(leaked).IsFalse();
    }

    private static unsafe long IdOf(nint g) => ((Goroutine*)g)->Id;

    // The server answers nobody before all have asked. TLS itself is native code, and long: it takes some threads.
    [Test]
    [Arguments("http", 300, FewThreads)]
    [Arguments("https", 200, 100)]
    public async Task ManyRequestsAtOnceTakeFewThreads(string scheme, int count, int threads)
    {
        Skip.When(!Qemu.HasTls && scheme == "https", Qemu.NoTls);
        int more = 0;
        int right = 0;
        string? failure = Crew.Run(2, crew =>
        {
            using X509Certificate2? certificate = scheme == "https" ? Certificate.Make() : null;
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            Chan<bool> go = new();
            int asked = 0;
            crew.Go(() =>
            {
                for (int i = 0; i < count; i++)
                {
                    Conn conn = listener.Accept();
                    crew.Go(() => Answer(conn, certificate, go, ref asked));
                }
            });
            using SocketsHttpHandler handler = new();
            handler.SslOptions.RemoteCertificateValidationCallback = NetStreamTests.IsOurs;
            using HttpClient client = new(handler);
            int machines = Scheduler.MachineCount;
            WaitGroup done = new();
            for (int i = 0; i < count; i++)
            {
                done.Go(() =>
                {
                    Uri uri = new($"{scheme}://{Loopback.At(listener)}/");
                    using HttpRequestMessage request = new(HttpMethod.Get, uri);
                    using HttpResponseMessage response = client.Send(request);
                    using StreamReader reader = new(response.Content.ReadAsStream());
                    if (reader.ReadToEnd() == "yes")
                    {
                        Interlocked.Increment(ref right);
                    }
                });
            }
            crew.Until(() => Volatile.Read(ref asked) == count, "all to ask");
            more = Scheduler.MachineCount - machines;
            go.Close();
            done.Wait();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(right).IsEqualTo(count);
        await Assert.That(more).IsLessThan(threads);
    }

    private static void Answer(Conn conn, X509Certificate2? certificate, Chan<bool> go, ref int asked)
    {
        using (Stream stream = certificate is null ? conn : new SslStream(conn))
        {
            (stream as SslStream)?.AuthenticateAsServer(certificate!);
            StringBuilder request = new();
            byte[] buffer = new byte[1000];
            while (!request.ToString().Contains("\r\n\r\n", StringComparison.Ordinal))
            {
                int got = stream.Read(buffer);
                if (got == 0)
                {
                    return;
                }
                _ = request.Append(Encoding.ASCII.GetString(buffer, 0, got));
            }
            Interlocked.Increment(ref asked);
            _ = go.Receive(out _);
            stream.Write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nyes"u8);
        }
    }

    private static unsafe (int Read, int Write) NewPipe()
    {
        int* ends = stackalloc int[2];
        return Pipe2(ends, 0x80000) == 0 ? (ends[0], ends[1]) : throw new IOException("pipe2");
    }

    private static int Read(SafeFileHandle handle)
    {
        using FileStream file = new(handle, FileAccess.Read, 0);
        return file.Read(new byte[9]);
    }

    private static unsafe nint Write(int fd, int count)
    {
        byte* bytes = stackalloc byte[count];
        return (nint)Syscall.write(fd, bytes, (ulong)count);
    }

    [LibraryImport("libc", EntryPoint = "pipe2")]
    private static unsafe partial int Pipe2(int* ends, int flags);

}
