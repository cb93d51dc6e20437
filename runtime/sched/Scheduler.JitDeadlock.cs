// The report of a deadlock on the JIT (base/Jit.cs). The rules are those of Scheduler.Deadlock.cs, and so is
// most of the code; a goroutine is one more thread that waits in Weft there. What differs:
//
//   who looks       a thread of its own: it may have to wait for the finalizers, and the keeper may not
//   who waits       threads in Weft. One in a lock or another wait of .NET's counts as one that runs, so a
//                   deadlock that has such a wait in it is not reported
//   signals         .NET's own table says which have a handler of the program
//   a debugger      has threads of its own and stops ours: a line, once, and the program goes on
//
// Rejected: looks by the keeper of the time: a finalizer may wait for a timer.

using System.Collections;
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int ThreadsOnJit = 2; // The keeper and the watch.

    /// <summary>A class of its own: as Services.</summary>
    private static class JitServices
    {
        /// <summary>By the kernel's names, of at most 15 bytes.</summary>
        internal static readonly string[] Names =
        [
            ".NET Finalizer", ".NET SigHandler", ".NET BGC", ".NET Server GC", ".NET SynchManag",
            ".NET EventPipe", ".NET DebugPipe", ".NET Debugger", ".NET Tiered Com",
        ];
    }

    private static void WatchForDeadlocks()
    {
        long delay = FirstDeadlockCheckNs;
        int woken = 0;
        bool isSaid = false;
        while (true)
        {
            Thread.Sleep((int)(delay / 1_000_000));
            int now = Volatile.Read(ref s_threadsWoken);
            delay = now != woken ? FirstDeadlockCheckNs : Math.Min(2 * delay, LastDeadlockCheckNs);
            woken = now;
            if (!DetectsDeadlocks || !IsDeadlockOnJit(woken))
            {
                continue;
            }
            if (!Debugger.IsAttached)
            {
                StackDump.WriteAndExit("weft: fatal: all goroutines are asleep: deadlock"u8);
            }
            if (!isSaid)
            {
                Fatal.Write("weft: all goroutines wait for each other; the debugger shows where\n");
                isSaid = true;
            }
        }
    }

    private static bool IsDeadlockOnJit(int woken)
    {
        if (!AllWait(woken) || Os.HasChildren() || CountOtherThreads() != 0 || HandlesSignalsOnJit())
        {
            return false;
        }
        GC.WaitForPendingFinalizers();
        return AllWait(woken) && CountOtherThreads() == 0;
    }

    /// <summary>Whether nobody has been woken since, and nothing of Weft's will wake anybody.</summary>
    private static bool AllWait(int woken)
    {
        EndLingering();
        return LiveCount > 0 && Volatile.Read(ref s_waitingThreads) >= LiveCount && !HasTimers
            && NetworkWaiters == 0 && woken == Volatile.Read(ref s_threadsWoken);
    }

    private static bool HandlesSignalsOnJit()
    {
        FieldInfo? field = typeof(PosixSignalRegistration).GetField(
            "s_registrations", BindingFlags.NonPublic | BindingFlags.Static);
        if (field?.GetValue(null) is not IDictionary handled)
        {
            return true; // Not known: no report. ReportTests fails then.
        }
        lock (handled)
        {
            foreach (int signal in handled.Keys)
            {
                // After SIGQUIT the report is written all the same, and the process ends.
                if (signal != Os.SignalQuit || !QuitReport.IsInstalled)
                {
                    return true;
                }
            }
        }
        return false;
    }
}
