// What is done with a connection, listener or socket but for reading and writing: addresses, half-close, the
// descriptor below it, taking one over and giving one back.
//
// An address is the kernel's, with its length: C programs may hand it to the system's own functions.

using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int RawAddressSize = 128; // sockaddr_storage

    /// <summary>weft_addr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Address
    {
        internal nuint Length;
        internal fixed byte Raw[RawAddressSize];
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_resolve")]
    private static int Resolve(byte* network, byte* address, Address* found, int most)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (network == null || address == null || most < 0 || (found == null && most > 0))
        {
            return Code.Invalid;
        }
        WaitScope? scope = null;
        try
        {
            string name = Text(network);
            scope = ScopeOf(TimerNode.Never);
            EndPoint[] all = NetAddress.Parse(name, streams: !IsOfDatagrams(name))
                .Resolve(Text(address), listens: false, token: TokenOf(scope));
            for (int i = 0; i < all.Length && i < most; i++)
            {
                WriteAddress(all[i], RawAddress.Family(all[i]), &found[i]);
            }
            return all.Length;
        }
        catch (Exception e)
        {
            return CodeOfWait(e, scope);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_addr_text")]
    private static int AddressText(Address* address, byte* text, nuint size)
    {
        if (address == null || (text == null && size > 0) || address->Length > RawAddressSize)
        {
            return Code.Invalid;
        }
        try
        {
            EndPoint? endPoint = RawAddress.Read(new ReadOnlySpan<byte>(address->Raw, (int)address->Length));
            string said = endPoint == null ? "" : endPoint.ToString()!;
            byte[] bytes = Encoding.UTF8.GetBytes(said);
            if (size > 0)
            {
                int fits = (int)Math.Min((nuint)bytes.Length, size - 1);
                bytes.AsSpan(0, fits).CopyTo(new Span<byte>(text, fits));
                text[fits] = 0;
            }
            return bytes.Length;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_local")]
    private static int ConnectionLocal(nint handle, Address* address)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle) : AddressOf(connection.Descriptor, address, peer: false);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_peer")]
    private static int ConnectionPeer(nint handle, Address* address)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle) : AddressOf(connection.Descriptor, address, peer: true);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listener_addr")]
    private static int ListenerAddress(nint handle, Address* address)
    {
        Listener? listener = Handles.Get<Listener>(handle, Kind.Listener);
        return listener == null ? Handles.Fault(handle) : AddressOf(listener.Descriptor, address, peer: false);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_close_write")]
    private static int ConnectionCloseWrite(nint handle) => ShutDown(handle, Posix.SHUT_WR);

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_close_read")]
    private static int ConnectionCloseRead(nint handle) => ShutDown(handle, Posix.SHUT_RD);

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_fd")]
    private static int ConnectionDescriptor(nint handle)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle) : connection.Descriptor.Number;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listener_fd")]
    private static int ListenerDescriptor(nint handle)
    {
        Listener? listener = Handles.Get<Listener>(handle, Kind.Listener);
        return listener == null ? Handles.Fault(handle) : listener.Descriptor.Number;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_adopt")]
    private static int Adopt(nint* handle, int fd)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null)
        {
            return Code.Invalid;
        }
        *handle = 0;
        return Process.TryGetAccess(fd, out FileAccess access) ? TakeOver(handle, fd, access) : Code.BadHandle;
    }

    /// <summary>Not in the export: its room on the stack is guarded (trap cq).</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int TakeOver(nint* handle, int fd, FileAccess access)
    {
        SafeFileHandle owner = new(fd, ownsHandle: true);
        try
        {
            nint error = PollFile.TakeOver(owner, access, out Descriptor? descriptor);
            if (error < 0)
            {
                owner.SetHandleAsInvalid(); // It stays the caller's.
                return (int)error;
            }
            byte* peer = stackalloc byte[RawAddress.MaxLength];
            int length = RawAddress.MaxLength;
            if (Os.PeerAddress(fd, peer, &length) < 0 || length > RawAddress.MaxLength)
            {
                length = 0;
            }
            return PublishConnection(handle, new Conn(descriptor!, "fd", new ReadOnlySpan<byte>(peer, length)));
        }
        catch (Exception e)
        {
            owner.SetHandleAsInvalid();
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_release")]
    private static int Release(nint handle)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        if (!connection.Descriptor.AddReference())
        {
            return Code.BadHandle;
        }
        int fd = Process.Duplicate(connection.Descriptor.Number);
        int error = fd < 0 ? -Marshal.GetLastSystemError() : 0;
        connection.Descriptor.Release();
        if (fd < 0)
        {
            return error;
        }
        if (Handles.Free<Conn>(handle, Kind.Connection) == null)
        {
            Process.Close(fd);
            return Code.BadHandle;
        }
        connection.Dispose();
        return fd;
    }

    private static bool IsOfDatagrams(string network) =>
        network.StartsWith("udp", StringComparison.Ordinal) || network == "unixgram";

    private static int ShutDown(nint handle, int how)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        if (!connection.Descriptor.AddReference())
        {
            return Code.BadHandle;
        }
        nint error = Os.ShutDown(connection.Descriptor.Number, how);
        connection.Descriptor.Release();
        return (int)error;
    }

    private static int AddressOf(Descriptor descriptor, Address* address, bool peer)
    {
        if (address == null)
        {
            return Code.Invalid;
        }
        if (!descriptor.AddReference())
        {
            return Code.BadHandle;
        }
        int length = RawAddressSize;
        nint error = peer
            ? Os.PeerAddress(descriptor.Number, address->Raw, &length)
            : Os.LocalAddress(descriptor.Number, address->Raw, &length);
        descriptor.Release();
        address->Length = error < 0 ? 0 : (nuint)Math.Min(length, RawAddressSize);
        return (int)error;
    }

    private static void WriteAddress(EndPoint endPoint, int family, Address* address) =>
        address->Length = (nuint)RawAddress.Write(
            endPoint, family, new Span<byte>(address->Raw, RawAddress.MaxLength));
}
