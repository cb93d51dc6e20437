// From -errno to the exceptions that .NET's own sockets throw.

using System.Net.Sockets;
using Weft.Runtime;

namespace Weft;

internal static class NetError
{
    /// <summary>The SocketError of a negative result.</summary>
    internal static SocketError Code(nint result) => result switch
    {
        >= 0 => SocketError.Success,
        Descriptor.ErrorClosed => SocketError.OperationAborted,
        Descriptor.ErrorExpired => SocketError.TimedOut,
        Descriptor.ErrorCancelled => SocketError.Interrupted,
        -Posix.EPERM or -Posix.EACCES => SocketError.AccessDenied,
        -Posix.EINTR => SocketError.Interrupted,
        -Posix.EBADF or -Posix.ECANCELED => SocketError.OperationAborted,
        -Posix.EAGAIN => SocketError.WouldBlock,
        -Posix.ENOENT => SocketError.AddressNotAvailable,
        -Posix.ENOMEM or -Posix.ENOBUFS => SocketError.NoBufferSpaceAvailable,
        -Posix.EFAULT => SocketError.Fault,
        -Posix.EINVAL => SocketError.InvalidArgument,
        -Posix.EMFILE or -Posix.ENFILE => SocketError.TooManyOpenSockets,
        -Posix.EPIPE or -Posix.ESHUTDOWN => SocketError.Shutdown,
        -Posix.ENOTSOCK => SocketError.NotSocket,
        -Posix.EDESTADDRREQ => SocketError.DestinationAddressRequired,
        -Posix.EMSGSIZE => SocketError.MessageSize,
        -Posix.EPROTOTYPE => SocketError.ProtocolType,
        -Posix.ENOPROTOOPT => SocketError.ProtocolOption,
        -Posix.EPROTONOSUPPORT => SocketError.ProtocolNotSupported,
        -Posix.EOPNOTSUPP => SocketError.OperationNotSupported,
        -Posix.EAFNOSUPPORT => SocketError.AddressFamilyNotSupported,
        -Posix.EADDRINUSE or -Posix.EEXIST => SocketError.AddressAlreadyInUse,
        -Posix.EADDRNOTAVAIL => SocketError.AddressNotAvailable,
        -Posix.ENETDOWN => SocketError.NetworkDown,
        -Posix.ENETUNREACH => SocketError.NetworkUnreachable,
        -Posix.ENETRESET => SocketError.NetworkReset,
        -Posix.ECONNABORTED => SocketError.ConnectionAborted,
        -Posix.ECONNRESET => SocketError.ConnectionReset,
        -Posix.EISCONN => SocketError.IsConnected,
        -Posix.ENOTCONN => SocketError.NotConnected,
        -Posix.ETIMEDOUT => SocketError.TimedOut,
        -Posix.ECONNREFUSED => SocketError.ConnectionRefused,
        -Posix.EHOSTDOWN => SocketError.HostDown,
        -Posix.EHOSTUNREACH => SocketError.HostUnreachable,
        -Posix.EALREADY => SocketError.AlreadyInProgress,
        -Posix.EINPROGRESS => SocketError.InProgress,
        _ => SocketError.SocketError,
    };

    /// <summary>For what is no stream: Listener, Dial, PacketConn, options.</summary>
    internal static Exception Of(nint result, string what, CancellationToken token = default) => result switch
    {
        Descriptor.ErrorClosed => new ObjectDisposedException(null, $"{what}: closed."),
        Descriptor.ErrorCancelled => CancelCause.ToException(Cancelled(what), token),
        _ => Socket(result, what),
    };

    /// <summary>The same for a wait of the caller's. If the token has ended it, that is thrown in
    /// here.</summary>
    internal static Exception OfWait(nint result, string what, CancellationToken token)
    {
        if (result == Descriptor.ErrorCancelled)
        {
            CancelCause.Throw(Cancelled(what), token);
        }
        return Of(result, what, token);
    }

    /// <summary>For streams: an IOException around it, with the same text.</summary>
    internal static Exception OfStream(nint result, string what, CancellationToken token = default) =>
        result is Descriptor.ErrorClosed or Descriptor.ErrorCancelled
            ? Of(result, what, token)
            : Wrap(Socket(result, what));

    private static string Cancelled(string what) => $"{what}: cancelled.";

    private static IOException Wrap(SocketException inner) => new(inner.Message, inner);

    private static SocketException Socket(nint result, string what)
    {
        SocketError code = Code(result);
        string text = result == Descriptor.ErrorExpired
            ? "the deadline has passed"
            : new SocketException((int)code).Message;
        string number = code == SocketError.SocketError ? $" (error {-result})" : "";
        return new SocketException((int)code, $"{what}: {text}{number}");
    }
}
