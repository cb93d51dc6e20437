// The calls of the C library that weave needs. System.IO has all of them, but its names are
// strings, and a name that is not UTF-8 does not survive that. A call that blocks costs its
// goroutine an OS thread for as long, not the other goroutines their progress.
//
// Each returns -errno when it fails. The layouts are those of Linux, the same on every processor.

using System.Runtime.InteropServices;

namespace Weave.Files;

/// <summary>What a file is.</summary>
internal enum FileKind
{
    Unknown,
    Regular,
    Directory,
    Other,
}

/// <summary>What weave asks a file's inode; the time is seconds since 1970, and nanoseconds.</summary>
internal readonly record struct FileStatus(FileKind Kind, long Size, long ModifiedAt, uint ModifiedNs);

internal static unsafe partial class Posix
{
    internal const int StandardInput = 0;
    internal const int StandardOutput = 1;
    internal const int StandardError = 2;
    internal const int BadDescriptor = 9;
    internal const int PermissionDenied = 13;
    internal const int TooManyDescriptorsInSystem = 23;
    internal const int TooManyDescriptors = 24;
    internal const int BrokenPipe = 32;

    /// <summary>OpenBeneath: a symbolic link leads out of the directory.</summary>
    internal const int Escapes = 18;

    private const int InterruptedCall = 4;
    private const int GetDescriptorFlags = 1;
    private const int CurrentDirectory = -100;
    private const int EmptyPath = 0x1000;
    private const int NoFollow = 0x100;
    private const int ReadOnlyCloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const int DirectoryOnly = 0x10000;
    private const int CreateToAppend = 0x40 | 0x1 | 0x400 | 0x80000;
    private const int ReadableByAll = 0x1a4; // 0644
    private const long OpenAt2 = 437; // The same on every processor.
    private const ulong NoMagicLinks = 0x02;
    private const ulong Beneath = 0x08;
    private const uint TypeSizeAndTime = 0x241;

    private const int StatusBytes = 256;
    private const int StatusMode = 28;
    private const int StatusSize = 40;
    private const int StatusModifiedAt = 112;
    private const int StatusModifiedNs = 120;
    private const int ModeType = 0xf000;
    private const int ModeRegular = 0x8000;
    private const int ModeDirectory = 0x4000;

    private const int EntryType = 18;
    private const int EntryName = 19;

    /// <summary>Opens a file for reading.</summary>
    internal static int Open(FileName name)
    {
        fixed (byte* path = name)
        {
            int descriptor;
            do
            {
                descriptor = Result(open(path, ReadOnlyCloseOnExec));
            }
            while (descriptor == -InterruptedCall);
            return descriptor;
        }
    }

    /// <summary>Opens a directory, to open others in it.</summary>
    internal static int OpenDirectory(FileName name)
    {
        fixed (byte* path = name)
        {
            return Result(open(path, ReadOnlyCloseOnExec | DirectoryOnly));
        }
    }

    /// <summary>Opens a file for writing at its end; makes it if it is not there.</summary>
    internal static int OpenToAppend(FileName name)
    {
        fixed (byte* path = name)
        {
            return Result(openForWriting(path, CreateToAppend, ReadableByAll));
        }
    }

    /// <summary>Opens a file below a directory for reading, without waiting if it is a pipe. The kernel
    /// refuses what would lead out of the directory, whether by .. or by a symbolic link. The name ends
    /// with a zero, which is not in its length. Needs Linux 5.6.</summary>
    internal static int OpenBeneath(SafeHandle directory, ReadOnlySpan<byte> name)
    {
        OpenHow how = new()
        {
            Flags = ReadOnlyCloseOnExec | NonBlocking,
            Resolve = Beneath | NoMagicLinks,
        };
        bool isHeld = false;
        try
        {
            directory.DangerousAddRef(ref isHeld);
            fixed (byte* path = name)
            {
                int descriptor;
                do
                {
                    descriptor = Result((int)syscall(
                        OpenAt2, directory.DangerousGetHandle(), path, &how, sizeof(OpenHow)));
                }
                while (descriptor == -InterruptedCall);
                return descriptor;
            }
        }
        finally
        {
            if (isHeld)
            {
                directory.DangerousRelease();
            }
        }
    }

