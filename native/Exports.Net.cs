// The network, and waiting for any descriptor. Each wait parks the goroutine on the netpoller.

using System.Runtime.CompilerServices;
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
            int now = Os.PollNow(fd, (int)(what == Readable ? Posix.EPOLLIN : Posix.EPOLLOUT));
            if (now > 0)
            {
                return (now & Posix.POLLNVAL) != 0 ? Code.BadHandle : Code.Ok;
            }
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
            WaitScope? scope = ScopeOf(TimerNode.Never);
            if (error == 0)
            {
                error = descriptor.WaitUntilReady(mode, TokenOf(scope));
            }
            _ = descriptor.Close();
            return CodeOfNetwork(error, scope);
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
        WaitScope? scope = null;
        try
        {
            scope = ScopeOf(TimerNode.Never);
            CancellationToken token = TokenOf(scope);
            Conn? accepted = token.IsCancellationRequested ? listener.TryAccept() : listener.Accept(token);
            return accepted != null ? PublishConnection(connection, accepted) : CodeOfEnd(scope);
        }
        catch (Exception e)
        {
            return CodeOfWait(e, scope);
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
        WaitScope? scope = null;
        try
        {
            long deadline = timeout < 0 ? TimerNode.Never : Scheduler.TimeAfter(timeout);
            scope = ScopeOf(TimerNode.Never);
            return PublishConnection(
                connection, Net.Dial(Text(network), Text(address), deadline, TokenOf(scope)));
        }
        catch (Exception e)
        {
            return CodeOfWait(e, scope);
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
        return ReadSome(connection.Descriptor, new Span<byte>(buffer, (int)Math.Min(count, int.MaxValue)));
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
        WaitScope? scope = ScopeOf(TimerNode.Never);
        nint result = WriteAll(connection.Descriptor, new ReadOnlySpan<byte>(buffer, (int)count), TokenOf(scope));
        return result >= 0 ? (long)count : CodeOfNetwork(result, scope);
    }

    /// <summary>weft_vec; that of iovec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Part
    {
        internal nint Base;
        internal nint Size;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_writev")]
    private static long WriteVector(nint handle, Part* parts, int count)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(handle);
        }
        if (count < 0 || (parts == null && count > 0))
        {
            return Code.Invalid;
        }
        long sum = 0;
        for (int i = 0; i < count; i++)
        {
            if (parts[i].Size < 0 || (parts[i].Base == 0 && parts[i].Size > 0)
                || parts[i].Size > int.MaxValue - sum)
            {
                return Code.Invalid;
            }
            sum += parts[i].Size;
        }
        WaitScope? scope = ScopeOf(TimerNode.Never);
        nint result = WriteParts(connection.Descriptor, parts, count, TokenOf(scope));
        return result >= 0 ? sum : CodeOfNetwork(result, scope);
    }

    /// <summary>The descriptor changes what it is given: it gets copies, some at a time. Not in the export: trap
    /// cq.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint WriteParts(Descriptor descriptor, Part* parts, int count, CancellationToken token)
    {
        const int atOnce = 32;
        Part* copies = stackalloc Part[atOnce];
        nint result = 0;
        int done = 0;
        do // Once for none, too: an empty datagram.
        {
            int some = Math.Min(atOnce, count - done);
            new ReadOnlySpan<Part>(parts + done, some).CopyTo(new Span<Part>(copies, some));
            if (descriptor.Kind == DescriptorKind.SharedSocket || !descriptor.CanWait || token.IsCancellationRequested)
            {
                for (int i = 0; i < some && result >= 0; i++)
                {
                    result = WriteAll(
                        descriptor, new ReadOnlySpan<byte>((void*)copies[i].Base, (int)copies[i].Size), token);
                }
            }
            else
            {
                result = descriptor.WriteVector((nint*)copies, some, token);
            }
            done += some;
        }
        while (done < count && result >= 0);
        return result;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_deadline")]
    private static int ConnectionDeadline(nint handle, long timeout)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle)
            : SetDeadlines(connection.Descriptor, timeout, reads: true, writes: true);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_read_deadline")]
    private static int ConnectionReadDeadline(nint handle, long timeout)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle)
            : SetDeadlines(connection.Descriptor, timeout, reads: true, writes: false);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_conn_write_deadline")]
    private static int ConnectionWriteDeadline(nint handle, long timeout)
    {
        Conn? connection = Handles.Get<Conn>(handle, Kind.Connection);
        return connection == null ? Handles.Fault(handle)
            : SetDeadlines(connection.Descriptor, timeout, reads: false, writes: true);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_listener_deadline")]
    private static int ListenerDeadline(nint handle, long timeout)
    {
        Listener? listener = Handles.Get<Listener>(handle, Kind.Listener);
        return listener == null ? Handles.Fault(handle)
            : SetDeadlines(listener.Descriptor, timeout, reads: true, writes: false);
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

    private static int SetDeadlines(Descriptor descriptor, long timeout, bool reads, bool writes)
    {
        long when = timeout < 0 ? TimerNode.Never : timeout == 0 ? 0 : Scheduler.TimeAfter(timeout);
        try
        {
            nint error = reads ? descriptor.SetDeadline(PollMode.Read, when) : 0;
            return CodeOfNetwork(error != 0 || !writes ? error : descriptor.SetDeadline(PollMode.Write, when));
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    /// <summary>The number of bytes, or a code. What needs no wait is done whatever ends waits.</summary>
    private static long ReadSome(Descriptor descriptor, Span<byte> buffer)
    {
        WaitScope? scope = descriptor.CanWait ? ScopeOf(TimerNode.Never) : null;
        nint result = -Posix.EAGAIN;
        if (scope != null)
        {
            result = descriptor.TryRead(buffer);
        }
        if (result == -Posix.EAGAIN)
        {
            result = descriptor.Read(buffer, TokenOf(scope));
        }
        return result >= 0 ? result : CodeOfNetwork(result, scope);
    }

    /// <summary>The same: where waits end now, what can be written without one.</summary>
    private static nint WriteAll(Descriptor descriptor, ReadOnlySpan<byte> buffer, CancellationToken token)
    {
        if (!descriptor.CanWait)
        {
            return descriptor.Write(buffer, CancellationToken.None); // A file: nothing ends it.
        }
        if (!token.IsCancellationRequested)
        {
            return descriptor.Write(buffer, token);
        }
        nint done = descriptor.TryWrite(buffer);
        return done == buffer.Length ? done : descriptor.Write(buffer[(int)Math.Max(0, done)..], token);
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

    /// <summary>For a wait that only a token can end.</summary>
    private static CancellationToken TokenOf(WaitScope? scope) => scope?.Token() ?? default;

    private static int CodeOfNetwork(nint result, WaitScope? scope = null) => result switch
    {
        >= 0 => Code.Ok,
        Descriptor.ErrorExpired => Code.TimedOut,
        Descriptor.ErrorClosed => Code.BadHandle,
        Descriptor.ErrorCancelled => CodeOfEnd(scope),
        _ => (int)result,
    };

    /// <summary>Of a wait with the scope's token.</summary>
    private static int CodeOfWait(Exception e, WaitScope? scope) =>
        e is OperationCanceledException && scope != null ? CodeOfEnd(scope) : Code.Of(e);

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text)!;
}
