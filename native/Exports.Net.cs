// The network, and waiting for any descriptor. Each wait parks the goroutine on the netpoller.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int Readable = 0;
    private const int Writable = 1;
    private const int OperationNotPermitted = -1; // epoll's answer to a regular file.

    [UnmanagedCallersOnly(EntryPoint = "weft_fd_wait")]
    private static int WaitForDescriptor(int fd, int what, long timeout)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (what is not (Readable or Writable))
        {
            return Code.Invalid;
        }
        try
        {
            int own = Process.Duplicate(fd); // A number of its own: others may wait for the same one.
            if (own < 0)
            {
                return Code.BadHandle;
            }
            nint error = Descriptor.Open(
                own, DescriptorKind.Other, false, false, null, out Descriptor descriptor);
            if (error < 0)
            {
                Process.Close(own);
                return error == OperationNotPermitted ? Code.Ok : (int)error; // A file is always ready.
            }
            PollMode mode = what == Readable ? PollMode.Read : PollMode.Write;
            if (timeout >= 0)
            {
                error = descriptor.SetDeadline(mode, Scheduler.TimeAfter(timeout));
            }
            if (error == 0)
            {
                error = descriptor.WaitUntilReady(mode);
            }
            _ = descriptor.Close();
            return CodeOfNetwork(error);
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listen")]
    private static int Listen(nint* handle, byte* network, byte* address)
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
            Listener listener = Net.Listen(Text(network), Text(address));
            *handle = Handles.Make(listener, Kind.Listener);
            if (*handle == 0)
            {
                listener.Close();
                return Code.NoMemory;
            }
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listener_port")]
    private static int ListenerPort(nint handle)
    {
        Listener? listener = Handles.Get<Listener>(handle, Kind.Listener);
        return listener == null ? Handles.Fault(handle) : listener.Port;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_accept")]
    private static int Accept(nint handle, nint* connection)
    {
        Listener? listener = Handles.Get<Listener>(handle, Kind.Listener);
        if (listener == null)
        {
            return Handles.Fault(handle);
        }
        if (connection == null)
        {
            return Code.Invalid;
        }
        *connection = 0;
        try
        {
            return PublishConnection(connection, listener.Accept());
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listener_close")]
    private static int ListenerClose(nint handle)
    {
        Listener? listener = Handles.Free<Listener>(handle, Kind.Listener);
        if (listener == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            listener.Close();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_dial")]
    private static int Dial(nint* connection, byte* network, byte* address, long timeout)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (connection == null || network == null || address == null)
        {
            return Code.Invalid;
        }
        *connection = 0;
        try
        {
            return PublishConnection(connection, timeout < 0
                ? Net.Dial(Text(network), Text(address))
                : Net.Dial(Text(network), Text(address), Ticks(timeout)));
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_read")]
    private static long Read(nint handle, void* buffer, nuint count)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        if (buffer == null || count == 0)
        {
            return count == 0 ? 0 : Code.Invalid;
        }
        nint result = connection.Descriptor.Read(new Span<byte>(buffer, (int)Math.Min(count, int.MaxValue)));
        return result >= 0 ? result : CodeOfNetwork(result);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_write")]
    private static long Write(nint handle, void* buffer, nuint count)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        if ((buffer == null && count > 0) || count > int.MaxValue)
        {
            return Code.Invalid;
        }
        nint result = connection.Descriptor.Write(new ReadOnlySpan<byte>(buffer, (int)count));
        return result >= 0 ? (long)count : CodeOfNetwork(result);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_deadline")]
    private static int ConnectionDeadline(nint handle, long timeout)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        long when = timeout < 0 ? TimerNode.Never : timeout == 0 ? 0 : Scheduler.TimeAfter(timeout);
        nint error = connection.Descriptor.SetDeadline(PollMode.Read, when);
        return CodeOfNetwork(error != 0 ? error : connection.Descriptor.SetDeadline(PollMode.Write, when));
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_close")]
    private static int ConnectionClose(nint handle)
    {
        Conn? connection = Handles.Free<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        connection.Dispose();
        return Code.Ok;
    }

    private static int PublishConnection(nint* handle, Conn connection)
    {
        *handle = Handles.Make(connection, Kind.Connection);
        if (*handle == 0)
        {
            connection.Dispose();
            return Code.NoMemory;
        }
        return Code.Ok;
    }

    private static int CodeOfNetwork(nint result) => result switch
    {
        >= 0 => Code.Ok,
        Descriptor.ErrorExpired => Code.TimedOut,
        Descriptor.ErrorClosed => Code.BadHandle,
        Descriptor.ErrorCancelled => Code.Cancelled,
        _ => (int)result,
    };

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text)!;
}
