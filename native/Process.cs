// One copy of the library in a process: two would both want the signals. The first one makes a mapping with a
// name of its own; the kernel's list of mappings shows whether there is one already. A child of fork has it
// too, as it has the library; a program that exec starts has neither.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Process
{
    private const string Mark = "/memfd:weft-runtime";
    private const uint CloseOnExec = 1;
    private const int ProtectionNone = 0;
    private const int MapShared = 1;
    private const int DuplicateCloseOnExec = 1030;
    private const int GetStatusFlags = 3;
    private const int AccessMode = 3;
    private const int WriteOnly = 1;
    private const int ReadWrite = 2;
    private const int PathOnly = 0x200000;

    private const int Interrupted = 4;
    private const int WouldWait = 11;
    private const short PollWritable = 4;

    private const nint HeadersOfProgram = 3; // AT_PHDR and AT_PHNUM.
    private const nint CountOfHeaders = 5;
    private const int HeaderSize = 56; // struct Elf64_Phdr
    private const uint Loaded = 1; // PT_LOAD, PT_PHDR, PT_GNU_EH_FRAME
    private const uint HeadersThemselves = 6;
    private const uint FrameTable = 0x6474e550;

    private static bool s_claimed;

    /// <summary>struct pollfd.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollEvents
    {
        internal int Descriptor;
        internal short Wanted;
        internal short Seen;
    }

    /// <summary>False when another copy was first.</summary>
    internal static bool Claim()
    {
        if (s_claimed)
        {
            return true;
        }
        try
        {
            foreach (string line in File.ReadLines("/proc/self/maps"))
            {
                if (line.Contains(Mark, StringComparison.Ordinal))
                {
                    return false;
                }
            }
        }
        catch (IOException)
        {
            return s_claimed = true; // No /proc: nobody can tell.
        }
        int descriptor;
        fixed (byte* name = "weft-runtime\0"u8)
        {
            descriptor = memfd_create(name, CloseOnExec);
        }
        if (descriptor >= 0)
        {
            _ = ftruncate(descriptor, Os.PageSize);
            _ = mmap(null, Os.PageSize, ProtectionNone, MapShared, descriptor, 0);
            _ = close(descriptor);
        }
        return s_claimed = true;
    }

    /// <summary>False in a program of which this code is part, and that has no table of its frames: gcc has ld
    /// make none with -static. A collection could not walk a stack there, and would end the process without a
    /// word.</summary>
    internal static bool HasFrameTable()
    {
        byte* headers = (byte*)getauxval(HeadersOfProgram);
        nint count = getauxval(CountOfHeaders);
        nint here = (nint)(delegate*<bool>)&HasFrameTable;
        nint moved = 0; // How far the program is from where its headers say.
        bool ours = false;
        bool found = false;
        for (nint i = 0; headers != null && i < count; i++)
        {
            byte* header = headers + (i * HeaderSize);
            nint address = *(nint*)(header + 16);
            nint size = *(nint*)(header + 40);
            switch (*(uint*)header)
            {
                case HeadersThemselves: // Comes before what is loaded.
                    moved = (nint)headers - address;
                    break;
                case Loaded:
                    ours |= here - moved >= address && here - moved < address + size;
                    break;
                case FrameTable:
                    found = true;
                    break;
            }
        }
        return found || !ours;
    }

    /// <summary>Whether it is open, for writing too.</summary>
    internal static bool CanWrite(int descriptor)
    {
        int flags = fcntl(descriptor, GetStatusFlags, 0);
        return flags >= 0 && (flags & AccessMode) is WriteOnly or ReadWrite && (flags & PathOnly) == 0;
    }

    /// <summary>What it is open for; false when it is not open.</summary>
    internal static bool TryGetAccess(int descriptor, out FileAccess access)
    {
        int flags = fcntl(descriptor, GetStatusFlags, 0);
        access = (flags & AccessMode) switch
        {
            WriteOnly => FileAccess.Write,
            ReadWrite => FileAccess.ReadWrite,
            _ => FileAccess.Read,
        };
        return flags >= 0 && (flags & PathOnly) == 0;
    }

    /// <summary>All of it; false when the descriptor refuses.</summary>
    internal static bool Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            nint done = 0;
            while (done < bytes.Length)
            {
                nint written = write(descriptor, first + done, bytes.Length - done);
                int error = written < 0 ? Marshal.GetLastSystemError() : 0;
                if (error == WouldWait)
                {
                    PollEvents writable = new() { Descriptor = descriptor, Wanted = PollWritable };
                    _ = poll(&writable, 1, -1);
                }
                else if (written <= 0 && error != Interrupted)
                {
                    return false;
                }
                done += Math.Max(written, 0);
            }
        }
        return true;
    }

    /// <summary>Another number for the same; -1 when there is none such.</summary>
    internal static int Duplicate(int descriptor, int atLeast = 0) =>
        fcntl(descriptor, DuplicateCloseOnExec, atLeast);

    internal static void Close(int descriptor) => _ = close(descriptor);

    internal static void CloseIfOpen(int descriptor)
    {
        if (descriptor >= 0)
        {
            Close(descriptor);
        }
    }

    [LibraryImport("libc")]
    private static partial nint getauxval(nint type);

    [LibraryImport("libc")]
    private static partial int poll(PollEvents* descriptors, nuint count, int timeout);

    [LibraryImport("libc")]
    private static partial int fcntl(int descriptor, int command, int argument);

    [LibraryImport("libc")]
    private static partial int memfd_create(byte* name, uint flags);

    [LibraryImport("libc")]
    private static partial int ftruncate(int descriptor, nint length);

    [LibraryImport("libc")]
    private static partial void* mmap(
        void* address, nint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);

    [LibraryImport("libc")]
    private static partial nint write(int descriptor, byte* bytes, nint length);
}
