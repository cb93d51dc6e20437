// A process that this one has started, and the start itself: posix_spawn, which shares the memory until exec and
// so costs the same however large this process is.
//
// A goroutine of the library's waits for each, in the poller, on a descriptor of the process, and takes its
// status. So there is no handler of SIGCHLD, and no number that may be another process's by then: while that
// goroutine waits the number is not free, and who sends a signal does so through the descriptor.
//
// Rejected: fork and exec by hand, in C: what runs between the two must not be moved or preempted. .NET's Process:
// it installs handlers, and a thread.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal sealed unsafe partial class Spawned
{
    private const int CloseOnExec = 0x80000;
    private const int ReadWrite = 2;
    private const int SetSignalMask = 8;
    private const int SetSignalDefaults = 4;
    private const int BrokenPipe = 13;
    private const int PidFdOpen = 434; // On every processor.
    private const int PidFdSendSignal = 424;
    private const int NoHang = 1;
    private const int NoChild = -10;
    private const int AttributesSize = 512; // glibc: 336.
    private const int ActionsSize = 128; // glibc: 80.
    private const int SignalSetSize = 128;
    private const int Streams = 3;

    private readonly int _pidFd; // Its own; another number of it is the poller's.
    private readonly Descriptor _end;
    private readonly int[] _pipes;

    private Spawned(int id, int pidFd, Descriptor end, int[] pipes)
    {
        Id = id;
        _pidFd = pidFd;
        _end = end;
        _pipes = pipes;
    }

    internal int Id { get; }

    /// <summary>Closed when it has ended.</summary>
    internal ByteChan Ended { get; } = new(0, 0);

    /// <summary>As waitpid gives it; or -ECHILD, somebody else has taken it.</summary>
    internal int Status { get; private set; }

    /// <summary>What a stream of the child is; from <see cref="Given"/> on a descriptor of the
    /// caller's.</summary>
    internal enum Stream
    {
        Inherit,
        Pipe,
        Null,

        /// <summary>Of the third one only: the same as the second.</summary>
        Output,
        Given = 256,
    }

    /// <summary>Starts it. 0 or -errno.</summary>
    /// <param name="path">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Its environment; null: that of this process.</param>
    /// <param name="directory">Where it starts; null: here.</param>
    /// <param name="streams">Its three streams.</param>
    /// <param name="more">The caller's descriptors that it has as 3 and so on; -1: none.</param>
    /// <param name="made">The process.</param>
    internal static int Start(
        byte* path, byte** arguments, byte** environment, byte* directory, ReadOnlySpan<Stream> streams,
        ReadOnlySpan<int> more, out Spawned? made)
    {
        made = null;
        int* mine = stackalloc int[Streams];
        new Span<int>(mine, Streams).Fill(-1);
        int[] childs = new int[Streams + more.Length]; // Copies; by the number that each is to have.
        Array.Fill(childs, -1);
        int error = OpenPipes(streams, mine, childs);
        error = error == 0 ? Copy(streams, more, childs) : error;
        int id = 0;
        if (error == 0)
        {
            error = Run(path, arguments, environment, directory, streams, childs, &id);
        }
        foreach (int each in childs)
        {
            Process.CloseIfOpen(each);
        }
        if (error == 0)
        {
            error = Watch(id, [mine[0], mine[1], mine[2]], out made);
        }
        for (int i = 0; i < Streams && error != 0; i++)
        {
            Process.CloseIfOpen(mine[i]);
        }
        return error;
    }

    /// <summary>This side's end of a pipe, which is the caller's from then on; -1 when there is none.</summary>
    internal int TakePipe(int stream) => Interlocked.Exchange(ref _pipes[stream], -1);

    internal int Send(int signal)
    {
        if (Ended.IsClosed)
        {
            return Code.NotGoroutine;
        }
        return syscall(PidFdSendSignal, _pidFd, signal, 0, 0) == 0 ? 0 : -Marshal.GetLastSystemError();
    }

    /// <summary>The handle is gone: pipes that nobody took are closed. The process goes on.</summary>
    internal void Leave()
    {
        for (int i = 0; i < Streams; i++)
        {
            Process.CloseIfOpen(TakePipe(i));
        }
    }

    /// <summary>Copies of what the caller gives, with numbers beyond all those that the child is to have: else one
    /// could be overwritten there before it is copied itself.</summary>
    private static int Copy(ReadOnlySpan<Stream> streams, ReadOnlySpan<int> more, int[] childs)
    {
        for (int i = 0; i < childs.Length; i++)
        {
            int from = i >= Streams ? more[i - Streams] : streams[i] >= Stream.Given ? streams[i] - Stream.Given : -1;
            if (from >= 0)
            {
                childs[i] = Process.Duplicate(from, atLeast: childs.Length);
                if (childs[i] < 0)
                {
                    return -Marshal.GetLastSystemError();
                }
            }
        }
        return 0;
    }

    private static int OpenPipes(ReadOnlySpan<Stream> streams, int* mine, int[] childs)
    {
        int* ends = stackalloc int[2];
        for (int i = 0; i < Streams; i++)
        {
            if (streams[i] == Stream.Pipe)
            {
                if (pipe2(ends, CloseOnExec) != 0)
                {
                    return -Marshal.GetLastSystemError();
                }
                bool isInput = i == 0;
                mine[i] = ends[isInput ? 1 : 0];
                childs[i] = ends[isInput ? 0 : 1];
            }
        }
        return 0;
    }

    private static int Run(
        byte* path, byte** arguments, byte** environment, byte* directory, ReadOnlySpan<Stream> streams,
        int[] childs, int* id)
    {
        byte* attributes = stackalloc byte[AttributesSize];
        byte* actions = stackalloc byte[ActionsSize];
        byte* signals = stackalloc byte[SignalSetSize];
        _ = posix_spawnattr_init(attributes);
        _ = posix_spawn_file_actions_init(actions);
        _ = sigemptyset(signals); // A thread of ours may have some blocked.
        _ = posix_spawnattr_setsigmask(attributes, signals);
        _ = sigaddset(signals, BrokenPipe); // .NET ignores it, and that would be inherited.
        _ = posix_spawnattr_setsigdefault(attributes, signals);
        _ = posix_spawnattr_setflags(attributes, SetSignalMask | SetSignalDefaults);
        int error = 0;
        fixed (byte* nothing = "/dev/null\0"u8)
        {
            for (int i = 0; i < Streams && error == 0; i++)
            {
                error = streams[i] switch
                {
                    Stream.Pipe => posix_spawn_file_actions_adddup2(actions, childs[i], i),
                    Stream.Null => posix_spawn_file_actions_addopen(actions, i, nothing, ReadWrite, 0),
                    Stream.Output => posix_spawn_file_actions_adddup2(actions, 1, i),
                    >= Stream.Given => posix_spawn_file_actions_adddup2(actions, childs[i], i),
                    _ => 0,
                };
            }
        }
        for (int i = Streams; i < childs.Length && error == 0; i++)
        {
            error = childs[i] >= 0
                ? posix_spawn_file_actions_adddup2(actions, childs[i], i)
                : posix_spawn_file_actions_addclose(actions, i);
        }
        if (error == 0 && directory != null)
        {
            error = posix_spawn_file_actions_addchdir_np(actions, directory);
        }
        if (error == 0)
        {
            error = posix_spawnp(
                id, path, actions, attributes, arguments, environment != null ? environment : Environment());
        }
        _ = posix_spawn_file_actions_destroy(actions);
        _ = posix_spawnattr_destroy(attributes);
        return -error;
    }

    /// <summary>The process's own, as it is now: C programs change it.</summary>
    private static byte** Environment()
    {
        nint library = NativeLibrary.GetMainProgramHandle();
        return NativeLibrary.TryGetExport(library, "environ", out nint at) ? *(byte***)at : null;
    }

    private static int Watch(int id, int[] pipes, out Spawned? made)
    {
        made = null;
        int pidFd = (int)syscall(PidFdOpen, id, 0, 0, 0);
        int error = pidFd < 0 ? -Marshal.GetLastSystemError() : 0;
        int own = pidFd < 0 ? -1 : Process.Duplicate(pidFd);
        if (error == 0 && own < 0)
        {
            error = -Posix.EMFILE;
        }
        Descriptor? end = null;
        if (error == 0)
        {
            error = (int)Descriptor.Open(own, DescriptorKind.Other, false, false, null, out end);
        }
        if (error != 0)
        {
            Process.CloseIfOpen(own);
            Process.CloseIfOpen(pidFd);
            return error; // It runs, and this process's end is what will reap it: no memory, no descriptors.
        }
        made = new Spawned(id, pidFd, end!, pipes);
        Weft.Go.Run(static spawned => spawned.WaitForEnd(), made);
        return 0;
    }

    private void WaitForEnd()
    {
        int status = 0;
        int got = 0;
        while (got == 0)
        {
            _ = _end.WaitUntilReady(PollMode.Read);
            got = waitpid(Id, &status, NoHang);
            if (got < 0)
            {
                status = NoChild;
            }
        }
        Status = status;
        _ = Ended.TryClose(); // Who finds it closed sees the status, and sends nothing any more.
        _ = _end.Close();
    }

    ~Spawned() => Process.Close(_pidFd);

    [LibraryImport("libc")]
    private static partial int pipe2(int* ends, int flags);

    [LibraryImport("libc")]
    private static partial int waitpid(int id, int* status, int options);

    [LibraryImport("libc")]
    private static partial nint syscall(nint number, nint a, nint b, nint c, nint d);

    [LibraryImport("libc")]
    private static partial int sigemptyset(byte* signals);

    [LibraryImport("libc")]
    private static partial int sigaddset(byte* signals, int signal);

    [LibraryImport("libc")]
    private static partial int posix_spawnp(
        int* id, byte* path, byte* actions, byte* attributes, byte** arguments, byte** environment);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setsigmask(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static partial int posix_spawnattr_setsigdefault(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addclose(byte* actions, int number);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addopen(
        byte* actions, int number, byte* path, int flags, int mode);

    [LibraryImport("libc")]
    private static partial int posix_spawn_file_actions_addchdir_np(byte* actions, byte* directory);
}
