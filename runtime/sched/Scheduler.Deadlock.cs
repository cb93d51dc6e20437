// The report of a deadlock: goroutines exist, none can run, and nothing is left that could wake one. Go:
// checkdead, "all goroutines are asleep".
//
// Go knows all of a program's threads; here any thread of .NET's may be about to send on a channel. So
// sysmon, asleep because all processors are idle, looks now and then, and reports only if
//
//   all machines sleep                       none is in native code, no timer is set, and nobody waits on
//                                            a descriptor; one may sleep in the poller, which no one needs
//   no child process is left                 .NET's thread for signals tells who waits for its end
//   every other thread waits in Weft         and nobody has woken it; or is one of the runtime's own, known
//                                            by its name, and sleeps in the kernel: that for signals may
//                                            have collected the child and not have told it yet, so it is
//                                            looked at after the children; that of the finalizers has
//                                            nothing to do
//   no signal has a handler of the program   .NET's thread for signals runs it: PosixSignalRegistration,
//                                            Console.CancelKeyPress. What .NET's native code handles for
//                                            itself (SIGCHLD, SIGCONT, ...) does not count
//   no processor was taken meanwhile,        the looks belong together
//   and no thread woken
//
// A thread pool with a thread left, a Timer of .NET's, a watcher of files, a socket of .NET's, a thread that
// reads the terminal: each has a thread of its own, so no report.
// Rejected: asking the thread pool what it still has to do; it has no answer for the whole of it.

using System.Globalization;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long FirstDeadlockCheckNs = 50_000_000;
    private const long LastDeadlockCheckNs = 10_000_000_000;
    private const string Tasks = "/proc/self/task";

    // Threads that wait in Weft and have not been woken, and how many have ever been woken. A thread counts
    // itself before it sleeps, its waker takes it off: the count may be too low for a moment, never too high.
    private static int s_waitingThreads;
    private static int s_threadsWoken;
    private static long s_processorsTaken;

    /// <summary>What .NET's own threads are called: they wait for work that others make. Machines are
    /// counted, not known by name: a thread that a goroutine starts inherits the name. A class of its own:
    /// the scheduler's statics have to be constants (trap ds).</summary>
    private static class Services
    {
        internal static readonly string[] Names =
        [
            ".NET Finalizer", ".NET SigHandler", ".NET BGC", ".NET Server GC", ".NET EventPipe",
        ];
    }

    /// <summary>Whether a deadlock ends the process.</summary>
    internal static bool DetectsDeadlocks { get; set; } = true;

    /// <summary>Ends the process if there is a deadlock. On sysmon's thread.</summary>
    private static void ReportDeadlock()
    {
        long taken = Volatile.Read(ref s_processorsTaken);
        // Before the count of those that wait, after which WakeThread changes it: who was woken by a thread
        // that had ended before it could be counted is seen in one of the two.
        int woken = Volatile.Read(ref s_threadsWoken);
        if (AllAreAsleep(taken) && !Os.HasChildren() && CountOtherThreads() == 0 && !HandlesSignals()
            && !DotNetWait.FinalizerIsBusy && AllAreAsleep(taken)
            && woken == Volatile.Read(ref s_threadsWoken))
        {
            StackDump.WriteAndExit("weft: fatal: all goroutines are asleep: deadlock"u8);
        }
    }

    private static bool HandlesSignals()
    {
        byte* handled = Switch.SignalsHandled();
        for (int signal = 1; signal <= Os.LastSignal; signal++)
        {
            // After SIGQUIT the report is written all the same, and the process ends.
            bool isOurs = signal == Os.SignalQuit && QuitReport.IsInstalled;
            if (!isOurs && Volatile.Read(ref handled[signal]) != 0)
            {
                return true;
            }
        }
        return false;
    }

    private static bool AllAreAsleep(long taken)
    {
        s_shared.Lock.Enter();
        bool asleep = s_processorsTaken == taken
            && s_shared.IdleProcessorCount == s_shared.MaxProcessors && s_shared.GlobalCount == 0
            && s_idleMachineCount + (s_keeping ? 1 : 0) + Volatile.Read(ref s_lockedAsleep)
                == Volatile.Read(ref s_machineCount);
        s_shared.Lock.Exit();
        if (asleep)
        {
            EndLingering();
        }
        return asleep && LiveCount > 0 && !HasTimers && NetworkWaiters == 0;
    }

    /// <summary>Threads that might wake a goroutine.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int CountOtherThreads()
    {
        try
        {
            int ours = Jit.IsOn ? ThreadsOnJit : 1 + Volatile.Read(ref s_machineCount);
            string[] services = Jit.IsOn ? JitServices.Names : Services.Names;
            int others = -ours - Volatile.Read(ref s_waitingThreads);
            string[] tasks = Directory.GetDirectories(Tasks);
            foreach (string task in tasks)
            {
                others += IsIdle(File.ReadAllText(Path.Combine(task, "stat")), services) ? 0 : 1;
            }
            // The kernel ends the list early where a thread ends that it stands at.
            bool isWhole = tasks.Length == NumberOfThreads();
            return isWhole ? others : 1; // All but ours (sysmon, the machines) and those that wait in Weft.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 1; // One has just ended, or there is no /proc: no report.
        }
    }

    /// <summary>Whether that is a thread of the runtime's that sleeps. "id (name) state ...": the name may
    /// contain anything.</summary>
    private static bool IsIdle(string stat, string[] services)
    {
        int nameEnds = stat.LastIndexOf(')');
        string name = stat[(stat.IndexOf('(') + 1)..nameEnds];
        return stat[nameEnds + 2] == 'S' && Array.IndexOf(services, name) >= 0;
    }

    /// <summary>As the kernel counts them. The second word in the file's form may contain anything.</summary>
    private static int NumberOfThreads()
    {
        const int fieldsAfterName = 17;
        string text = File.ReadAllText("/proc/self/stat");
        string[] fields = text[(text.LastIndexOf(')') + 2)..].Split(' ');
        return int.Parse(fields[fieldsAfterName], CultureInfo.InvariantCulture);
    }
}
