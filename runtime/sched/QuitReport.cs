// SIGQUIT: what all goroutines do, on standard error, and the end of the process with exit code 2.
//
//   kernel -> OnQuit          raw, on any thread: the report is asked for; wakes sysmon
//   sysmon -> a thread        which writes, and ends the process
//   end of the process        waits for the report, if it was asked for by then
//
// Between the moment at which a thread takes the signal from the kernel and the first line of OnQuit nobody
// can see it. A thread that sleeps is not there. To each that runs the end of the process sends SIGURG:
// OnQuit runs with all signals blocked, so who has taken that one has no SIGQUIT before it.
//
// Also where SIGQUIT was ignored at the start, as in `program &` of a script. Go: the same.
//
// .NET's handler, which ours is put over, is called as well: the program may have registered for SIGQUIT too
// (Console.CancelKeyPress does). When no such registration cancels, .NET ends the process; ours is the first,
// so it is called last, and does not return.
//
// Rejected: that registration alone. From the signal it takes a pipe and two threads until anybody knows of
// it, and main may have returned by then; and .NET leaves ignored signals alone. Sysmon as the writer: the
// report may wait for who needs sysmon to go on.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class QuitReport
{
    private const int LongestWaitMs = 1000; // For a thread that runs with all signals blocked.

    private static readonly Lock s_installLock = new();

    private static PosixSignalRegistration? s_registration;
    private static nint s_previous; // Plain statics: raw code uses them.
    private static int s_asked;
    private static bool s_begun;

    /// <summary>Whether SIGQUIT asks for the report.</summary>
    internal static bool IsInstalled => s_registration != null;

    private static bool IsAsked => Volatile.Read(ref s_asked) != 0;

    /// <summary>From now on, until the process ends. The runtime has started.</summary>
    internal static void Install()
    {
        lock (s_installLock)
        {
            if (IsInstalled)
            {
                return;
            }
            if (Jit.IsOn)
            {
                s_registration = PosixSignalRegistration.Create(
                    PosixSignal.SIGQUIT, static _ => StackDump.WriteAndExit("SIGQUIT: quit"u8));
                return;
            }
            AppDomain.CurrentDomain.ProcessExit += static (_, _) => AwaitReport();
            s_registration = PosixSignalRegistration.Create(
                PosixSignal.SIGQUIT, static _ => Thread.Sleep(Timeout.Infinite));
            _ = Os.SetHandler(
                Os.SignalQuit, (nint)(delegate*<int, nint, nint, void>)&OnQuit, out s_previous);
        }
    }

    /// <summary>Sysmon, when it is awake.</summary>
    internal static void BeginIfAsked()
    {
        if (s_begun || !IsAsked)
        {
            return;
        }
        s_begun = true;
        if (Os.StartThread(&Write, 0) < 0)
        {
            _ = WriteHere(); // No other thread can be had.
        }
    }

    private static void OnQuit(int signal, nint info, nint context)
    {
        Volatile.Write(ref s_asked, 1);
        Scheduler.RouseSysmon();
        if (s_previous is not (0 or 1))
        {
            _ = Switch.Call(s_previous, signal, info, context);
        }
    }

    [UnmanagedCallersOnly]
    private static nint Write(nint argument) => WriteHere();

    private static nint WriteHere()
    {
        StackDump.WriteAndExit("SIGQUIT: quit"u8);
        return 0;
    }

    /// <summary>Does not return if the report is asked for, also by a signal that no thread has taken
    /// yet.</summary>
    private static void AwaitReport()
    {
        while (IsAsked || Os.IsPending(Os.SignalQuit))
        {
            Thread.Sleep(1);
        }
        AwaitThreads();
        while (IsAsked)
        {
            Thread.Sleep(1);
        }
    }

    /// <summary>Until no other thread can have taken the signal without its handler having run.</summary>
    private static void AwaitThreads()
    {
        try
        {
            int self = Os.ThreadId();
            List<int> threads = [];
            foreach (string task in Directory.GetDirectories("/proc/self/task"))
            {
                int thread = int.Parse(Path.GetFileName(task.AsSpan()), CultureInfo.InvariantCulture);
                if (thread != self && IsRunning(thread, out _))
                {
                    Os.SignalThread(thread, Os.SignalUrgent);
                    threads.Add(thread);
                }
            }
            long start = Stopwatch.GetTimestamp();
            while (!IsAsked && threads.Count > 0
                && Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(LongestWaitMs))
            {
                _ = threads.RemoveAll(static t => !IsRunning(t, out bool pending) || !pending);
                Thread.Sleep(threads.Count > 0 ? 1 : 0);
            }
        }
        catch (Exception e) when (
            e is IOException or UnauthorizedAccessException or FormatException or ArgumentException)
        {
            // There is no /proc, or it is another one.
        }
    }

    /// <summary>Whether the thread does not sleep, and whether SIGURG waits for it.</summary>
    private static bool IsRunning(int thread, out bool isPending)
    {
        isPending = false;
        try
        {
            string status = File.ReadAllText($"/proc/self/task/{thread}/status");
            long pending = long.Parse(
                Line(status, "SigPnd:"), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            isPending = (pending & (1L << (Os.SignalUrgent - 1))) != 0;
            return !Line(status, "State:").StartsWith('S');
        }
        catch (IOException)
        {
            return false; // It has ended.
        }
    }

    private static ReadOnlySpan<char> Line(string status, string name)
    {
        ReadOnlySpan<char> line = status.AsSpan(status.IndexOf(name, StringComparison.Ordinal) + name.Length);
        return line[..line.IndexOf('\n')].Trim();
    }
}
