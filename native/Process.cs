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

    private static bool s_claimed;

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

    /// <summary>All of it; -1 when the descriptor refuses.</summary>
    internal static bool Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes)
        {
            nint done = 0;
            while (done < bytes.Length)
            {
                nint written = write(descriptor, first + done, bytes.Length - done);
                if (written <= 0)
                {
                    return false;
                }
                done += written;
            }
        }
        return true;
    }

    /// <summary>Another number for the same; -1 when there is none such.</summary>
    internal static int Duplicate(int descriptor) => fcntl(descriptor, DuplicateCloseOnExec, 0);

    internal static void Close(int descriptor) => _ = close(descriptor);

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
