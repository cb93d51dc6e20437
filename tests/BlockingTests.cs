// Native code that blocks in a goroutine: it costs a thread, never the progress of the others.

using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class BlockingTests
{
    [Test]
    public async Task AHundredSleepAtTheSameTimeOnOneProcessor()
    {
        TimeSpan took = default;
        string? failure = Crew.Run(1, crew =>
        {
            long start = Stopwatch.GetTimestamp();
            WaitGroup done = new();
            for (int i = 0; i < 100; i++)
            {
                done.Go(() => Block(20));
            }
            done.Wait();
            took = Stopwatch.GetElapsedTime(start);
        });

        await Assert.That(failure).IsNull();
        // One after the other they would take two seconds.
        await Assert.That(took).IsLessThan(TimeSpan.FromSeconds(1));
    }

    [Test]
    public async Task ThreadsThatBlockedAreUsedAgain()
    {
        int before = 0;
        int after = 0;
        string? failure = Crew.Run(1, crew =>
        {
            for (int round = 0; round < 10; round++)
            {
                WaitGroup done = new();
                for (int i = 0; i < 20; i++)
                {
                    done.Go(() => Block(5));
                }
                done.Wait();
                before = round == 0 ? Scheduler.MachineCount : before;
            }
            after = Scheduler.MachineCount;
        });

        await Assert.That(failure).IsNull();
        await Assert.That(after).IsLessThanOrEqualTo(Math.Max(before, 20) + 20);
    }

    // Whoever wants the lock parks; with one processor the owner gets it only then.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ALockHeldAcrossAYieldStopsNobody(int procs)
    {
        int count = 0;
        object gate = new();
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 20; i++)
            {
                crew.Go(() =>
                {
                    for (int round = 0; round < 20; round++)
                    {
                        lock (gate)
                        {
                            int seen = count;
                            Go.Yield();
                            count = seen + 1;
                        }
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(count).IsEqualTo(400);
    }

    [Test]
    public async Task AThreadMayBeJoinedOnTheOnlyProcessor()
    {
        int inner = 0;
        string? failure = Crew.Run(1, crew =>
        {
            Thread thread = new(() => inner = WeftHost.Run(() => 5));
            thread.Start();
            thread.Join();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(inner).IsEqualTo(5);
    }

    [Test]
    public async Task TheErrorNumberOfABlockingCallComesBackWithIt()
    {
        int wrong = 0;
        int right = 0;
        string? failure = Crew.Run(1, crew =>
        {
            for (int i = 0; i < 10; i++)
            {
                int error = i % 2 == 0 ? 110 : 22;
                crew.Go(() =>
                {
                    for (int round = 0; round < 20; round++)
                    {
                        Marshal.SetLastPInvokeError(0);
                        _ = WaitInVain(error);
                        // EINTR is the call's own too: the signal that ends a time slice came in the middle.
                        int got = Marshal.GetLastPInvokeError();
                        wrong += got == error || got == 4 ? 0 : 1;
                        right += got == error ? 1 : 0;
                        Go.Yield();
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(wrong).IsEqualTo(0);
        await Assert.That(right).IsGreaterThan(100);
    }

    /// <summary>Blocks for a millisecond and fails: with ETIMEDOUT, or EINVAL.</summary>
    private static unsafe int WaitInVain(int error)
    {
        long* semaphore = stackalloc long[4];
        new Span<long>(semaphore, 4).Clear();
        long* time = stackalloc long[2];
        _ = ClockGetTime(0, time);
        time[1] += 1_000_000;
        time[0] += time[1] / 1_000_000_000;
        time[1] %= 1_000_000_000;
        if (error == 22)
        {
            Block(1);
            time[1] = -1;
        }
        return SemTimedWait(semaphore, time);
    }

    /// <summary>Blocks the thread in native code. Thread.Sleep parks the goroutine.</summary>
    internal static void Block(int milliseconds)
    {
        long start = Stopwatch.GetTimestamp();
        double left = milliseconds;
        while (left > 0)
        {
            _ = Sleep((uint)(left * 1000)); // A signal may end it.
            left = milliseconds - Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [LibraryImport("libc", EntryPoint = "sem_timedwait", SetLastError = true)]
    private static unsafe partial int SemTimedWait(long* semaphore, long* time);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static unsafe partial int ClockGetTime(int clock, long* time);

    // Files, processes, tasks and name resolution, with one goroutine that must keep running.
    [Test]
    public async Task TheLibraryMayBlockWhileOthersRun()
    {
        long steps = 0;
        string? failure = Crew.Run(1, crew =>
        {
            bool stop = false;
            crew.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    steps++;
                    Go.Yield();
                }
            });
            WaitGroup done = new();
            done.Go(() => crew.Equal(Run("sleep", "0.1"), 0, "the exit code of a process"));
            done.Go(() => crew.Expect(Task.Delay(100).Wait(10_000), "a delay"));
            done.Go(() => crew.Expect(File.ReadAllBytes("/proc/self/status").Length > 0, "a file"));
            done.Go(() => crew.Expect(LookUp("localhost"), "the address of localhost"));
            done.Wait();
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
        await Assert.That(steps).IsGreaterThan(100);
    }

    /// <summary>False for an empty answer; a machine without /etc/hosts knows none.</summary>
    private static bool LookUp(string host)
    {
        try
        {
            return Dns.GetHostAddresses(host).Length > 0;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.HostNotFound or SocketError.TryAgain)
        {
            return true;
        }
    }

    private static int Run(string program, string argument)
    {
        using Process process = Process.Start(program, argument);
        process.WaitForExit();
        return process.ExitCode;
    }

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public async Task MoreMayBlockThanThereMayBeThreadsAndOneLineSaysSo(string procs)
    {
        ChildResult child = ChildProcess.Run("few-threads", [procs]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        string[] words = child.Output.Split(' ');
        // One more each 0.1 s for which all of them are blocked, as on a machine that stands still; five
        // threads need 168 ms for all of it, six 140.
        int most = 5 + Math.Max(0, (int.Parse(words[1], CultureInfo.InvariantCulture) - 140) / 100);
        await Assert.That(int.Parse(words[0], CultureInfo.InvariantCulture)).IsBetween(5, most);
        await Assert.That(child.Error).StartsWith("weft: 5 threads are blocked");
        await Assert.That(child.Error.TrimEnd()).Contains("raise Go.MaxThreads").And.DoesNotContain("\n");
    }

    /// <summary>Many block, some of them started by those who come back; others sleep, and send to each
    /// other. Prints the most machines there were, as a thread beside them sees it, and how many
    /// milliseconds it took.</summary>
    internal static int FewThreads(string[] args)
    {
        int most = 0;
        bool ended = false;
        long start = Stopwatch.GetTimestamp();
        Thread watch = new(() =>
        {
            while (!Volatile.Read(ref ended))
            {
                most = Math.Max(most, Scheduler.MachineCount);
            }
        });
        watch.Start();
        int code = WeftHost.Run(() => BlockInFewThreads(int.Parse(args[0], CultureInfo.InvariantCulture)));
        Volatile.Write(ref ended, true);
        watch.Join();
        Console.Write($"{most} {(long)Stopwatch.GetElapsedTime(start).TotalMilliseconds}");
        return code;
    }

    private static void BlockInFewThreads(int procs)
    {
        Go.MaxProcs = procs;
        Go.MaxThreads = 5;
        WaitGroup done = new();
        Chan<int> ring = new(1);
        for (int i = 0; i < 60; i++)
        {
            int id = i;
            done.Go(() =>
            {
                Block(10);
                done.Go(() => Block(1 + (id % 7)));
                Go.Sleep(TimeSpan.FromMilliseconds(id % 5));
                ring.Send(id);
                _ = ring.Receive();
            });
        }
        done.Wait();
    }

    // Opening one blocks until somebody writes to it; reading parks.
    [Test]
    public async Task PipesThatNobodyWritesToTakeNoMoreThreadsThanThereMayBe()
    {
        ChildResult child = ChildProcess.Run("fifos");

        await Assert.That(child.ToString()).StartsWith("exit code 0\n--- stdout\n300 ");
        await Assert.That(int.Parse(child.Output.Split(' ')[1], CultureInfo.InvariantCulture))
            .IsBetween(20, 20 + 40); // One more each 0.1 s.
        await Assert.That(child.Error).Contains("raise Go.MaxThreads");
    }

    /// <summary>Prints how many read a pipe to its end, and the most machines there were.</summary>
    internal static int Fifos(string[] args)
    {
        const int count = 300;
        const int limit = 20;
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        int got = 0;
        int most = 0;
        Go.MaxThreads = limit;
        _ = LookUpTests.MakePipe(path);
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Go(() =>
            {
                _ = File.ReadAllBytes(path);
                Interlocked.Increment(ref got);
            });
        }
        while (Go.Stats().BlockedMachines < limit)
        {
            Thread.Sleep(1);
        }
        Thread.Sleep(300);
        using (new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            while (Scheduler.NetworkWaiters < count) // All have opened it, and wait for something to read.
            {
                most = Math.Max(most, Scheduler.MachineCount);
                Thread.Sleep(1);
            }
        }
        done.Wait();
        File.Delete(path);
        Console.WriteLine($"{got} {most}");
        return 0;
    }

    // poll(2) ends by a signal even where it does not wait: that is no "ready", or the read would block.
    [Test]
    public async Task ASignalDoesNotMakeAnEmptyPipeReadable()
    {
        ChildResult child = ChildProcess.Run("pipes-in-storm");

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\n\n--- stderr\n");
    }

    /// <summary>While signals come as fast as can be: whoever reads a pipe parks, in round after round.</summary>
    internal static int PipesInStorm(string[] args)
    {
        const int pipes = 16;
        AnonymousPipeServerStream[] writers = new AnonymousPipeServerStream[pipes];
        for (int i = 0; i < pipes; i++)
        {
            AnonymousPipeServerStream writer = writers[i] = new(PipeDirection.Out);
            Go.Run(() =>
            {
                using AnonymousPipeClientStream reader = new(PipeDirection.In, writer.ClientSafePipeHandle);
                while (reader.ReadByte() >= 0)
                {
                }
            });
        }
        using AnonymousPipeServerStream empty = new(PipeDirection.In);
        int descriptor = (int)empty.SafePipeHandle.DangerousGetHandle();
        bool found = false;
        using PreemptionTests.SignalSender sender = new();
        for (long end = Stopwatch.GetTimestamp() + (2 * Stopwatch.Frequency); Stopwatch.GetTimestamp() < end;)
        {
            long last = Stopwatch.GetTimestamp() + (20 * Stopwatch.Frequency);
            while (Scheduler.NetworkWaiters != pipes)
            {
                if (Stopwatch.GetTimestamp() > last)
                {
                    Console.WriteLine($"{Scheduler.NetworkWaiters} of {pipes} wait in the poller");
                    return 1;
                }
                Go.Sleep(TimeSpan.FromMicroseconds(100));
            }
            WaitGroup looked = new();
            looked.Go(() =>
            {
                for (int i = 0; i < 1000; i++)
                {
                    found |= Os.HasInput(descriptor);
                }
            });
            looked.Wait();
            foreach (AnonymousPipeServerStream writer in writers)
            {
                writer.WriteByte(1);
            }
        }
        Console.Write(found ? "an empty pipe has input" : "");
        return found ? 1 : 0;
    }

    // They might wait for the one that could run.
    [Test]
    public async Task WhereAllThreadsAreBlockedForLongThereIsOneMore()
    {
        ChildResult child = ChildProcess.Run("one-more-thread");

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
    }

    internal static int OneMoreThread(string[] args)
    {
        const int limit = 3;
        Go.MaxThreads = limit;
        for (int i = 0; i < limit; i++)
        {
            Go.Run(() => Block(60_000));
        }
        Thread.Sleep(Qemu.IsHere ? 2000 : 50); // Their processors are taken from them meanwhile.
        using ManualResetEventSlim ran = new();
        Go.Run(ran.Set);
        return ran.Wait(20_000) && Scheduler.MachineCount == limit + 1 ? 0 : 1;
    }

    // Sysmon sleeps for good when all processors are idle.
    [Test]
    public async Task AnIdleProgramUsesNoCpu()
    {
        ChildResult child = ChildProcess.Run("idle");

        await Assert.That(child.ExitCode).IsEqualTo(0);
        await Assert.That(int.Parse(child.Output.Trim(), null)).IsLessThan(20);
    }

    /// <summary>Prints the milliseconds of CPU that two idle seconds cost.</summary>
    internal static int Idle(string[] args)
    {
        _ = WeftHost.Run(Go.Yield);
        Thread.Sleep(100);
        TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
        Thread.Sleep(2000);
        TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime - before;
        Console.WriteLine((int)used.TotalMilliseconds);
        return 0;
    }
}