    internal static int Read(int descriptor, Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            int bytes;
            do
            {
                bytes = Result((int)read(descriptor, start, buffer.Length));
            }
            while (bytes == -InterruptedCall);
            return bytes;
        }
    }

    /// <summary>Whether a descriptor came with the process. If standard input was closed, the first
    /// file that the .NET runtime opened for itself is in its place; it has the close-on-exec flag,
    /// which no inherited descriptor has.</summary>
    internal static bool IsInherited(int descriptor) => fcntl(descriptor, GetDescriptorFlags) == 0;

    /// <summary>Writes all of a text; returns 0 then.</summary>
    internal static int WriteAll(int descriptor, ReadOnlySpan<byte> text)
    {
        fixed (byte* start = text)
        {
            int done = 0;
            while (done < text.Length)
            {
                int bytes = Result((int)write(descriptor, start + done, text.Length - done));
                if (bytes < 0 && bytes != -InterruptedCall)
                {
                    return bytes;
                }

                done += Math.Max(bytes, 0);
            }
        }

        return 0;
    }

    internal static void Close(int descriptor) => _ = close(descriptor);

    internal static int Status(int descriptor, out FileStatus status)
    {
        byte empty = 0;
        return Status(descriptor, &empty, EmptyPath, out status);
    }

    internal static int Status(FileName name, bool follow, out FileStatus status)
    {
        fixed (byte* path = name)
        {
            return Status(CurrentDirectory, path, follow ? 0 : NoFollow, out status);
        }
    }

    /// <summary>Lists a directory without . and .., in no order.</summary>
    internal static int List(FileName directory, List<DirectoryEntry> entries)
    {
        nint stream;
        fixed (byte* path = directory)
        {
            stream = opendir(path);
        }

        if (stream == 0)
        {
            return -Marshal.GetLastPInvokeError();
        }

        int error;
        byte* entry;
        while (true)
        {
            entry = readdir(stream);
            error = -Marshal.GetLastPInvokeError();
            if (entry == null)
            {
                break;
            }

            var name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(entry + EntryName);
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
            {
                entries.Add(new DirectoryEntry(name.ToArray(), Kind(entry[EntryType] << 12)));
            }
        }

        _ = closedir(stream);
        return error;
    }

    private static int Status(int directory, byte* path, int flags, out FileStatus status)
    {
        byte* buffer = stackalloc byte[StatusBytes];
        int result = Result(statx(directory, path, flags, TypeSizeAndTime, buffer));
        status = result < 0
            ? default
            : new FileStatus(
                Kind(*(ushort*)(buffer + StatusMode)),
                *(long*)(buffer + StatusSize),
                *(long*)(buffer + StatusModifiedAt),
                *(uint*)(buffer + StatusModifiedNs));
        return result;
    }

    private static FileKind Kind(int mode) => (mode & ModeType) switch
    {
        0 => FileKind.Unknown,
        ModeRegular => FileKind.Regular,
        ModeDirectory => FileKind.Directory,
        _ => FileKind.Other,
    };

    private static int Result(int result) => result < 0 ? -Marshal.GetLastPInvokeError() : result;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int open(byte* path, int flags);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static partial int openForWriting(byte* path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(long number, nint directory, byte* path, OpenHow* how, nint size);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint read(int descriptor, byte* buffer, nint count);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint write(int descriptor, byte* text, nint count);

    [LibraryImport("libc")]
    private static partial int fcntl(int descriptor, int command);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int statx(int directory, byte* path, int flags, uint mask, byte* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint opendir(byte* path);

    [LibraryImport("libc", SetLastError = true)]
    private static partial byte* readdir(nint stream);

    [LibraryImport("libc")]
    private static partial int closedir(nint stream);

    /// <summary>struct open_how.</summary>
    private struct OpenHow
    {
        internal ulong Flags;
        internal ulong Mode;
        internal ulong Resolve;
    }
}
