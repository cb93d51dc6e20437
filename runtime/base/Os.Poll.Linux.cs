// The system calls of poll/Epoll.cs.

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    private const long NsPerMs = 1_000_000;
    private const long NsPerSecond = 1_000_000_000;

    internal static nint EpollCreate() => Syscall(SysEpollCreate1, Posix.EPOLL_CLOEXEC, 0, 0, 0, 0, 0);

    internal static nint EventFd() =>
        Syscall(SysEventFd2, 0, Posix.EFD_CLOEXEC | Posix.EFD_NONBLOCK, 0, 0, 0, 0);

    internal static nint EpollControl(int epoll, int operation, int fd, byte* value) =>
        Syscall(SysEpollControl, epoll, operation, fd, (nint)value, 0, 0);

    /// <summary>What there is now.</summary>
    internal static nint EpollLook(int epoll, byte* events, int most) =>
        Syscall(SysEpollPwait, epoll, (nint)events, most, 0, 0, 0);

    /// <summary>Waits that many ns, without a limit when negative. Lets collections proceed; on a system
    /// stack. Before Linux 5.11 only in whole milliseconds, which is found out once.</summary>
    internal static nint EpollWait(int epoll, byte* events, int most, long delayNs, ref bool milliseconds)
    {
        if (delayNs > 0 && !milliseconds)
        {
            long* time = stackalloc long[2];
            time[0] = delayNs / NsPerSecond;
            time[1] = delayNs % NsPerSecond;
            nint count = SyscallBlocking(SysEpollPwait2, epoll, (nint)events, most, (nint)time, 0, 0);
            if (count != -Posix.ENOSYS && count != -Posix.EPERM) // Some sandboxes refuse what is new.
            {
                return count;
            }
            milliseconds = true;
        }
        long rounded = Math.Min((delayNs + NsPerMs - 1) / NsPerMs, int.MaxValue);
        nint limit = delayNs < 0 ? -1 : (nint)rounded;
        return SyscallBlocking(SysEpollPwait, epoll, (nint)events, most, limit, 0, 0);
    }
}
