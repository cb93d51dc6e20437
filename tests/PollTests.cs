// The poller from outside: who it wakes and when, files that can be polled, and a program that only waits on the
// network.

using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Mono.Unix.Native;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class PollTests
{
    // A descriptor that nobody waits on gives no goroutine, and Break ends a wait, whenever it comes.
    [Test]
    public async Task BreakEndsAWaitAndIsNotLost()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (Conn client, Conn server) = Loopback.Pair();
            bool ended = false;
            crew.GoAndPark(ParkReason.Network, () =>
            {
                _ = server.ReadByte();
                ended = true;
            });
            // The keeper waits in the poller without a limit; a timer has to get it out, again and again.
            for (int i = 0; i < 50; i++)
            {
                long start = Stopwatch.GetTimestamp();
                Go.Sleep(TimeSpan.FromMilliseconds(1));
                crew.Expect(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(2), "the timer was late");
                if (i % 5 == 0)
                {
                    Thread.Sleep(1);
                }
            }
            crew.Expect(!ended, "woken without cause");
            client.WriteByte(1);
            crew.Until(() => ended, "the reader");
            client.Dispose();
            server.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ALoopDoesNotKeepOthersFromTheNetwork(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Listener listener = Loopback.EchoServer(crew);
            bool stop = false;
            for (int i = 0; i < procs; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref stop))
                    {
                    }
                });
            }
            using (Conn conn = Net.Dial("tcp", Loopback.At(listener)))
            {
                Loopback.Exchange(crew, conn, 10, 1); // Sysmon looks after 10 ms, and interrupts the loops.
            }
            Volatile.Write(ref stop, true);
            listener.Close();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task APipeParksItsReaderAndEnds(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (PollFile read, PollFile write) = OpenPipe();
            crew.Expect(read.CanWait, "a pipe can be polled");
            byte[] data = new byte[500_000];
            new Random(5).NextBytes(data);
            MemoryStream got = new();
            bool ended = false;
            crew.GoAndPark(ParkReason.Network, () =>
            {
                read.CopyTo(got);
                ended = true;
            });
            write.Write(data);
            write.Dispose();
            crew.Until(() => Volatile.Read(ref ended), "the reader");
            crew.Expect(got.ToArray().AsSpan().SequenceEqual(data), "what arrived is different");
            read.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AFileHasDeadlinesAndCloses()
    {
        string? failure = Crew.Run(1, crew =>
        {
            (PollFile read, PollFile write) = OpenPipe();
            read.SetDeadline(TimeSpan.FromMilliseconds(5));
            crew.Equal(Loopback.ErrorOf(() => read.ReadByte()), SocketError.TimedOut, "read");
            read.SetDeadline(Timeout.InfiniteTimeSpan);
            crew.GoAndPark(
                ParkReason.Network,
                () => _ = crew.Throws<ObjectDisposedException>(() => read.ReadByte(), "closed"));
            read.Dispose();
            crew.Equal(Loopback.ErrorOf(() => write.WriteByte(1)), SocketError.Shutdown, "nobody reads");
            write.Dispose();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ARegularFileIsReadByCallsThatBlock()
    {
        string path = Path.GetTempFileName();
        await File.WriteAllTextAsync(path, "text");
        string? failure = Crew.Run(1, crew =>
        {
            using PollFile file = PollFile.Open(File.OpenHandle(path), FileAccess.Read);
            crew.Expect(!file.CanWait, "a regular file can be polled");
            using StreamReader reader = new(file);
            crew.Equal(reader.ReadToEnd(), "text", "read");
        });
        File.Delete(path);

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ATimerOfTheKernelsWakesItsReader()
    {
        string? failure = Crew.Run(1, crew =>
        {
            int fd = TimerFd(1, 0);
            long[] time = [0, 0, 0, 10_000_000]; // Once, in 10 ms.
            crew.Equal(SetTimerFd(fd, 0, time, 0), 0, "timerfd_settime");
            using PollFile timer = PollFile.Open(new SafeFileHandle(fd, ownsHandle: true), FileAccess.Read);
            byte[] count = new byte[8];
            crew.Equal(timer.Read(count, 0, 8), 8, "read");
            crew.Equal(count[0], (byte)1, "count");
        });

        await Assert.That(failure).IsNull();
    }

    [LibraryImport("libc", EntryPoint = "timerfd_create")]
    private static partial int TimerFd(int clock, int flags);

    [LibraryImport("libc", EntryPoint = "timerfd_settime")]
    private static partial int SetTimerFd(int fd, int flags, long[] time, nint old);

    private static (PollFile Read, PollFile Write) OpenPipe()
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.Out);
        SafeFileHandle Copy(nint handle) => new(Syscall.dup((int)handle), ownsHandle: true);
        PollFile read = PollFile.Open(Copy(pipe.ClientSafePipeHandle.DangerousGetHandle()), FileAccess.Read);
        PollFile write = PollFile.Open(Copy(pipe.SafePipeHandle.DangerousGetHandle()), FileAccess.Write);
        pipe.DisposeLocalCopyOfClientHandle();
        return (read, write);
    }

    [Test]
    public async Task StandardInputParksWhoReadsIt()
    {
        ProcessStartInfo start = new(Environment.ProcessPath!, ["--child", "net-stdin"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process process = Process.Start(start)!;
        string first = (await process.StandardOutput.ReadLineAsync())!;
        await process.StandardInput.WriteLineAsync("a line");
        process.StandardInput.Close();
        string rest = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();

        await Assert.That(first).IsEqualTo("parked, others block");
        await Assert.That(rest).IsEqualTo("a line\n");
        await Assert.That(process.ExitCode).IsEqualTo(0);
    }

    /// <summary>Says when the one who reads standard input has parked, then copies what comes.</summary>
    internal static int CopyInput(string[] args) => WeftHost.Run(() =>
    {
        using PollFile input = PollFile.OpenStandardInput();
        using Stream output = Console.OpenStandardOutput();
        Go.Run(() =>
        {
            while (Scheduler.NetworkWaiters == 0)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1));
            }
            output.Write(Os.IsNonBlocking(0) == 0 ? "parked, others block\n"u8 : "parked, others do not\n"u8);
        });
        input.CopyTo(output);
        return 0;
    });

    // The process may end by a signal, and nobody would set the mode back.
    [Test]
    public async Task TheModeOfAPipeAndOfASocketStaysForThoseWhoShareIt()
    {
        using AnonymousPipeServerStream pipe = new(PipeDirection.Out);
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0));
        listener.Listen();
        socket.Connect(listener.LocalEndPoint!);
        using Socket peer = listener.Accept();
        string? failure = Crew.Run(1, crew =>
        {
            void Share(nint number, Action send)
            {
                int copy = Syscall.dup((int)number);
                using PollFile file = PollFile.Open(new SafeFileHandle(copy, ownsHandle: true), FileAccess.Read);
                crew.GoAndPark(ParkReason.Network, () => crew.Equal(file.ReadByte(), 7, "what was sent"));
                crew.Equal(Os.IsNonBlocking((int)number), 0, "does not block");
                send();
                crew.Until(() => Scheduler.NetworkWaiters == 0, "the reader");
            }
            Share(pipe.ClientSafePipeHandle.DangerousGetHandle(), () => pipe.WriteByte(7));
            Share(socket.Handle, () => peer.Send([7]));
            int timer = TimerFd(1, 0);
            int other = Syscall.dup(timer);
            PollFile.Open(new SafeFileHandle(timer, ownsHandle: true), FileAccess.Read).Dispose();
            crew.Equal(Os.IsNonBlocking(other), 0, "the mode was not set back");
            _ = Os.CloseFile(other);
        });

        await Assert.That(failure).IsNull();
    }

    // Each processor counts for itself, and who takes one out may be on another, or on none.
    [Test]
    public async Task ThoseWhoWaitAreCountedWhereverTheyParkAndAreWoken()
    {
        const int pairs = 64;
        string? failure = Crew.Run(4, crew =>
        {
            crew.Until(() => Scheduler.NetworkWaiters == 0, "those of other tests");
            (Conn Client, Conn Server)[] conns = [.. Enumerable.Range(0, pairs).Select(_ => Loopback.Pair())];
            int ended = 0;
            foreach ((Conn client, Conn server) in conns)
            {
                crew.Go(() =>
                {
                    Span<byte> buffer = stackalloc byte[8];
                    while (server.Read(buffer) > 0)
                    {
                        server.Write(buffer[..1]);
                    }
                    server.Dispose();
                });
                crew.Go(() =>
                {
                    Span<byte> buffer = stackalloc byte[8];
                    for (int i = 0; i < 200; i++)
                    {
                        client.Write(buffer[..1]);
                        crew.Equal(client.Read(buffer), 1, "the answer");
                    }
                    Interlocked.Increment(ref ended);
                });
            }
            crew.Until(() => Volatile.Read(ref ended) == pairs, "the clients");
            crew.Until(() => Scheduler.NetworkWaiters == pairs, "the servers, which wait for more");
            Crew.LetOthersRun();
            crew.Equal(Scheduler.NetworkWaiters, pairs, "no other one");
            foreach ((Conn client, Conn server) in conns)
            {
                client.Dispose();
            }
            crew.Until(() => Scheduler.NetworkWaiters == 0, "the end of all");
        });

        await Assert.That(failure).IsNull();
    }

    // Go: TestNetpollDeadlock, and that waiting is free.
    [Test]
    [Arguments("goroutines")]
    [Arguments("thread")]
    public async Task WaitingOnTheNetworkIsNoDeadlockAndCostsNothing(string who)
    {
        ChildResult child = ChildProcess.Run("net-idle", [who]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(int.Parse(child.Output.Trim(), null)).IsLessThan(20);
    }

    /// <summary>Prints the milliseconds of CPU that two seconds cost in which everybody waits on a socket.
    /// </summary>
    internal static int Idle(string[] args)
    {
        using Socket peer = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        int result = 1;
        void Wait()
        {
            using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
            peer.Connect("127.0.0.1", listener.Port);
            using Conn conn = listener.Accept();
            conn.SetReadDeadline(TimeSpan.FromHours(1));
            conn.SetReadDeadline(Timeout.InfiniteTimeSpan);
            result = conn.ReadByte();
        }
        Process me = Process.GetCurrentProcess();
        TimeSpan used = default;
        Thread sender = new(() =>
        {
            Thread.Sleep(300);
            TimeSpan before = me.TotalProcessorTime;
            Thread.Sleep(2000);
            me.Refresh();
            used = me.TotalProcessorTime - before;
            _ = peer.Send([7]);
        });
        sender.Start();
        if (args[0] == "thread")
        {
            Wait();
        }
        else
        {
            _ = WeftHost.Run(Wait);
        }
        sender.Join();
        Console.WriteLine(((int)used.TotalMilliseconds).ToString(CultureInfo.InvariantCulture));
        return result == 7 ? 0 : 1;
    }

    [Test]
    public async Task ADumpSaysWhoWaitsOnTheNetwork()
    {
        ChildResult child = ChildProcess.Run("net-dump");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).Contains("[network");
        await Assert.That(child.Output).Contains("Weft.Listener.Accept");
    }

    /// <summary>Prints the dump of a program that accepts.</summary>
    internal static int Dump(string[] args) => WeftHost.Run(() =>
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        Go.Run(() =>
        {
            try
            {
                _ = listener.Accept();
            }
            catch (ObjectDisposedException)
            {
            }
        });
        while (Scheduler.NetworkWaiters == 0)
        {
            Go.Yield();
        }
        Go.Dump(Console.Out);
        return 0;
    });
}
