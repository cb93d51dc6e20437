// Sockets for datagrams, from and to anybody.

using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_packets_open")]
    private static int PacketsOpen(nint* handle, byte* network, byte* address)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || network == null || address == null)
        {
            return Code.Invalid;
        }
        *handle = 0;
        try
        {
            string name = Text(network);
            if (!IsOfDatagrams(name))
            {
                return Code.Invalid;
            }
            PacketConn socket = Net.ListenPacket(name, Text(address));
            *handle = Handles.Make(socket, Kind.Packets);
            if (*handle == 0)
            {
                socket.Close();
                return Code.NoMemory;
            }
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_recv")]
    private static long PacketsReceive(nint handle, void* buffer, nuint count, Address* from)
    {
        PacketConn? socket = Handles.Get<PacketConn>(handle, Kind.Packets);
        if (socket == null)
        {
            return Handles.Fault(handle);
        }
        return buffer == null && count > 0 ? Code.Invalid : Receive(socket, buffer, count, from);
    }

    /// <summary>Not in the export, as SendTo: trap cq.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long Receive(PacketConn socket, void* buffer, nuint count, Address* from)
    {
        Address address = default;
        int length = RawAddressSize;
        WaitScope? scope = ScopeOf(TimerNode.Never);
        CancellationToken token = TokenOf(scope);
        Span<byte> room = new(buffer, (int)Math.Min(count, int.MaxValue));
        nint result = -Posix.EAGAIN;
        if (token.IsCancellationRequested)
        {
            result = socket.Descriptor.ReceiveFrom(room, address.Raw, &length, tries: true, CancellationToken.None);
        }
        if (result == -Posix.EAGAIN)
        {
            length = RawAddressSize;
            result = socket.Descriptor.ReceiveFrom(room, address.Raw, &length, tries: false, token);
        }
        if (result < 0)
        {
            return CodeOfNetwork(result, scope);
        }
        if (from != null)
        {
            address.Length = (nuint)Math.Min(length, RawAddressSize);
            *from = address;
        }
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_send")]
    private static long PacketsSend(nint handle, void* buffer, nuint count, Address* to)
    {
        PacketConn? socket = Handles.Get<PacketConn>(handle, Kind.Packets);
        if (socket == null)
        {
            return Handles.Fault(handle);
        }
        return (buffer == null && count > 0) || count > int.MaxValue || to == null
            || to->Length is 0 or > RawAddressSize
                ? Code.Invalid : SendTo(socket, buffer, count, to);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long SendTo(PacketConn socket, void* buffer, nuint count, Address* to)
    {
        Address mapped = *to;
        if (socket.Family == Posix.AF_INET6 && *(ushort*)to->Raw == Posix.AF_INET)
        {
            if (RawAddress.Read(new ReadOnlySpan<byte>(to->Raw, (int)to->Length)) is not EndPoint endPoint)
            {
                return Code.Invalid;
            }
            WriteAddress(endPoint, Posix.AF_INET6, &mapped);
        }
        WaitScope? scope = ScopeOf(TimerNode.Never);
        CancellationToken token = TokenOf(scope);
        ReadOnlySpan<byte> packet = new(buffer, (int)count);
        nint result = -Posix.EAGAIN;
        if (token.IsCancellationRequested)
        {
            result = socket.Descriptor.SendTo(packet, mapped.Raw, (int)mapped.Length, tries: true, CancellationToken.None);
        }
        if (result == -Posix.EAGAIN)
        {
            result = socket.Descriptor.SendTo(packet, mapped.Raw, (int)mapped.Length, tries: false, token);
        }
        return result >= 0 ? result : CodeOfNetwork(result, scope);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_local")]
    private static int PacketsLocal(nint handle, Address* address)
    {
        PacketConn? socket = Handles.Get<PacketConn>(handle, Kind.Packets);
        return socket == null ? Handles.Fault(handle) : AddressOf(socket.Descriptor, address, peer: false);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_deadline")]
    private static int PacketsDeadline(nint handle, long timeout)
    {
        PacketConn? socket = Handles.Get<PacketConn>(handle, Kind.Packets);
        return socket == null ? Handles.Fault(handle)
            : SetDeadlines(socket.Descriptor, timeout, reads: true, writes: true);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_fd")]
    private static int PacketsDescriptor(nint handle)
    {
        PacketConn? socket = Handles.Get<PacketConn>(handle, Kind.Packets);
        return socket == null ? Handles.Fault(handle) : socket.Descriptor.Number;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_packets_close")]
    private static int PacketsClose(nint handle)
    {
        PacketConn? socket = Handles.Free<PacketConn>(handle, Kind.Packets);
        if (socket == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            socket.Close();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }
}
