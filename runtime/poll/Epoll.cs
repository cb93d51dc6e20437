// epoll. One instance, edge-triggered, an eventfd in it for Break.
//
// The eventfd is level-triggered: a Poll that does not wait sees it and leaves it, and one that waits then
// ends at once and reads it. So a Break is never lost.
//
// Locks: none.

namespace Weft.Runtime;

internal static unsafe class Epoll
{
    private const ulong BreakData = ulong.MaxValue;

    private static int s_epoll;
    private static int s_event;
    private static int s_broken;
    private static bool s_milliseconds;

    /// <summary>A struct epoll_event, in a buffer for one: packed on x64, and nowhere else.</summary>
    private struct EpollEvent
    {
        private fixed uint _words[4];

        internal EpollEvent(uint events, ulong name)
        {
            fixed (uint* words = _words)
            {
                words[0] = events;
                *(ulong*)(words + DataAt) = name;
            }
        }
    }

    // In words of four bytes.
    private static int DataAt => Arch.IsX64 ? 1 : 2;

    private static int EventSize => DataAt + 2;

    internal static nint Start()
    {
        nint epoll = Os.EpollCreate();
        if (epoll < 0)
        {
            return epoll;
        }
        nint wake = Os.EventFd();
        EpollEvent breaks = new(Posix.EPOLLIN, BreakData);
        nint error = wake < 0
            ? wake
            : Os.EpollControl((int)epoll, Posix.EPOLL_CTL_ADD, (int)wake, (byte*)&breaks);
        if (error < 0)
        {
            if (wake >= 0)
            {
                _ = Os.CloseFile((int)wake);
            }
            _ = Os.CloseFile((int)epoll);
            return error;
        }
        s_epoll = (int)epoll;
        s_event = (int)wake;
        return 0;
    }

    internal static nint Add(nint handle, ulong name)
    {
        EpollEvent each = new(
            Posix.EPOLLIN | Posix.EPOLLOUT | Posix.EPOLLRDHUP | Posix.EPOLLPRI | Posix.EPOLLET, name);
        return Os.EpollControl(s_epoll, Posix.EPOLL_CTL_ADD, (int)handle, (byte*)&each);
    }

    internal static nint Arm(nint handle, ulong name, PollEvents directions, bool isNew)
    {
        const uint read = Posix.EPOLLIN | Posix.EPOLLRDHUP | Posix.EPOLLPRI;
        EpollEvent each = new(
            Posix.EPOLLONESHOT | ((directions & PollEvents.Read) != 0 ? read : 0)
                | ((directions & PollEvents.Write) != 0 ? Posix.EPOLLOUT : 0),
            name);
        int operation = isNew ? Posix.EPOLL_CTL_ADD : Posix.EPOLL_CTL_MOD;
        return Os.EpollControl(s_epoll, operation, (int)handle, (byte*)&each);
    }

    internal static nint Remove(nint handle)
    {
        EpollEvent none = default;
        return Os.EpollControl(s_epoll, Posix.EPOLL_CTL_DEL, (int)handle, (byte*)&none);
    }

    internal static int Poll(PollReport* reports, int most, long delayNs)
    {
        uint* events = stackalloc uint[most * EventSize];
        nint count = Wait((byte*)events, most, delayNs);
        int reported = 0;
        for (uint* each = events; each < events + (count * EventSize); each += EventSize)
        {
            ulong name = *(ulong*)(each + DataAt);
            if (name == BreakData)
            {
                if (delayNs != 0)
                {
                    AcceptBreak();
                }
                continue;
            }
            reports[reported].Name = name;
            reports[reported++].Events = Meaning(each[0]);
        }
        return reported;
    }

    internal static void Break()
    {
        if (Interlocked.Exchange(ref s_broken, 1) == 0) // Pairs with AcceptBreak: one write is enough.
        {
            ulong one = 1;
            _ = Os.Write(s_event, (byte*)&one, sizeof(ulong));
        }
    }

    private static void AcceptBreak()
    {
        ulong count;
        _ = Os.Read(s_event, (byte*)&count, sizeof(ulong));
        _ = Interlocked.Exchange(ref s_broken, 0); // After the read: a Break in between is this one.
    }

    private static nint Wait(byte* events, int most, long delayNs)
    {
        while (true)
        {
            nint count = delayNs == 0
                ? Os.EpollLook(s_epoll, events, most)
                : Os.EpollWait(s_epoll, events, most, delayNs, ref s_milliseconds);
            if (count >= 0)
            {
                return count;
            }
            Check.Always(count == -Posix.EINTR, "poll: epoll_wait failed"u8);
            if (delayNs > 0)
            {
                return 0; // The caller knows the time, and looks again.
            }
        }
    }

    private static PollEvents Meaning(uint events)
    {
        const uint unusual = Posix.EPOLLRDHUP | Posix.EPOLLHUP | Posix.EPOLLERR | Posix.EPOLLPRI;
        PollEvents meaning = PollEvents.None;
        if ((events & (Posix.EPOLLIN | unusual)) != 0)
        {
            meaning |= PollEvents.Read;
        }
        if ((events & (Posix.EPOLLOUT | Posix.EPOLLHUP | Posix.EPOLLERR)) != 0)
        {
            meaning |= PollEvents.Write;
        }
        return (events & unusual) != 0 ? meaning | PollEvents.Unusual : meaning;
    }
}
