// Descriptors and sockets. Each is one raw system call on a descriptor that does not block, so it is short;
// what can wait for a disk is marked, and is an ordinary native call.

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    private const nint FromHere = -100; // AT_FDCWD
    private const nint ResourceDescriptors = 7;

    /// <summary>The most that one raw call may copy: a collection waits for it.</summary>
    internal const nint LongestTransfer = 128 * 1024;

    private const int SignalPipe = 13;

    /// <summary>Raises ulimit -n to what the process may raise it to: a connection for each goroutine needs
    /// more than the 1,024 that a shell gives, which are meant for programs that call select. Go: the same at
    /// start.</summary>
    internal static void AllowAllDescriptors()
    {
        long* limits = stackalloc long[2]; // The soft limit and the hard one.
        if (ReadDescriptorLimits(limits) && limits[0] != limits[1])
        {
            limits[0] = limits[1];
            _ = Syscall(SysPrlimit, 0, ResourceDescriptors, (nint)limits, 0, 0, 0);
        }
    }

    /// <summary>What ulimit -n says; as if there were none where the kernel does not tell.</summary>
    internal static long DescriptorLimit()
    {
        long* limits = stackalloc long[2];
        return !ReadDescriptorLimits(limits) || limits[0] < 0 ? long.MaxValue : limits[0];
    }

    private static bool ReadDescriptorLimits(long* limits) =>
        Syscall(SysPrlimit, 0, ResourceDescriptors, 0, (nint)limits, 0, 0) >= 0;

    internal static nint Read(int fd, byte* buffer, nint count) =>
        Syscall(SysRead, fd, (nint)buffer, count, 0, 0, 0);

    internal static nint ReadAt(int fd, byte* buffer, nint count, nint offset) =>
        Syscall(SysReadAt, fd, (nint)buffer, count, offset, 0, 0);

    internal static nint Write(int fd, byte* buffer, nint count) =>
        Syscall(SysWrite, fd, (nint)buffer, count, 0, 0, 0);

    /// <summary>Pairs of address and length.</summary>
    internal static nint WriteVector(int fd, nint* vector, int count) =>
        Syscall(SysWritev, fd, (nint)vector, count, 0, 0, 0);

    /// <summary>The same for a descriptor that may block: a native call.</summary>
    internal static nint ReadBlocking(int fd, byte* buffer, nint count) =>
        SyscallBlocking(SysRead, fd, (nint)buffer, count, 0, 0, 0);

    internal static nint WriteBlocking(int fd, byte* buffer, nint count) =>
        SyscallBlocking(SysWrite, fd, (nint)buffer, count, 0, 0, 0);

    internal static nint ReadAtBlocking(int fd, byte* buffer, nint count, nint offset) =>
        SyscallBlocking(SysReadAt, fd, (nint)buffer, count, offset, 0, 0);

    internal static nint WriteAtBlocking(int fd, byte* buffer, nint count, nint offset) =>
        SyscallBlocking(SysWriteAt, fd, (nint)buffer, count, offset, 0, 0);

    internal static nint SyncBlocking(int fd) => SyscallBlocking(SysFsync, fd, 0, 0, 0, 0, 0);

    /// <summary>File to socket, from *<paramref name="offset"/>, which moves on. May wait for the disk: a
    /// native call.</summary>
    internal static nint SendFile(int to, int from, long* offset, nint count) =>
        SyscallBlocking(SysSendFile, to, from, (nint)offset, count, 0, 0);

    /// <summary>Whether a read would not block: there is data, or an end, or an error.</summary>
    internal static bool HasInput(int fd) => PollNow(fd, (int)Posix.EPOLLIN) != 0;

    /// <summary>What there is now of the events, EPOLLIN or EPOLLOUT; errors, and that it is not open, too.
    /// 0 is nothing, below 0 no answer.</summary>
    internal static int PollNow(int fd, int events)
    {
        // struct pollfd: the number, what is asked for, what there is. Its bits are those of epoll.
        ulong entry = (uint)fd | ((ulong)events << 32);
        long* time = stackalloc long[2];
        nint count;
        do
        {
            time[0] = time[1] = 0; // The kernel writes what is left.
            count = Syscall(SysPpoll, (nint)(&entry), 1, (nint)time, 0, 0, 0);
        }
        while (count == -Posix.EINTR); // Ends by a signal, even where it does not wait: trap cp.
        return count <= 0 ? (int)count : (int)(entry >> 48);
    }

    internal static nint CloseFile(int fd) => Syscall(SysClose, fd, 0, 0, 0, 0, 0);

    internal static nint Unlink(byte* path) => Syscall(SysUnlinkAt, FromHere, (nint)path, 0, 0, 0, 0);

    /// <summary>Whether the descriptor does not block now; or -errno.</summary>
    internal static nint IsNonBlocking(int fd)
    {
        nint flags = Syscall(SysFcntl, fd, Posix.F_GETFL, 0, 0, 0, 0);
        return flags < 0 ? flags : (flags & Posix.O_NONBLOCK) != 0 ? 1 : 0;
    }

    internal static nint SetNonBlocking(int fd, bool value)
    {
        nint flags = Syscall(SysFcntl, fd, Posix.F_GETFL, 0, 0, 0, 0);
        if (flags < 0)
        {
            return flags;
        }
        flags = value ? flags | Posix.O_NONBLOCK : flags & ~Posix.O_NONBLOCK;
        return Syscall(SysFcntl, fd, Posix.F_SETFL, flags, 0, 0, 0);
    }

    /// <summary>What kind of file it is, as Posix.S_IFMT has them; of a device, its major number.</summary>
    internal static int FileType(int fd, out int major)
    {
        const int size = 144; // struct stat, with st_mode at 24 and st_rdev at 40; arm64: at 16 and 32.
        int modeAt = Arch.IsX64 ? 24 : 16;
        byte* stat = stackalloc byte[size];
        new Span<byte>(stat, size).Clear();
        _ = Syscall(SysFstat, fd, (nint)stat, 0, 0, 0, 0);
        ulong device = *(ulong*)(stat + modeAt + 16);
        major = (int)((device >> 8) & 0xfff);
        return *(int*)(stat + modeAt) & Posix.S_IFMT;
    }

    /// <summary>Opens once more what the descriptor is open for: a number of its own, whose mode others do
    /// not share. It does not block and is not inherited.</summary>
    internal static nint Reopen(int fd, int access)
    {
        Span<byte> path = stackalloc byte[32];
        _ = System.Text.Unicode.Utf8.TryWrite(path, $"/proc/self/fd/{fd}\0", out _);
        fixed (byte* at = path)
        {
            nint flags = access | Posix.O_NONBLOCK | Posix.O_NOCTTY | Posix.O_CLOEXEC;
            return Syscall(SysOpenAt, FromHere, (nint)at, flags, 0, 0, 0);
        }
    }

    /// <summary>One that does not block and is not inherited.</summary>
    internal static nint Socket(int family, int type) =>
        Syscall(SysSocket, family, type | Posix.SOCK_NONBLOCK | Posix.SOCK_CLOEXEC, 0, 0, 0, 0);

    internal static nint Bind(int fd, byte* address, int length) =>
        Syscall(SysBind, fd, (nint)address, length, 0, 0, 0);

    internal static nint Listen(int fd, int backlog) => Syscall(SysListen, fd, backlog, 0, 0, 0, 0);

    /// <summary>One that does not block and is not inherited.</summary>
    internal static nint Accept(int fd, byte* address, int* length) =>
        Syscall(
            SysAccept4, fd, (nint)address, (nint)length, Posix.SOCK_NONBLOCK | Posix.SOCK_CLOEXEC, 0, 0);

    internal static nint Connect(int fd, byte* address, int length) =>
        Syscall(SysConnect, fd, (nint)address, length, 0, 0, 0);

    internal static nint ShutDown(int fd, int how) => Syscall(SysShutdown, fd, how, 0, 0, 0, 0);

    internal static nint LocalAddress(int fd, byte* address, int* length) =>
        Syscall(SysGetSockName, fd, (nint)address, (nint)length, 0, 0, 0);

    internal static nint PeerAddress(int fd, byte* address, int* length) =>
        Syscall(SysGetPeerName, fd, (nint)address, (nint)length, 0, 0, 0);

    internal static nint SendTo(int fd, byte* buffer, nint count, byte* address, int length) =>
        Syscall(SysSendTo, fd, (nint)buffer, count, Posix.MSG_NOSIGNAL, (nint)address, length);

    internal static nint ReceiveFrom(int fd, byte* buffer, nint count, byte* address, int* length) =>
        Syscall(SysRecvFrom, fd, (nint)buffer, count, 0, (nint)address, (nint)length);

    /// <summary>A read and a write of a socket that may be in blocking mode; these do not wait.</summary>
    internal static nint ReceiveNow(int fd, byte* buffer, nint count) =>
        Syscall(SysRecvFrom, fd, (nint)buffer, count, Posix.MSG_DONTWAIT, 0, 0);

    internal static nint SendNow(int fd, byte* buffer, nint count) =>
        Syscall(SysSendTo, fd, (nint)buffer, count, Posix.MSG_DONTWAIT | Posix.MSG_NOSIGNAL, 0, 0);

    internal static nint SetOption(int fd, int level, int name, int value) =>
        Syscall(SysSetSockOpt, fd, level, name, (nint)(&value), sizeof(int), 0);

    internal static nint GetOption(int fd, int level, int name, out int value)
    {
        int got = 0;
        int length = sizeof(int);
        nint error = Syscall(SysGetSockOpt, fd, level, name, (nint)(&got), (nint)(&length), 0);
        value = got;
        return error;
    }

    /// <summary>What happens at close to data not sent yet: thrown away after that many seconds.</summary>
    internal static nint SetLinger(int fd, bool on, int seconds)
    {
        int* linger = stackalloc int[2];
        linger[0] = on ? 1 : 0;
        linger[1] = seconds;
        return Syscall(
            SysSetSockOpt, fd, Posix.SOL_SOCKET, Posix.SO_LINGER, (nint)linger, 2 * sizeof(int), 0);
    }

    /// <summary>A write to what nobody reads any more is an error, not the end of the process; unless a
    /// handler says otherwise.</summary>
    internal static void IgnorePipeSignal()
    {
        if (Jit.IsOn)
        {
            return; // The JIT's runtime ignores it.
        }
        byte* action = stackalloc byte[152];
        if (Sigaction(SignalPipe, null, action) == 0 && *(nint*)action == 0)
        {
            *(nint*)action = 1;
            _ = Sigaction(SignalPipe, action, null);
        }
    }
}
