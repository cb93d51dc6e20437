// The network poller: which descriptors can be read or written now, and who waits for that. The system's part
// is a backend: Epoll, Kqueue or Iocp, in files of these names. All are compiled in every build.
//
//   net/     open, then: try; would it block? Scheduler.WaitNetwork
//   sched/   Poll(0) where it looks for work, Poll(until the next timer) on the one idle machine that keeps
//            time, Poll(0) by sysmon if nobody did for 10 ms
//   here     who waits is in the descriptor (PollDescriptor.cs); Poll gives back a list, it readies nobody
//
// What a backend has to provide. There is one instance, made by Start. All may be called on any thread and
// any stack at the same time, a goroutine's of 2 KB too, but Poll on a system stack only; results are >= 0 or
// -errno; nothing allocates, throws, or takes a lock that a caller of Poll could hold. Poll alone may wait.
//
//   nint Start()
//          Makes the instance. Once, before all others.
//   nint Add(nint handle, ulong name)
//          From now on changes of the handle are reported under that name, both directions, edge-triggered:
//          one report at least after each change from "would block" to "would not", and one at once for what
//          is ready now. -EPERM: this kind of handle cannot be waited for (a regular file).
//   nint Arm(nint handle, ulong name, PollEvents directions, bool isNew)
//          The same in these directions, but one report only, and the next one after the next Arm, of which
//          only the first for a handle isNew. -ENOENT, where the system can tell: the handle was closed, and
//          is another file's.
//   nint Remove(nint handle)
//          Before the handle is closed. Reports may still come, from a Poll that is running: their name has
//          an old tag, and they are dropped here.
//   int Poll(PollReport* reports, int most, long delayNs)
//          Collects up to most reports. 0 does not wait, a negative delay waits without a limit, a positive
//          one that many ns (later by the system's slack only). Returns how many; 0 when the time is up or
//          Break was called. A call that waits lets collections proceed; there is at most one at a time.
//   void Break()
//          Ends the Poll that waits now, or else the next one that would: it is never lost. A Poll that does
//          not wait leaves it be.
//
// A backend of completions (Iocp) reports the end of an operation where the others report readiness: the
// operation's record has the name, and Report makes its direction ready. Closing the handle cancels what is
// under way; the record has to stay until that is reported.
//
// Rejected: a thread of its own that polls (two thread switches for each event); level-triggered reports
// (a system call for each park); an interface for the backends (one of them is ever used in a process).
// Locks: none of its own; PollTable's is a leaf.

namespace Weft.Runtime;

internal static unsafe class Netpoll
{
    private const int TagShift = 32;

    private static long s_waiters;

    /// <summary>Whether a report says that there is urgent data. kqueue has no filter for it that all systems
    /// know.</summary>
    internal static bool TellsUrgentData => !Kqueue.IsChosen && !OperatingSystem.IsWindows();

    /// <summary>Goroutines and threads that began to wait for a descriptor, less those that were taken out,
    /// where no processor was held. Scheduler.NetworkWaiters is the sum of all.</summary>
    internal static long Waiters => Volatile.Read(ref s_waiters);

    /// <summary>Before a goroutine is stored in a descriptor; with -1 after it was taken out. Every wait and
    /// every report does this: on the processor that is held, where there is one.</summary>
    internal static void AddWaiters(int count)
    {
        Switch.EnterCritical();
        Machine* m = Current.Machine();
        Processor* p = m == null ? null : m->Processor;
        if (p != null)
        {
            Volatile.Write(ref p->NetworkWaiters, p->NetworkWaiters + count);
        }
        else
        {
            Interlocked.Add(ref s_waiters, count);
        }
        Switch.LeaveCritical();
    }

    /// <summary>Makes the instance of this system's backend, or of the one asked for. 0 or -errno.</summary>
    internal static nint Start() =>
        Kqueue.IsChosen ? Kqueue.Start() : OperatingSystem.IsWindows() ? Iocp.Start() : Epoll.Start();

    /// <summary>Reports changes of the handle to pd from now on. 0 or -errno.</summary>
    internal static nint Add(nint handle, PollDescriptor* pd) =>
        Kqueue.IsChosen ? Kqueue.Add(handle, NameOf(pd))
            : OperatingSystem.IsWindows() ? Iocp.Add(handle, NameOf(pd))
            : Epoll.Add(handle, NameOf(pd));

    /// <summary>Reports once to pd, which is for such handles, that a direction can be used, and then that
    /// both can: who waits in the other one arms it again. isNew for the first time; afterwards -ENOENT
    /// tells, where the system can, that the handle is another file's. 0 or -errno.</summary>
    internal static nint Arm(nint handle, PollDescriptor* pd, PollEvents directions, bool isNew)
    {
        pd->ReportsOnce = true;
        return Kqueue.IsChosen ? Kqueue.Arm(handle, NameOf(pd), directions)
            : OperatingSystem.IsWindows() ? -Posix.ENOSYS
            : Epoll.Arm(handle, NameOf(pd), directions, isNew);
    }

    private static ulong NameOf(PollDescriptor* pd) => ((ulong)pd->Tag << TagShift) | pd->Index;

    /// <summary>Before the handle is closed.</summary>
    internal static nint Remove(nint handle) =>
        Kqueue.IsChosen ? Kqueue.Remove(handle)
            : OperatingSystem.IsWindows() ? Iocp.Remove(handle)
            : Epoll.Remove(handle);

    /// <summary>The goroutines that may go on, linked, each Waiting and owned by the caller; null when there
    /// are none: the time is up, Break was called, or all reports were for nobody. On a system
    /// stack.</summary>
    internal static Goroutine* Poll(long delayNs)
    {
        PollReport* reports = stackalloc PollReport[Layout.EventsPerPoll];
        int count = Kqueue.IsChosen ? Kqueue.Poll(reports, Layout.EventsPerPoll, delayNs)
            : OperatingSystem.IsWindows() ? Iocp.Poll(reports, Layout.EventsPerPoll, delayNs)
            : Epoll.Poll(reports, Layout.EventsPerPoll, delayNs);
        Goroutine* list = null;
        for (int i = 0; i < count; i++)
        {
            Report(ref list, reports + i);
        }
        return list;
    }

    /// <summary>Ends the Poll that waits, or the next one that would.</summary>
    internal static void Break()
    {
        if (Kqueue.IsChosen)
        {
            Kqueue.Break();
        }
        else if (OperatingSystem.IsWindows())
        {
            Iocp.Break();
        }
        else
        {
            Epoll.Break();
        }
    }

    private static void Report(ref Goroutine* list, PollReport* report)
    {
        PollDescriptor* pd = PollTable.At((uint)report->Name);
        PollEvents events = report->Events;
        if (pd->Tag != (uint)(report->Name >> TagShift))
        {
            return; // Closed meanwhile; its memory may be another's.
        }
        // From here on it may be closed and opened again too. Then the next owner gets a wake-up without
        // cause: it tries, and waits again.
        if ((events & PollEvents.Unusual) != 0)
        {
            pd->NoteUnusual();
        }
        if (pd->ReportsOnce)
        {
            events |= PollEvents.Read | PollEvents.Write;
        }
        if ((events & PollEvents.Write) != 0)
        {
            Append(ref list, pd->Unblock(PollMode.Write, ready: true));
        }
        if ((events & PollEvents.Read) != 0)
        {
            Append(ref list, pd->Unblock(PollMode.Read, ready: true));
        }
    }

    private static void Append(ref Goroutine* list, Goroutine* g)
    {
        if (g != null)
        {
            g->Link = list;
            list = g;
        }
    }
}
