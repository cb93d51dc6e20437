// What Weft says about a program: deadlocks, dumps, the scheduler's trace.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Mono.Unix.Native;

namespace Weft.Tests;

internal sealed partial class ReportTests
{
    private const int Alive = 7;

    [Test]
    [Arguments("receive", "chan receive", "ReportTests+<>c__DisplayClass")]
    [Arguments("locked", "chan send", "ReportTests+<>c__DisplayClass")]
    [Arguments("group", "wait group", "Weft.WaitGroup.Wait")]
    [Arguments("many", "chan receive", "ReportTests.WaitForEver")]
    [Arguments("lock", ".NET wait", "ReportTests.WaitForLock")]
    [Arguments("two-locks", ".NET wait", "ReportTests.TakeBoth")]
    [Arguments("monitor", ".NET wait", "ReportTests.WaitForPulse")]
    [Arguments("task", ".NET wait", "ReportTests.WaitForTask")]
    [Arguments("idle-timers", "chan receive", "ReportTests.WaitForEver")]
    [Arguments("signals-before", "chan receive", "ReportTests.WaitForEver")]
    [Arguments("collections", "chan receive", "ReportTests.WaitForEver")]
    [Arguments("await", "chan receive", "Weft.AsyncHome.Run")]
    public async Task ADeadlockIsReported(string kind, string state, string method)
    {
        Skip.When(Qemu.IsHere, "qemu: it has a thread of its own, which might wake somebody");
        ChildResult child = ChildProcess.Run("deadlock", [kind]);

        await Assert.That(child.ExitCode).IsEqualTo(2);
        await Assert.That(child.Error).Contains("all goroutines are asleep");
        await Assert.That(child.Error).Contains($"[{state}");
        await Assert.That(child.Error).Contains(method);
    }

