// The network poller: which descriptors can be read or written now, and who waits for that. Portable; the
// system's part is Netpoll.<system>.cs.
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
//   nint Add(nint handle, PollDescriptor* pd)
//          From now on changes of the handle are reported for pd, both directions, edge-triggered: one report
//          at least after each change from "would block" to "would not", and one at once for what is ready
//          now. The event carries pd->Index and pd->Tag as they are at this call. -EPERM: this kind of
//          handle cannot be waited for (a regular file).
//   nint Remove(nint handle, PollDescriptor* pd)
//          Before the handle is closed. Reports may still come, from a Poll that is running: their tag is
//          old, and Report drops them.
//   Goroutine* Poll(long delayNs)
//          Collects reports: Report(ref list, index, tag, what) for each. 0 does not wait, a negative delay
//          waits without a limit, a positive one that many ns (later by the system's slack only). Returns
//          the goroutines that may go on, linked, each Waiting and owned by the caller; null when there are
//          none: the time is up, Break was called, or all reports were for nobody. A call that waits lets
//          collections proceed; there is at most one of these at a time.
//   void Break()
//          Ends the Poll that waits now, or else the next one that would: it is never lost. A Poll that does
//          not wait leaves it be.
//
// A backend of completions (IOCP) reports the end of an operation where the others report readiness: the
// operation's record has index and tag, and Report makes its direction ready. Closing the handle cancels what
// is under way; the record has to stay until that is reported.
//
// Rejected: a thread of its own that polls (two thread switches for each event); level-triggered reports
// (a system call for each park).
// Locks: none of its own; PollTable's is a leaf.

using System.Diagnostics.CodeAnalysis;

namespace Weft.Runtime;

/// <summary>What a report says.</summary>
[Flags]
[SuppressMessage("Naming", "CA1711", Justification = "It is a set of flags.")]
internal enum PollEvents
{
    None = 0,
    Read = 1,
    Write = 2,

    /// <summary>The other end is closed, or there is an error or urgent data: a read that got less than it
    /// had room for says nothing about what comes next.</summary>
    Unusual = 4,
}

internal static unsafe partial class Netpoll
{
    private static int s_waiters;

    /// <summary>Goroutines and threads that are parked on a descriptor. May be one too many for a
    /// moment.</summary>
    internal static int Waiters => Volatile.Read(ref s_waiters);

    /// <summary>Before a goroutine is stored in a descriptor; with -1 after it was taken out.</summary>
    internal static void AddWaiters(int count) => Interlocked.Add(ref s_waiters, count);

    /// <summary>What a backend calls for each event.</summary>
    private static void Report(ref Goroutine* list, uint index, uint tag, PollEvents events)
    {
        PollDescriptor* pd = PollTable.At(index);
        if (pd->Tag != tag)
        {
            return; // Closed meanwhile; its memory may be another's.
        }
        // From here on it may be closed and opened again too. Then the next owner gets a wake-up without
        // cause: it tries, and waits again.
        if ((events & PollEvents.Unusual) != 0)
        {
            pd->NoteUnusual();
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
