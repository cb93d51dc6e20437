// kqueue, of macOS and FreeBSD: one instance, edge-triggered (EV_CLEAR), a pipe in it for Break.
//
// Its calls come from a library that is loaded at the start: the C library there, and elsewhere the one that
// WEFT_KQUEUE_LIB names, libkqueue for example. The pipe's filter is level-triggered: a Poll that does not
// wait sees it and leaves it, and one that waits then ends at once and empties it. So a Break is never lost.
//
// The calls are native calls like any other. They come back on the thread that made them, but a goroutine
// that makes one may have to wait for a processor: Add and Remove are called with no lock held.
//
// Rejected: EVFILT_USER for Break (its number and its trigger differ from system to system).
// Locks: none.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class Kqueue
{
    private const string LibraryVariable = "WEFT_KQUEUE_LIB";

    private const short EVFILT_READ = -1;
    private const short EVFILT_WRITE = -2;
    private const ushort EV_ADD = 0x1;
    private const ushort EV_DELETE = 0x2;
    private const ushort EV_ONESHOT = 0x10;
    private const ushort EV_CLEAR = 0x20;
    private const ushort EV_ERROR = 0x4000;
    private const ushort EV_EOF = 0x8000;
    private const ulong BreakName = ulong.MaxValue;
    private const long NsPerSecond = 1_000_000_000;

    private static delegate* unmanaged<int> s_kqueue;
    private static delegate* unmanaged<int, byte*, int, byte*, int, long*, int> s_kevent;
    private static delegate* unmanaged<int*, int> s_pipe;
    private static delegate* unmanaged<int, byte*, nint, nint> s_read;
    private static delegate* unmanaged<int, int> s_close;
    private static int s_eventSize;
    private static int s_queue;
    private static int s_pipeIn;
    private static int s_pipeOut;
    private static int s_broken;

    [StructLayout(LayoutKind.Sequential)]
    private struct Kevent
    {
        internal nint Ident;
        internal short Filter;
        internal ushort Flags;
        internal uint FilterFlags;
        internal nint Data;
        internal ulong UserData;
        // FreeBSD has four words more.
    }

    /// <summary>Whether this process polls with it.</summary>
    internal static bool IsChosen { get; private set; }

    /// <summary>Chooses it, if the system has it or the environment names its library; makes the instance
    /// then. On an ordinary thread, with no lock of Weft's. Throws DllNotFoundException,
    /// EntryPointNotFoundException, IOException.</summary>
    internal static void Choose()
    {
        bool native = OperatingSystem.IsMacOS() || OperatingSystem.IsFreeBSD();
        string? name = Environment.GetEnvironmentVariable(LibraryVariable);
        if (string.IsNullOrEmpty(name))
        {
            if (!native)
            {
                return;
            }
            name = "libc";
        }
        nint library = NativeLibrary.Load(name);
        s_kqueue = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "kqueue");
        s_kevent = (delegate* unmanaged<int, byte*, int, byte*, int, long*, int>)
            NativeLibrary.GetExport(library, "kevent");
        s_pipe = (delegate* unmanaged<int*, int>)NativeLibrary.GetExport(library, "pipe");
        s_read = (delegate* unmanaged<int, byte*, nint, nint>)NativeLibrary.GetExport(library, "read");
        s_close = (delegate* unmanaged<int, int>)NativeLibrary.GetExport(library, "close");
        s_eventSize = sizeof(Kevent) + (OperatingSystem.IsFreeBSD() ? 4 * sizeof(ulong) : 0);
        nint error = Make();
        if (error < 0)
        {
            throw new IOException($"{LibraryVariable}: '{name}' makes no queue: error {-error}.");
        }
        IsChosen = true;
    }

    /// <summary>Choose has made the instance.</summary>
    internal static nint Start() => 0;

    internal static nint Add(nint handle, ulong name)
    {
        nint error = Change(handle, EVFILT_READ, EV_ADD | EV_CLEAR, name);
        if (error == 0)
        {
            error = Change(handle, EVFILT_WRITE, EV_ADD | EV_CLEAR, name);
            if (error == -Posix.EINVAL)
            {
                error = 0; // It can only be read from: one end of a pipe.
            }
        }
        else if (error == -Posix.EINVAL)
        {
            error = Change(handle, EVFILT_WRITE, EV_ADD | EV_CLEAR, name);
        }
        return error;
    }

    /// <summary>The number of a file that was closed has no filters left; they are made anew.</summary>
    internal static nint Arm(nint handle, ulong name, PollEvents directions)
    {
        nint read = (directions & PollEvents.Read) == 0
            ? 0 : Change(handle, EVFILT_READ, EV_ADD | EV_ONESHOT, name);
        nint write = (directions & PollEvents.Write) == 0
            ? 0 : Change(handle, EVFILT_WRITE, EV_ADD | EV_ONESHOT, name);
        return read < 0 ? read : write;
    }

    internal static nint Remove(nint handle)
    {
        nint read = Change(handle, EVFILT_READ, EV_DELETE, 0);
        nint write = Change(handle, EVFILT_WRITE, EV_DELETE, 0);
        return read == 0 ? write : read;
    }

    internal static int Poll(PollReport* reports, int most, long delayNs)
    {
        byte* events = stackalloc byte[most * s_eventSize];
        long* time = stackalloc long[2];
        time[0] = Math.Max(0, delayNs) / NsPerSecond;
        time[1] = Math.Max(0, delayNs) % NsPerSecond;
        int count;
        while (true)
        {
            count = s_kevent(s_queue, null, 0, events, most, delayNs < 0 ? null : time);
            if (count >= 0)
            {
                break;
            }
            Check.Always(Marshal.GetLastSystemError() == Posix.EINTR, "poll: kevent failed"u8);
            if (delayNs > 0)
            {
                return 0; // The caller knows the time, and looks again.
            }
        }
        int reported = 0;
        for (int i = 0; i < count; i++)
        {
            Kevent* each = (Kevent*)(events + (i * s_eventSize));
            if (each->UserData != BreakName)
            {
                reports[reported].Name = each->UserData;
                reports[reported++].Events = Meaning(each);
            }
            else if (delayNs != 0)
            {
                AcceptBreak();
            }
        }
        return reported;
    }

    internal static void Break()
    {
        if (Interlocked.Exchange(ref s_broken, 1) == 0) // Pairs with AcceptBreak: one byte is enough.
        {
            byte one = 1;
            _ = Os.Write(s_pipeIn, &one, 1); // No native call: whoever calls this may hold a lock.
        }
    }

    private static void AcceptBreak()
    {
        byte one;
        _ = s_read(s_pipeOut, &one, 1);
        _ = Interlocked.Exchange(ref s_broken, 0); // After the read: a Break in between is this one.
    }

    private static nint Make()
    {
        int* ends = stackalloc int[2];
        int queue = s_kqueue();
        if (queue < 0)
        {
            return -Marshal.GetLastSystemError();
        }
        s_queue = queue;
        if (s_pipe(ends) != 0)
        {
            nint error = -Marshal.GetLastSystemError();
            _ = s_close(queue);
            return error;
        }
        s_pipeOut = ends[0];
        s_pipeIn = ends[1];
        return Change(s_pipeOut, EVFILT_READ, EV_ADD, BreakName);
    }

    private static nint Change(nint handle, short filter, ushort flags, ulong name)
    {
        byte* memory = stackalloc byte[s_eventSize];
        new Span<byte>(memory, s_eventSize).Clear();
        Kevent* change = (Kevent*)memory;
        change->Ident = handle;
        change->Filter = filter;
        change->Flags = flags;
        change->UserData = name;
        return s_kevent(s_queue, memory, 1, null, 0, null) < 0 ? -Marshal.GetLastSystemError() : 0;
    }

    private static PollEvents Meaning(Kevent* each)
    {
        PollEvents meaning = each->Filter == EVFILT_WRITE ? PollEvents.Write : PollEvents.Read;
        if ((each->Flags & (EV_EOF | EV_ERROR)) == 0)
        {
            return meaning;
        }
        // The other direction may have nothing of its own to report: a peer that resets ends both.
        meaning |= PollEvents.Unusual;
        return (each->Flags & EV_ERROR) != 0 || each->FilterFlags != 0
            ? meaning | PollEvents.Read | PollEvents.Write
            : meaning;
    }
}