    // Each waits for a second and a half, to see that no report comes: all of them at once.
    private static readonly Dictionary<string, Lazy<Task<ChildResult>>> s_noDeadlocks =
        NoDeadlocks().ToDictionary(kind => kind, kind => new Lazy<Task<ChildResult>>(
            () => Task.Factory.StartNew(
                () => ChildProcess.Run("deadlock", [kind]),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

    public static IEnumerable<string> NoDeadlocks() =>
    [
        "off", "thread", "sleeper", "pool", "timer", "timeout", "event", "finalizer", "late-finalizer",
        "service", "process", "signal", "signal-and-task", "terminal-signal", "cancel-key", "child", "two-threads",
        "pipe", "await-delay",
    ];

    [Test]
    [MethodDataSource(nameof(NoDeadlocks))]
    public async Task WhatMayYetBeWokenIsNoDeadlock(string kind)
    {
        Skip.When(kind == "cancel-key" && SigintIsIgnored(), "SIGINT is ignored, as a shell does for &");
        foreach (string other in NoDeadlocks())
        {
            // Which would never be told, and outlive the tests.
            if (other != "cancel-key" || !SigintIsIgnored())
            {
                _ = s_noDeadlocks[other].Value;
            }
        }
        ChildResult child = await s_noDeadlocks[kind].Value;

        await Assert.That(child.ToString()).StartsWith($"exit code {Alive}\n");
    }

    private static bool SigintIsIgnored()
    {
        const long sigint = 1L << (2 - 1);
        string ignored = File.ReadLines("/proc/self/status").First(line => line.StartsWith("SigIgn:"));
        return (Convert.ToInt64(ignored.Split('\t')[1], 16) & sigint) != 0;
    }

    /// <summary>Waits for ever in some way, or seems to.</summary>
    internal static int Deadlock(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> channel = new();
        switch (args[0])
        {
            case "receive":
                _ = channel.Receive();
                break;
            case "locked":
                Go.LockOSThread();
                channel.Send(1);
                break;
            case "group":
                WaitGroup group = new();
                group.Add();
                group.Wait();
                break;
            case "many":
                for (int i = 0; i < 100; i++)
                {
                    Go.Run(WaitForEver, channel);
                }
                WaitForEver(channel);
                break;
            case "off":
                Go.DetectDeadlocks = false;
                Thread thread = new(() =>
                {
                    Thread.Sleep(1500);
                    Environment.Exit(Alive);
                });
                thread.IsBackground = true;
                thread.Start();
                _ = channel.Receive();
                break;
            case "thread":
                new Thread(() =>
                {
                    Thread.Sleep(1500);
                    channel.Send(Alive);
                }).Start();
                return channel.Receive();
            case "sleeper":
                Go.Run(() =>
                {
                    Thread.Sleep(1500);
                    channel.Send(Alive);
                });
                return channel.Receive();
            case "pool":
                _ = Task.Delay(1500).ContinueWith(_ => channel.Send(Alive), TaskScheduler.Default);
                return channel.Receive();
            case "timer":
                using (System.Threading.Timer timer = new(_ => channel.Send(Alive), null, 1500, Timeout.Infinite))
                {
                    return channel.Receive();
                }
            case "idle-timers": // Set, but nobody waits for them.
                Ticker ticker = new(TimeSpan.FromHours(1));
                Go.Run(channel.Send, 1);
                _ = Select.Wait(ticker.C.ReceiveCase(), channel.ReceiveCase());
                WaitForEver(channel);
                GC.KeepAlive(ticker);
                break;
            case "collections": // The last of them finds nothing to finalize.
                for (int i = 0; i < 5; i++)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
                GC.Collect();
                WaitForEver(channel);
                break;
            case "lock":
                Lock gate = new();
                gate.Enter();
                Go.Run(WaitForLock, gate);
                _ = channel.Receive();
                break;
            case "two-locks":
                object one = new();
                object other = new();
                using (Barrier both = new(2))
                {
                    Go.Run(() => TakeBoth(one, other, both));
                    TakeBoth(other, one, both);
                }
                break;
            case "monitor":
                WaitForPulse(new object());
                break;
            case "task":
                WaitForTask(new TaskCompletionSource());
                break;
            case "timeout":
                using (ManualResetEvent never = new(false))
                {
                    return never.WaitOne(1500) ? 1 : Alive;
                }
            case "event":
                using (ManualResetEvent later = new(false))
                {
                    new Thread(() =>
                    {
                        Thread.Sleep(1500);
                        later.Set();
                    }).Start();
                    return later.WaitOne() ? Alive : 1;
                }
            case "finalizer":
                using (ManualResetEvent later = new(false))
                {
                    LeaveToFinalizer(later, sleepMs: 1500);
                    GC.Collect();
                    return later.WaitOne() ? Alive : 1;
                }
            case "late-finalizer": // Its thread waits for something to do, and then for a core.
                using (ManualResetEvent first = new(false), later = new(false))
                {
                    LeaveToFinalizer(first, sleepMs: 0);
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    KeepFromCores(".NET Finalizer");
                    LeaveToFinalizer(later, sleepMs: 0);
                    GC.Collect();
                    return later.WaitOne() ? Alive : 1;
                }
            case "service": // As .NET's own thread when it is about to tell of a signal.
                Thread service = new(() =>
                {
                    long start = Environment.TickCount64;
                    while (Environment.TickCount64 - start < 1500)
                    {
                    }
                    channel.Send(Alive);
                })
                {
                    Name = ".NET SigHandler",
                };
                service.Start();
                return channel.Receive();
            case "pipe": // From a process that is nobody's child.
                ProcessStartInfo start = new("sh", ["-c", "(sleep 1.5; echo x) &"])
                {
                    RedirectStandardOutput = true,
                };
                using (Process shell = Process.Start(start)!)
                {
                    shell.WaitForExit();
                    return shell.StandardOutput.ReadLine() == "x" ? Alive : 1;
                }
            case "process":
                using (Process process = Process.Start("sleep", "1.5"))
                {
                    process.WaitForExit();
                    return Alive;
                }
            case "signals-before": // .NET handles signals, but none for the program any more.
                ConsoleCancelEventHandler handler = (_, _) => { };
                Console.CancelKeyPress += handler;
                Console.CancelKeyPress -= handler;
                PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => { }).Dispose();
                Process.Start("true").WaitForExit();
                WaitForEver(channel);
                break;
            case "signal":
                using (PosixSignalRegistration.Create((PosixSignal)10, context =>
                {
                    context.Cancel = true;
                    channel.Send(Alive);
                }))
                {
                    SignalLater("USR1");
                    return channel.Receive();
                }
            case "signal-and-task":
                TaskCompletionSource<int> task = new();
                using (PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
                {
                    context.Cancel = true;
                    task.SetResult(Alive);
                }))
                {
                    SignalLater("TERM");
                    return Go.Await(task.Task);
                }
            case "terminal-signal": // SIGCONT, which .NET handles for itself too.
                using (PosixSignalRegistration.Create((PosixSignal)18, _ => channel.Send(Alive)))
                {
                    SignalLater("CONT");
                    return channel.Receive();
                }
            case "cancel-key":
                Console.CancelKeyPress += (_, e) =>
                {
                    e.Cancel = true;
                    channel.Send(Alive);
                };
                SignalLater("INT");
                return channel.Receive();
            case "child":
                using (Process child = Process.Start("sleep", "1.5"))
                {
                    Go.Await(child.WaitForExitAsync());
                }
                return Alive;
            case "await":
                Go.Await(Go.RunAsync(async () => await new TaskCompletionSource().Task));
                break;
            case "await-delay":
                return Go.Await(Go.RunAsync(async () =>
                {
                    await Task.Delay(1500);
                    return Alive;
                }));
            case "two-threads":
                return TwoThreads();
            default:
                break;
        }
        return 1;
    });

