// I/O completion ports, of Windows: one port, to which each handle is bound with its name as the key.
//
//   operation   IocpOperation.Prepare, then WSARecv, WSASend, AcceptEx, ConnectEx with it
//   Poll        the operation has ended, or was cancelled: a report under the name that it was prepared with
//
// An operation's record belongs to the system until it is reported. So its name is its own and not the
// handle's: a handle that is closed and opened again has another.
//
// A packet without an operation is a Break: a Poll that does not wait and finds one posts it again.
//
// With PollReport.cs and base/Windows.cs it is tested alone, by tests/iocp, on Windows or under Wine.
// Locks: none.

using System.Runtime.InteropServices;
using TerraFX.Interop.Windows;
using static TerraFX.Interop.Windows.Windows;

namespace Weft.Runtime;

/// <summary>What an operation is started with: its OVERLAPPED, first, and for whom it is.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IocpOperation
{
    internal OVERLAPPED Overlapped;
    internal ulong Name;
    internal PollEvents Direction;

    /// <summary>For one more operation; the last one with this record was reported.</summary>
    internal void Prepare(ulong name, PollEvents direction)
    {
        Overlapped = default;
        Name = name;
        Direction = direction;
    }

    /// <summary>Its status, after the report: 0, or an NTSTATUS that is an error.</summary>
    internal readonly int Status => (int)Overlapped.Internal;

    /// <summary>Bytes moved, after the report.</summary>
    internal readonly nuint Bytes => Overlapped.InternalHigh;
}

internal static unsafe class Iocp
{
    private const nuint BreakKey = 1; // Nobody reads it: that there is no operation tells.
    private const long NsPerMs = 1_000_000;

    private static HANDLE s_port;
    private static int s_broken;

    internal static nint Start()
    {
        s_port = CreateIoCompletionPort(HANDLE.INVALID_VALUE, HANDLE.NULL, 0, 0);
        return s_port == HANDLE.NULL ? -(nint)GetLastError() : 0;
    }

    internal static nint Add(nint handle, ulong name) =>
        CreateIoCompletionPort((HANDLE)handle, s_port, (nuint)name, 0) == HANDLE.NULL
            ? -(nint)GetLastError()
            : 0;

    /// <summary>Cancels what is under way; each operation is still reported. The binding ends with the
    /// handle.</summary>
    internal static nint Remove(nint handle)
    {
        if (CancelIoEx((HANDLE)handle, null))
        {
            return 0;
        }
        uint error = GetLastError();
        return error == ERROR.ERROR_NOT_FOUND ? 0 : -(nint)error;
    }

    internal static int Poll(PollReport* reports, int most, long delayNs)
    {
        OVERLAPPED_ENTRY* entries = stackalloc OVERLAPPED_ENTRY[most];
        uint count;
        uint limit = Milliseconds(delayNs);
        if (!GetQueuedCompletionStatusEx(s_port, entries, (uint)most, &count, limit, BOOL.FALSE))
        {
            return 0; // The time is up.
        }
        int reported = 0;
        for (uint i = 0; i < count; i++)
        {
            IocpOperation* operation = (IocpOperation*)entries[i].lpOverlapped;
            if (operation != null)
            {
                reports[reported].Name = operation->Name;
                reports[reported++].Events = operation->Direction;
            }
            else if (delayNs == 0)
            {
                _ = PostQueuedCompletionStatus(s_port, 0, BreakKey, null);
            }
            else
            {
                _ = Interlocked.Exchange(ref s_broken, 0);
            }
        }
        return reported;
    }

    internal static void Break()
    {
        if (Interlocked.Exchange(ref s_broken, 1) == 0) // Pairs with the one in Poll: one packet is enough.
        {
            _ = PostQueuedCompletionStatus(s_port, 0, BreakKey, null);
        }
    }

    /// <summary>Rounded up, so that a timer is not found a little before it is due.</summary>
    private static uint Milliseconds(long delayNs) =>
        delayNs < 0 ? INFINITE : (uint)Math.Min((delayNs + NsPerMs - 1) / NsPerMs, int.MaxValue);
}
