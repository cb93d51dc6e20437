// What the functions return: 0, or the negative of an errno of Linux, so that they mean what C programmers
// know. weft.h has the same numbers under the names WEFT_E...

using System.Net.Sockets;

namespace Weft.Native;

internal static class Code
{
    internal const int Ok = 0;
    internal const int NotPermitted = -1;
    internal const int NotGoroutine = -3; // And no such process.
    internal const int Interrupted = -4;
    internal const int BadHandle = -9;
    internal const int WouldWait = -11;
    internal const int NoMemory = -12;
    internal const int Busy = -16;
    internal const int SecondCopy = -17;
    internal const int Invalid = -22;
    internal const int Closed = -32;
    internal const int WaitsForItself = -35;
    internal const int NotSupported = -95;
    internal const int NoData = -61;
    internal const int TooLong = -90;
    internal const int NotRunning = -108;
    internal const int TimedOut = -110;
    internal const int Cancelled = -125;

    /// <summary>For what the C face calls and does not expect to fail.</summary>
    internal static int Of(Exception e) => e switch
    {
        OutOfMemoryException or InsufficientMemoryException => NoMemory,
        ArgumentException => Invalid,
        PlatformNotSupportedException or NotSupportedException => NotSupported,
        OperationCanceledException => Cancelled,
        SocketException s => OfSocket(s.SocketErrorCode),
        ObjectDisposedException => BadHandle,
        TimeoutException => TimedOut,
        InvalidOperationException => NotPermitted,
        _ => Invalid,
    };

    private static int OfSocket(SocketError error) => error switch
    {
        SocketError.TimedOut => TimedOut,
        SocketError.ConnectionRefused => -111,
        SocketError.ConnectionReset => -104,
        SocketError.AddressAlreadyInUse => -98,
        SocketError.AddressNotAvailable => -99,
        SocketError.AccessDenied => NotPermitted,
        SocketError.TooManyOpenSockets => -24,
        SocketError.NetworkUnreachable => -101,
        SocketError.HostUnreachable or SocketError.HostNotFound or SocketError.TryAgain => -113,
        SocketError.OperationAborted => BadHandle,
        SocketError.MessageSize => TooLong,
        SocketError.AddressFamilyNotSupported => -97,
        SocketError.NotSocket => -88,
        SocketError.NotConnected => -107,
        _ => -5,
    };

    internal static ReadOnlySpan<byte> Text(int code) => code switch
    {
        > 0 or Ok => "success\0"u8,
        NotPermitted => "not permitted: not locked, or the channel is a timer's or a context's\0"u8,
        NotGoroutine => "the caller is not a goroutine, or the process has ended\0"u8,
        Interrupted => "the wait was interrupted\0"u8,
        BadHandle => "not a handle, or one that was freed\0"u8,
        -2 => "no such file or program\0"u8,
        -10 => "the process was waited for by somebody else\0"u8,
        -13 => "permission denied\0"u8,
        WouldWait => "the call would have to wait\0"u8,
        NoMemory => "no memory, or a limit of the system\0"u8,
        Busy => "in use\0"u8,
        SecondCopy => "another copy of libweft is loaded in this process\0"u8,
        Invalid => "an argument is null or out of range\0"u8,
        Closed => "the channel is closed\0"u8,
        WaitsForItself => "the caller would wait for itself\0"u8,
        NotSupported => "not supported here\0"u8,
        NoData => "the end was reached: there is no more data\0"u8,
        TooLong => "too long: for a datagram, or for the place given\0"u8,
        -88 => "the descriptor is no socket\0"u8,
        -97 => "an address of another family\0"u8,
        -107 => "not connected\0"u8,
        NotRunning => "Weft is not running: before weft_init, or after weft_shutdown\0"u8,
        TimedOut => "the time has passed\0"u8,
        Cancelled => "cancelled\0"u8,
        -5 => "input or output failed\0"u8,
        -24 => "too many open files\0"u8,
        -98 => "the address is in use\0"u8,
        -99 => "the address is not of this host\0"u8,
        -101 => "the network cannot be reached\0"u8,
        -104 => "the peer has reset the connection\0"u8,
        -111 => "the connection was refused\0"u8,
        -113 => "the host cannot be reached, or is not known\0"u8,
        _ => "unknown error\0"u8,
    };
}
