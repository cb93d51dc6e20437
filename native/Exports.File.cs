// Regular files: calls that wait for a disk, which no poller tells about. The goroutine stays in the call, on its
// thread; it is said beforehand, so that another thread goes on with the others after 20 us.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_file_read")]
    private static long FileRead(int fd, byte* buffer, nuint count, long offset)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (buffer == null && count > 0)
        {
            return Code.Invalid;
        }
        nint wanted = (nint)Math.Min(count, int.MaxValue);
        nint result;
        do
        {
            AnnounceBlocking();
            result = offset < 0
                ? Os.ReadBlocking(fd, buffer, wanted) : Os.ReadAtBlocking(fd, buffer, wanted, (nint)offset);
        }
        while (result == -Posix.EINTR);
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_file_write")]
    private static long FileWrite(int fd, byte* buffer, nuint count, long offset)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if ((buffer == null && count > 0) || count > (nuint)nint.MaxValue)
        {
            return Code.Invalid;
        }
        nint done = 0;
        do // Once for nothing, too: it may be no file.
        {
            AnnounceBlocking();
            nint some = (nint)Math.Min(count - (nuint)done, int.MaxValue);
            nint result = offset < 0
                ? Os.WriteBlocking(fd, buffer + done, some)
                : Os.WriteAtBlocking(fd, buffer + done, some, (nint)offset + done);
            if (result < 0 && result != -Posix.EINTR)
            {
                return result;
            }
            done += Math.Max(result, 0);
        }
        while ((nuint)done < count);
        return done;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_file_sync")]
    private static int FileSync(int fd)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        AnnounceBlocking();
        return (int)Os.SyncBlocking(fd);
    }

    private static void AnnounceBlocking()
    {
        Goroutine* g = Current.Goroutine();
        if (g != null)
        {
            Scheduler.AnnounceBlocking(g);
        }
    }
}
