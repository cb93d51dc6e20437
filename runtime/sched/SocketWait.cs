// How a call of the base library's on a socket or a pipe waits. asm/sockets.c stands in front of those calls,
// tries, and knows who may wait on which descriptor; it calls the functions here, as native code calls back,
// to wait in the poller. To that, the descriptor is one like any other, and so is a wait with a native frame
// below it.
//
//   Arm      the poller reports the descriptor once; the first time, it gets a record of the poller's
//   Wait     one goroutine in each direction, which asm/sockets.c sees to; with a time
//   Forget   no reports any more; who waits goes on for nothing, and looks why
//   Give     ends the record
//
// As every wait on the network, it keeps the report of deadlocks away, and its goroutine is a root when leaks
// are looked for.
// Rejected: the descriptor of net/ (it owns the number, and closes it).
// Locks: none; asm/sockets.c calls all but Wait and Give with a lock of its own held,
// which may be held across a stop.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class SocketWait
{
    [StructLayout(LayoutKind.Sequential)]
    private struct Hooks
    {
        internal delegate* unmanaged<int, int, PollDescriptor**, int> Arm;
        internal delegate* unmanaged<PollDescriptor*, int, long, int> Wait;
        internal delegate* unmanaged<PollDescriptor*, int, void> Forget;
        internal delegate* unmanaged<PollDescriptor*, void> Give;
    }

    private static long s_waits;

    /// <summary>As if there were no memory for records, and for timers. For tests.</summary>
    internal static bool RefusesRecords { get; set; }

    /// <summary>How often somebody was to wait in the poller. For tests; not exact.</summary>
    internal static long Count => Volatile.Read(ref s_waits);

    internal static void Initialize()
    {
        Hooks* hooks = (Hooks*)Switch.SocketHooks();
        hooks->Arm = &Arm;
        hooks->Wait = &Wait;
        hooks->Forget = &Forget;
        hooks->Give = &Give;
    }

    /// <summary>The base library's calls do not wait on the descriptor in the poller any more: somebody else
    /// wants it there. Who does blocks its thread.</summary>
    internal static void Leave(int fd)
    {
        if (!Jit.IsOn) // They never do there.
        {
            NativeLeave(fd);
        }
    }

    [DllImport("weft", EntryPoint = "weft_forget_descriptor")]
    private static extern void NativeLeave(int fd);

    [UnmanagedCallersOnly]
    private static int Arm(int fd, int directions, PollDescriptor** record)
    {
        if (*record != null)
        {
            return (int)Netpoll.Arm(fd, *record, (PollEvents)directions, isNew: false);
        }
        nint error = Scheduler.StartNetpoll();
        if (error < 0)
        {
            return (int)error;
        }
        PollDescriptor* pd = RefusesRecords ? null : PollTable.Take();
        if (pd == null)
        {
            return -Posix.ENOMEM;
        }
        error = Netpoll.Arm(fd, pd, (PollEvents)directions, isNew: true);
        if (error < 0)
        {
            End(pd);
            return (int)error;
        }
        *record = pd;
        return 0;
    }

    /// <summary>0 when it is to be tried again, 1 when it is that time of Os.NowNs, or -ENOMEM.</summary>
    [UnmanagedCallersOnly]
    private static int Wait(PollDescriptor* pd, int mode, long end)
    {
        Volatile.Write(ref s_waits, s_waits + 1);
        if (end == TimerNode.Never)
        {
            return Scheduler.WaitNetwork(pd, (PollMode)mode) == PollResult.Expired ? 1 : 0;
        }
        DeadlineTimer? limit = null;
        try
        {
            limit = new DeadlineTimer(pd, (PollMode)mode);
            limit.Set(end);
        }
        catch (OutOfMemoryException)
        {
            limit?.Set(TimerNode.Never); // It is in no heap.
            return -Posix.ENOMEM;
        }
        PollResult result = Scheduler.WaitNetwork(pd, (PollMode)mode);
        limit.Set(TimerNode.Never); // Takes memory only for a time.
        return result == PollResult.Expired ? 1 : 0;
    }

    [UnmanagedCallersOnly]
    private static void Forget(PollDescriptor* pd, int fd)
    {
        _ = Netpoll.Remove(fd);
        Ready(pd->Unblock(PollMode.Read, ready: true));
        Ready(pd->Unblock(PollMode.Write, ready: true));
    }

    private static void Ready(Goroutine* g)
    {
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    [UnmanagedCallersOnly]
    private static void Give(PollDescriptor* pd) => End(pd);

    private static void End(PollDescriptor* pd)
    {
        _ = pd->Close(); // Nobody waits.
        PollTable.Give(pd);
    }
}
