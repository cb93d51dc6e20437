// The Windows calls of poll/Iocp.cs and its test, under the names and types of the package
// TerraFX.Interop.Windows, which can take this file's place.

using System.Runtime.InteropServices;

namespace TerraFX.Interop.Windows;

internal readonly unsafe struct HANDLE(void* value) : IEquatable<HANDLE>
{
    internal readonly void* Value = value;

    internal static HANDLE INVALID_VALUE => new((void*)-1);

    internal static HANDLE NULL => new(null);

    public static explicit operator HANDLE(nint value) => new((void*)value);

    public static bool operator ==(HANDLE left, HANDLE right) => left.Value == right.Value;

    public static bool operator !=(HANDLE left, HANDLE right) => left.Value != right.Value;

    public bool Equals(HANDLE other) => this == other;

    public override bool Equals(object? obj) => obj is HANDLE other && this == other;

    public override int GetHashCode() => ((nint)Value).GetHashCode();
}

/// <summary>A BOOL of the system: 0 is false.</summary>
internal readonly struct BOOL(int value)
{
    internal readonly int Value = value;

    internal static BOOL FALSE => new(0);

    public static bool operator true(BOOL value) => value.Value != 0;

    public static bool operator false(BOOL value) => value.Value == 0;

    public static bool operator !(BOOL value) => value.Value == 0;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct OVERLAPPED
{
    internal nuint Internal;
    internal nuint InternalHigh;
    internal uint Offset;
    internal uint OffsetHigh;
    internal HANDLE hEvent;
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct OVERLAPPED_ENTRY
{
    internal nuint lpCompletionKey;
    internal OVERLAPPED* lpOverlapped;
    internal nuint Internal;
    internal uint dwNumberOfBytesTransferred;
}

internal readonly struct SOCKET(nuint value)
{
    internal readonly nuint Value = value;

    public static explicit operator SOCKET(nint value) => new((nuint)value);
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct WSABUF
{
    internal uint len;
    internal sbyte* buf;
}

internal static class WSA
{
    internal const int WSA_IO_PENDING = 997;
}

internal static class STATUS
{
    internal const int STATUS_CANCELLED = unchecked((int)0xC0000120);
}

internal static class ERROR
{
    internal const int ERROR_NOT_FOUND = 1168;
}

internal static unsafe partial class Windows
{
    internal const uint INFINITE = 0xFFFFFFFF;

    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial HANDLE CreateIoCompletionPort(
        HANDLE FileHandle, HANDLE ExistingCompletionPort, nuint CompletionKey,
        uint NumberOfConcurrentThreads);

    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial BOOL GetQueuedCompletionStatusEx(
        HANDLE CompletionPort, OVERLAPPED_ENTRY* lpCompletionPortEntries, uint ulCount,
        uint* ulNumEntriesRemoved, uint dwMilliseconds, BOOL fAlertable);

    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial BOOL PostQueuedCompletionStatus(
        HANDLE CompletionPort, uint dwNumberOfBytesTransferred, nuint dwCompletionKey,
        OVERLAPPED* lpOverlapped);

    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial BOOL CancelIoEx(HANDLE hFile, OVERLAPPED* lpOverlapped);

    [LibraryImport("kernel32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial uint GetLastError();

    [LibraryImport("ws2_32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial int WSARecv(
        SOCKET s, WSABUF* lpBuffers, uint dwBufferCount, uint* lpNumberOfBytesRecvd, uint* lpFlags,
        OVERLAPPED* lpOverlapped, void* lpCompletionRoutine);

    [LibraryImport("ws2_32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial int WSASend(
        SOCKET s, WSABUF* lpBuffers, uint dwBufferCount, uint* lpNumberOfBytesSent, uint dwFlags,
        OVERLAPPED* lpOverlapped, void* lpCompletionRoutine);

    [LibraryImport("ws2_32")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.System32)]
    internal static partial int WSAGetLastError();
}
