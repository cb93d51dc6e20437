// The report of a deadlock: goroutines exist, none can run, and nothing is left that could wake one. Go:
// checkdead, "all goroutines are asleep".
//
// Go knows all of a program's threads; here any thread of .NET's may be about to send on a channel. So
// sysmon, asleep because all processors are idle, looks now and then, and reports only if
//
//   all machines sleep                       none is in native code, no timer is set, and nobody waits on
//                                            a descriptor; one may sleep in the poller, which no one needs
//   every other thread waits in Weft         or is one of the runtime's own, known by its name; that of the
//                                            finalizers has nothing to do
//   no child process is left                 .NET's thread for signals tells who waits for its end
//   no processor was taken meanwhile         the two looks belong together
//
// A thread pool with a thread left, a Timer of .NET's, a thread that reads the terminal: no report.
// Rejected: asking the thread pool what it still has to do; it has no answer for the whole of it.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long FirstDeadlockCheckNs = 50_000_000;
    private const long LastDeadlockCheckNs = 10_000_000_000;
    private const string Tasks = "/proc/self/task";

    // What .NET's own threads are called: they wait for work that others make. Machines are counted, not
    // known by name: a thread that a goroutine starts inherits the name.
    private static readonly string[] s_serviceThreads =
    [
        ".NET Finalizer", ".NET SigHandler", ".NET BGC", ".NET Server GC",
    ];

    private static int s_waitingThreads;
    private static long s_processorsTaken;

    /// <summary>Whether a deadlock ends the process.</summary>
    internal static bool DetectsDeadlocks { get; set; } = true;

    /// <summary>Ends the process if there is a deadlock. On sysmon's thread.</summary>
    private static void ReportDeadlock()
    {
        long taken = Volatile.Read(ref s_processorsTaken);
        if (AllAreAsleep(taken) && CountOtherThreads() == 0 && !Os.HasChildren()
            && !DotNetWait.FinalizerIsBusy && AllAreAsleep(taken))
        {
            StackDump.WriteAndExit("weft: fatal: all goroutines are asleep: deadlock"u8);
        }
    }

    private static bool AllAreAsleep(long taken)
    {
        s_lock.Enter();
        bool asleep = s_processorsTaken == taken
            && s_idleProcessorCount == s_maxProcessors && s_globalCount == 0
            && s_idleMachineCount + (s_keeping ? 1 : 0) + Volatile.Read(ref s_lockedAsleep)
                == Volatile.Read(ref s_machineCount);
        s_lock.Exit();
        return asleep && LiveCount > 0 && !HasTimers && Netpoll.Waiters == 0;
    }

    /// <summary>Threads that might wake a goroutine.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int CountOtherThreads()
    {
        try
        {
            int others = -1 - Volatile.Read(ref s_machineCount) - Volatile.Read(ref s_waitingThreads);
            foreach (string task in Directory.GetDirectories(Tasks))
            {
                string name = File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n');
                others += Array.IndexOf(s_serviceThreads, name) < 0 ? 1 : 0;
            }
            return others; // All but sysmon, the machines, and threads that wait in Weft.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 1; // One has just ended, or there is no /proc: no report.
        }
    }
}
