// What wakes the only goroutine from outside: none of it may be taken for a deadlock. Three ways to wait, one
// after the other, each ended half a second later by the same kind of waker. The report looks three times
// meanwhile.

using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed partial class WakerTests
{
    private const int LaterMs = 500;
    private const int Alive = 7;

    // For the length of the program.
    private static readonly List<object> s_kept = [];

    private static readonly SortedDictionary<string, Action<Action>> s_kinds = new(StringComparer.Ordinal)
    {
        ["console"] = wake => Task.Run(() =>
        {
            _ = Console.ReadLine();
            wake();
        }),
        ["finalizer"] = LeaveToFinalizer,
        ["foreign thread"] = OnForeignThread,
        ["gc notification"] = AfterCollection,
        ["pool"] = wake => ThreadPool.QueueUserWorkItem(_ =>
        {
            Thread.Sleep(LaterMs);
            wake();
        }),
        ["process"] = wake =>
        {
            Process process = new() { StartInfo = new("sleep", "0.5"), EnableRaisingEvents = true };
            process.Exited += (_, _) => wake();
            s_kept.Add(process);
            _ = process.Start();
        },
        ["registered wait"] = wake => s_kept.Add(ThreadPool.RegisterWaitForSingleObject(
            new AutoResetEvent(false), (_, _) => wake(), null, LaterMs, executeOnlyOnce: true)),
        ["signal"] = wake =>
        {
            s_kept.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
            {
                context.Cancel = true;
                wake();
            }));
            Later($"kill -TERM {Environment.ProcessId}");
        },
        ["socket"] = OnConnection,
        ["task"] = wake => _ = WakeAfterDelay(wake),
        ["timer"] = wake => s_kept.Add(
            new System.Threading.Timer(_ => wake(), null, LaterMs, Timeout.Infinite)),
        ["watcher"] = OnNewFile,
    };

    private static readonly Dictionary<string, Lazy<Task<ChildResult>>> s_runs =
        s_kinds.Keys.ToDictionary(kind => kind, kind => new Lazy<Task<ChildResult>>(
            () => Task.Factory.StartNew(
                () => Start(kind),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)));

    public static IEnumerable<string> Kinds() => s_kinds.Keys;

    // Each takes two seconds: all of them at once.
    [Test]
    [MethodDataSource(nameof(Kinds))]
    public async Task WhoIsWokenFromOutsideIsNotDeadlocked(string kind)
    {
        foreach (Lazy<Task<ChildResult>> other in s_runs.Values)
        {
            _ = other.Value;
        }
        ChildResult child = await s_runs[kind].Value;

        await Assert.That(child.ToString()).StartsWith($"exit code {Alive}\n");
    }

    private static ChildResult Start(string kind)
    {
        // What it reads comes from a process that is not its child.
        const string command = "for i in 1 2 3; do sleep 0.5; echo $i; done | \"$0\" --child wakers \"$1\"";
        return ChildProcess.Execute("/bin/sh", ["-c", command, Environment.ProcessPath!, kind]);
    }

    internal static int Program(string[] args)
    {
        if (args[0] == "connect")
        {
            using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(IPAddress.Loopback, int.Parse(args[1], null));
            return 0;
        }
        return WeftHost.Run(() =>
        {
            Action<Action> later = s_kinds[args[0]];
            using ManualResetEvent event_ = new(false);
            later(() => event_.Set());
            _ = event_.WaitOne();
            Chan<int> channel = new();
            later(() => channel.Send(1));
            _ = channel.Receive();
            TaskCompletionSource task = new();
            later(task.SetResult);
            task.Task.Wait();
            return Alive;
        });
    }

    private static async Task WakeAfterDelay(Action wake)
    {
        await Task.Delay(LaterMs).ConfigureAwait(false);
        wake();
    }

    /// <summary>Runs a command of the shell half a second later, in a process that is nobody's child by
    /// then.</summary>
    private static void Later(string command)
    {
        using Process shell = Process.Start(
            "sh", ["-c", $"(sleep 0.5; {command}) >/dev/null 2>&1 </dev/null &"]);
        shell.WaitForExit();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Make(Action atFinalization) => _ = new Finalized(atFinalization);

    private sealed class Finalized(Action then)
    {
        ~Finalized() => then();
    }

    private static void LeaveToFinalizer(Action wake)
    {
        Make(() =>
        {
            Thread.Sleep(LaterMs);
            wake();
        });
        GC.Collect();
    }

    // As the base library does it for its own caches: the finalizer of an object that nobody holds.
    private static void AfterCollection(Action wake)
    {
        Make(wake);
        new Thread(() =>
        {
            Thread.Sleep(LaterMs);
            GC.Collect();
        }).Start();
    }

    private static void OnConnection(Action wake)
    {
        Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        s_kept.Add(listener);
        _ = AcceptAsync(listener, wake);
        int port = ((IPEndPoint)listener.LocalEndPoint!).Port;
        Later($"'{Environment.ProcessPath}' --child wakers connect {port}");
    }

    private static async Task AcceptAsync(Socket listener, Action wake)
    {
        using Socket socket = await listener.AcceptAsync().ConfigureAwait(false);
        wake();
    }

    private static void OnNewFile(Action wake)
    {
        string directory = Directory.CreateTempSubdirectory().FullName;
        FileSystemWatcher watcher = new(directory) { EnableRaisingEvents = true };
        watcher.Created += (_, _) =>
        {
            Directory.Delete(directory, recursive: true);
            wake();
        };
        s_kept.Add(watcher);
        Later($": > '{directory}/new'");
    }

    private static Action? s_wake;

    /// <summary>A timer of the C library's, which runs its function in a thread of its own.</summary>
    private static unsafe void OnForeignThread(Action wake)
    {
        const int inThread = 2;
        s_wake = wake;
        long* toDo = stackalloc long[8]; // struct sigevent
        new Span<long>(toDo, 8).Clear();
        toDo[1] = (long)inThread << 32;
        toDo[2] = (long)(delegate* unmanaged<long, void>)&Wake;
        long* time = stackalloc long[4];
        new Span<long>(time, 4).Clear();
        time[3] = LaterMs * 1_000_000;
        nint timer;
        if (CreateTimer(1, toDo, &timer) != 0 || SetTimer(timer, 0, time, null) != 0)
        {
            throw new InvalidOperationException("timer_create");
        }
    }

    [UnmanagedCallersOnly]
    private static void Wake(long value) => s_wake!();

    [LibraryImport("libc", EntryPoint = "timer_create")]
    private static unsafe partial int CreateTimer(int clock, long* toDo, nint* timer);

    [LibraryImport("libc", EntryPoint = "timer_settime")]
    private static unsafe partial int SetTimer(nint timer, int flags, long* time, long* old);
}