    /// <summary>Sends the signal to this process, 1.5 s later. There is no child by then: its child is.</summary>
    private static void SignalLater(string signal)
    {
        string command = $"(sleep 1.5; kill -{signal} {Environment.ProcessId}) >/dev/null 2>&1 &";
        using Process shell = Process.Start("sh", ["-c", command]);
        shell.WaitForExit();
    }

    /// <summary>Of the two one has always been woken, and may not have run yet.</summary>
    private static int TwoThreads()
    {
        Chan<int> there = new();
        Chan<int> back = new();
        WaitGroup done = new();
        done.Add(2);
        long end = Environment.TickCount64 + 1500;
        new Thread(() =>
        {
            while (Environment.TickCount64 < end)
            {
                there.Send(1);
                _ = back.Receive();
            }
            there.Close();
            done.Done();
        }).Start();
        new Thread(() =>
        {
            while (there.Receive(out int value))
            {
                back.Send(value);
            }
            done.Done();
        }).Start();
        done.Wait();
        return Alive;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForLock(Lock gate) => gate.Enter();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeBoth(object first, object second, Barrier both)
    {
        lock (first)
        {
            both.SignalAndWait();
            lock (second)
            {
                GC.KeepAlive(first);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForPulse(object gate)
    {
        lock (gate)
        {
            _ = Monitor.Wait(gate);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForTask(TaskCompletionSource task)
    {
        task.Task.Wait();
        GC.KeepAlive(task);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeaveToFinalizer(ManualResetEvent later, int sleepMs) =>
        _ = new SlowlyFinalized(later, sleepMs);

    private sealed class SlowlyFinalized(ManualResetEvent later, int sleepMs)
    {
        ~SlowlyFinalized()
        {
            Thread.Sleep(sleepMs);
            later.Set();
        }
    }

    /// <summary>The thread of that name runs only when nobody else wants its core, and somebody does: a process
    /// that is nobody's child.</summary>
    private static void KeepFromCores(string name)
    {
        string task = Directory.GetDirectories("/proc/self/task")
            .First(task => File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n') == name);
        string allowed = File.ReadLines("/proc/self/status").First(line => line.StartsWith("Cpus_allowed_list:"));
        string core = allowed.Split('\t')[1].Split(',', '-')[0];
        string thread = Path.GetFileName(task);
        using Process shell = Process.Start("sh",
        [
            "-c",
            $"exec >/dev/null 2>&1; chrt -i -p 0 {thread} && taskset -p -c {core} {thread} && "
                + $"(timeout 4 taskset -c {core} sh -c 'while :; do :; done' &)",
        ]);
        shell.WaitForExit();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForEver(Chan<int> channel) => _ = channel.Receive();

    [Test]
    public async Task ADumpHasWhatIsParkedRunningAndInNativeCode()
    {
        ChildResult child = ChildProcess.Run("dump");

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
        foreach (string expected in (string[])
            ["[chan receive", "ReportTests.WaitForEver", "ReportTests.Spin", "[in native code",
             "ReportTests.Sleep", "[.NET wait", "ReportTests.Wait", "ReportTests.DumpHere"])
        {
            await Assert.That(child.Output).Contains(expected);
        }
    }

    [Test]
    public async Task GoroutinesThatDoTheSameAreOneEntry()
    {
        ChildResult child = ChildProcess.Run("dump-groups");

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
        await Assert.That(child.Output).Contains("1000 goroutines [chan receive")
            .And.Contains(" and 992 more").And.Contains("3 goroutines [chan receive")
            .And.Contains("ReportTests.WaitForEver").And.Contains("ReportTests.WaitElsewhere");
        await Assert.That(child.Output.Split('\n').Length).IsLessThan(40);
        await Assert.That(child.Error).Contains("\ngoroutine ");
        await Assert.That(child.Error.Split("ReportTests.WaitForEver").Length).IsEqualTo(1001);
    }

    internal static int DumpGroups(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> channel = new();
        for (int i = 0; i < 1003; i++)
        {
            Go.Run(i % 400 == 1 ? WaitElsewhere : WaitForEver, channel);
        }
        while (StatsOfWaiting() < 1003)
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
        }
        Go.Dump(Console.Out);
        Go.Dump(Console.Error, each: true);
    });

    private static long StatsOfWaiting()
    {
        using StringWriter text = new();
        Go.Dump(text, each: true);
        return text.ToString().Split("[chan receive").Length - 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitElsewhere(Chan<int> channel)
    {
        _ = channel.Receive(out _);
        GC.KeepAlive(channel);
    }

    internal static int Dump(string[] args)
    {
        Go.MaxProcs = 3;
        return WeftHost.Run(() =>
        {
            StartAll();
            for (int i = 0; i < 20; i++)
            {
                using StringWriter text = new();
                DumpHere(text); // An entry for each.
                int entries = text.ToString().Split("\ngoroutine ").Length;
                if (entries != Go.Count)
                {
                    Console.WriteLine($"{entries} entries for {Go.Count} goroutines\n{text}");
                    return 1;
                }
                if (i == 19)
                {
                    Console.WriteLine(text);
                }
                Thread.Sleep(5);
            }
            return 0;
        });
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void DumpHere(TextWriter writer) => Go.Dump(writer, each: true);

    private static void StartAll()
    {
        Chan<int> channel = new();
        Go.Run(WaitForEver, channel);
        Go.Run(Spin);
        Go.Run(Sleep);
        Go.Run(Wait);
        Thread.Sleep(100);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Sleep() => BlockingTests.Block(60_000);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Wait() => Thread.Sleep(60_000);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Spin()
    {
        long spins = 1;
        while (spins != 0)
        {
            spins += 2;
        }
    }

    [Test]
    public async Task OnSigquitAProgramSaysWhatItDoesAndEnds()
    {
        ChildResult child = ChildProcess.Run("quit");

        await Assert.That(child.ExitCode).IsEqualTo(2);
        await Assert.That(child.Error).Contains("SIGQUIT");
        await Assert.That(child.Error).Contains("ReportTests.WaitForEver");
        await Assert.That(child.Error).Contains("ReportTests.Spin");
    }

    internal static int Quit(string[] args) => WeftHost.Run(() =>
    {
        StartAll();
        _ = Syscall.kill(Environment.ProcessId, Signum.SIGQUIT);
        Thread.Sleep(30_000);
    });

    // The signal comes before the process ends: the report is written, whole. Once it was lost, because nobody
    // knew of the signal until a second thread had been started for it.
    [Test]
    [Arguments("return", "")]
    [Arguments("exit", "")]
    [Arguments("after-run", "")]
    [Arguments("handled", "")]
    [Arguments("return", "ignored")]
    public async Task TheEndOfAProgramWaitsForTheReport(string kind, string disposition)
    {
        string program = $"'{Environment.ProcessPath}' --child quit-and-end {kind}";
        string command = disposition == "ignored" ? $"trap '' QUIT; exec {program}" : $"exec {program}";
        ChildResult child = ChildProcess.Execute("/bin/sh", ["-c", command]);

        await Assert.That(child.ExitCode).IsEqualTo(2).Because(child.ToString());
        await Assert.That(child.Error).Contains("SIGQUIT: quit\n\n");
        await Assert.That(child.Error).Contains("ReportTests.WaitForEver");
    }

    // A thread that has taken the signal, and has not come to the handler, is waited for: 4 of 100 were lost.
    [Test]
    [Slow]
    public async Task AnEndRightAfterTheSignalWaitsForTheThreadThatHasTakenIt()
    {
        for (int i = 0; i < 60; i++)
        {
            ChildResult child = ChildProcess.Run("quit-and-end", ["exit", "10"]);
            await Assert.That(child.ExitCode).IsEqualTo(2).Because($"{i}: {child}");
        }
    }

    internal static int QuitAndEnd(string[] args)
    {
        int goroutines = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 10_000;
        int code = WeftHost.Run(() =>
        {
            Chan<int> channel = new();
            for (int i = 0; i < goroutines; i++)
            {
                Go.Run(WaitForEver, channel);
            }
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            if (args[0] == "handled")
            {
                Console.CancelKeyPress += (_, e) => e.Cancel = true;
                _ = Syscall.kill(Environment.ProcessId, Signum.SIGQUIT);
                Go.Sleep(TimeSpan.FromSeconds(30));
            }
            if (args[0] != "after-run")
            {
                _ = Syscall.kill(Environment.ProcessId, Signum.SIGQUIT);
            }
            if (args[0] == "exit")
            {
                Environment.Exit(5);
            }
        });
        if (args[0] == "after-run")
        {
            _ = Syscall.kill(Environment.ProcessId, Signum.SIGQUIT);
        }
        return code;
    }

    [Test]
    [Arguments("schedtrace=50", "SCHED ")]
    [Arguments("schedtrace=50,scheddetail=1", "  G1: status=")]
    public async Task TheSchedulerIsTracedAsOftenAsWanted(string setting, string line)
    {
        Dictionary<string, string> environment = new() { ["WEFTDEBUG"] = setting };
        ChildResult child = ChildProcess.Run("traced", environment: environment);

        await Assert.That(child.ExitCode).IsEqualTo(0);
        await Assert.That(child.Error).Contains(line);
        // A second of work and a second of idleness.
        int lines = child.Error.Split("SCHED ").Length - 1;
        await Assert.That(lines).IsGreaterThan(15);
        await Assert.That(lines).IsLessThan(60);
    }

    internal static int Traced(string[] args) => WeftHost.Run(() =>
    {
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(1))
        {
            Go.Yield();
        }
        Go.Await(Task.Delay(1000));
    });
}
