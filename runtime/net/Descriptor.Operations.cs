// What is done with a descriptor. Each tries first, waits when it would block, and tries again.

using Weft.Runtime;

namespace Weft;

internal sealed unsafe partial class Descriptor
{
    private const int MostVectors = 64;

    /// <summary>Reads what there is, one byte at least; 0 at the end. With no room it waits for the
    /// same.</summary>
    internal nint Read(Span<byte> buffer, CancellationToken token = default)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Read, token);
        nint result = Enter(PollMode.Read, cancellation);
        if (result == 0)
        {
            try
            {
                fixed (byte* at = buffer)
                {
                    result = buffer.IsEmpty ? WaitForInput() : ReadSome(at, buffer.Length);
                }
            }
            finally
            {
                Leave(PollMode.Read);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>Waits until the kernel reports the descriptor as ready, as it does too when that is so from
    /// the beginning. For one that nothing else is done with.</summary>
    internal nint WaitUntilReady(PollMode mode, CancellationToken token = default)
    {
        Cancellation? cancellation = Cancellation.Register(this, mode, token);
        nint result = Enter(mode, cancellation);
        if (result == 0)
        {
            result = Stopped(mode);
            result = result == 0 ? Wait(mode) : result;
            Leave(mode);
        }
        cancellation?.End();
        return result;
    }

    /// <summary>Reads if that does not wait; -EAGAIN if it would.</summary>
    internal nint TryRead(Span<byte> buffer)
    {
        nint result = TryEnter(PollMode.Read);
        if (result != 0)
        {
            return result;
        }
        fixed (byte* at = buffer)
        {
            result = buffer.IsEmpty
                ? (Os.HasInput(_fd) ? 0 : -Posix.EAGAIN)
                : ReadNow(at, Math.Min(buffer.Length, Os.LongestTransfer));
        }
        Leave(PollMode.Read);
        return result;
    }

    /// <summary>Writes as much as it can without waiting; how much that was. An empty message is not
    /// tried.</summary>
    internal nint TryWrite(ReadOnlySpan<byte> buffer)
    {
        nint result = IsMessage(buffer.IsEmpty) ? -Posix.EAGAIN : TryEnter(PollMode.Write);
        if (result != 0)
        {
            return result;
        }
        nint done = 0;
        fixed (byte* at = buffer)
        {
            while (done < buffer.Length && result >= 0)
            {
                result = WriteNow(at + done, Math.Min(buffer.Length - done, Os.LongestTransfer));
                done += Math.Max(0, result);
            }
        }
        Leave(PollMode.Write);
        return done;
    }

    /// <summary>Writes all of it, waiting as often as it takes.</summary>
    internal nint Write(ReadOnlySpan<byte> buffer, CancellationToken token = default)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Write, token);
        nint result = Enter(PollMode.Write, cancellation);
        if (result == 0)
        {
            try
            {
                fixed (byte* at = buffer)
                {
                    result = WriteAll(at, buffer.Length);
                }
            }
            finally
            {
                Leave(PollMode.Write);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>Writes all that the vector names: pairs of address and length, which it changes.</summary>
    internal nint WriteVector(nint* vector, int count, CancellationToken token = default)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Write, token);
        nint result = Enter(PollMode.Write, cancellation);
        if (result == 0)
        {
            try
            {
                result = WriteAllOf(vector, count);
            }
            finally
            {
                Leave(PollMode.Write);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>Sends a part of a file: as much as there is of it. The number sent.</summary>
    internal nint SendFile(int file, long offset, long count)
    {
        const long atOnce = 1024 * 1024;
        nint result = Enter(PollMode.Write, null);
        if (result != 0)
        {
            return result;
        }
        try
        {
            long sent = 0;
            PollDescriptor.Forget(_pd, PollMode.Write);
            result = Stopped(PollMode.Write);
            while (result == 0 && sent < count)
            {
                nint n = Os.SendFile(_fd, file, &offset, (nint)Math.Min(count - sent, atOnce));
                if (n == 0)
                {
                    break; // The file is shorter.
                }
                sent += Math.Max(0, n);
                result = n >= 0 || n == -Posix.EINTR ? 0 : n == -Posix.EAGAIN ? Wait(PollMode.Write) : n;
            }
            return result == 0 ? (nint)sent : result;
        }
        finally
        {
            Leave(PollMode.Write);
        }
    }

    /// <summary>The next connection's number; the address of the peer, of at most *length bytes. One that
    /// tries gets -EAGAIN where it would wait.</summary>
    internal nint Accept(byte* address, int* length, bool tries, CancellationToken token)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Read, token);
        nint result = tries ? TryEnter(PollMode.Read) : Enter(PollMode.Read, cancellation);
        if (result == 0)
        {
            try
            {
                int room = *length;
                PollDescriptor.Forget(_pd, PollMode.Read);
                result = Stopped(PollMode.Read);
                while (result == 0)
                {
                    *length = room;
                    result = Os.Accept(_fd, address, length);
                    if (result >= 0)
                    {
                        break;
                    }
                    result = result switch
                    {
                        -Posix.EAGAIN => tries ? result : Wait(PollMode.Read),
                        -Posix.EINTR or -Posix.ECONNABORTED => 0, // Gone before we came: the next one.
                        _ => result,
                    };
                }
            }
            finally
            {
                Leave(PollMode.Read);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>Connects a new socket.</summary>
    internal nint Connect(byte* address, int length, CancellationToken token)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Write, token);
        nint result = Enter(PollMode.Write, cancellation);
        if (result == 0)
        {
            try
            {
                result = Stopped(PollMode.Write);
                if (result == 0)
                {
                    result = Os.Connect(_fd, address, length);
                }
                if (result is -Posix.EINPROGRESS or -Posix.EALREADY or -Posix.EINTR)
                {
                    result = WaitConnected();
                }
                result = result == -Posix.EISCONN ? 0 : result;
            }
            finally
            {
                Leave(PollMode.Write);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>One datagram and where it came from. Tries: as Accept.</summary>
    internal nint ReceiveFrom(
        Span<byte> buffer, byte* address, int* length, bool tries, CancellationToken token)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Read, token);
        nint result = tries ? TryEnter(PollMode.Read) : Enter(PollMode.Read, cancellation);
        if (result == 0)
        {
            try
            {
                int room = *length;
                PollDescriptor.Forget(_pd, PollMode.Read);
                result = Stopped(PollMode.Read);
                fixed (byte* at = buffer)
                {
                    while (result == 0)
                    {
                        *length = room;
                        result = Os.ReceiveFrom(_fd, at, buffer.Length, address, length);
                        if (result >= 0)
                        {
                            break;
                        }
                        result = Again(result, PollMode.Read, tries);
                    }
                }
            }
            finally
            {
                Leave(PollMode.Read);
            }
        }
        cancellation?.End();
        return result;
    }

    /// <summary>One datagram to an address, or with length 0 to the connected one. Tries: as
    /// Accept.</summary>
    internal nint SendTo(
        ReadOnlySpan<byte> buffer, byte* address, int length, bool tries = false,
        CancellationToken token = default)
    {
        Cancellation? cancellation = Cancellation.Register(this, PollMode.Write, token);
        nint result = tries ? TryEnter(PollMode.Write) : Enter(PollMode.Write, cancellation);
        if (result == 0)
        {
            try
            {
                PollDescriptor.Forget(_pd, PollMode.Write);
                result = Stopped(PollMode.Write);
                fixed (byte* at = buffer)
                {
                    while (result == 0)
                    {
                        result = Os.SendTo(_fd, at, buffer.Length, address, length);
                        if (result >= 0)
                        {
                            break;
                        }
                        result = Again(result, PollMode.Write, tries);
                    }
                }
            }
            finally
            {
                Leave(PollMode.Write);
            }
        }
        cancellation?.End();
        return result;
    }

    private nint ReadSome(byte* buffer, nint count)
    {
        if (_pd == null)
        {
            return Os.ReadBlocking(_fd, buffer, count);
        }
        count = Math.Min(count, Os.LongestTransfer);
        nint stopped = Stopped(PollMode.Read);
        if (stopped != 0)
        {
            return stopped;
        }
        if (_read.Drained)
        {
            _read.Drained = false;
            nint error = Wait(PollMode.Read);
            if (error != 0)
            {
                return error;
            }
        }
        else
        {
            PollDescriptor.Forget(_pd, PollMode.Read);
        }
        while (true)
        {
            nint n = ReadNow(buffer, count);
            if (n >= 0)
            {
                _read.Drained = n > 0 && n < count && Kind == DescriptorKind.Tcp && Netpoll.TellsUrgentData
                    && !_pd->IsUnusual;
                return n;
            }
            nint error = Again(n, PollMode.Read);
            if (error != 0)
            {
                return error;
            }
        }
    }

    /// <summary>Waits until a read would not, and reads nothing.</summary>
    private nint WaitForInput()
    {
        if (_pd == null)
        {
            return 0;
        }
        nint stopped = Stopped(PollMode.Read);
        if (stopped != 0)
        {
            return stopped;
        }
        if (!_read.Drained)
        {
            PollDescriptor.Forget(_pd, PollMode.Read);
            if (Os.HasInput(_fd))
            {
                return 0;
            }
        }
        _read.Drained = false;
        return Wait(PollMode.Read); // If that ends without cause, the read that follows will wait.
    }

    private nint WriteAllOf(nint* vector, int count)
    {
        if (_pd == null)
        {
            return -Posix.EOPNOTSUPP;
        }
        PollDescriptor.Forget(_pd, PollMode.Write);
        nint stopped = Stopped(PollMode.Write);
        if (stopped != 0)
        {
            return stopped;
        }
        if (Kind == DescriptorKind.Datagrams && Length(vector, count) == 0)
        {
            return WriteEmpty();
        }
        while (true)
        {
            while (count > 0 && vector[1] == 0)
            {
                vector += 2;
                count--;
            }
            if (count == 0)
            {
                return 0;
            }
            nint n = WriteBounded(vector, count);
            if (n < 0)
            {
                nint error = Again(n, PollMode.Write);
                if (error != 0)
                {
                    return error;
                }
            }
            for (nint left = n; left > 0; vector += 2, count--)
            {
                nint part = Math.Min(left, vector[1]);
                vector[0] += part;
                vector[1] -= part;
                left -= part;
                if (vector[1] > 0)
                {
                    break;
                }
            }
        }
    }

    /// <summary>As many parts at once as a collection can wait for; a long one in pieces.</summary>
    private nint WriteBounded(nint* vector, int count)
    {
        nint sum = 0;
        int parts = 0;
        while (parts < count && parts < MostVectors && sum + vector[(2 * parts) + 1] <= Os.LongestTransfer)
        {
            sum += vector[(2 * parts) + 1];
            parts++;
        }
        return parts > 0
            ? Os.WriteVector(_fd, vector, parts)
            : Os.Write(_fd, (byte*)vector[0], Os.LongestTransfer);
    }

    private nint WaitConnected()
    {
        byte* peer = stackalloc byte[RawAddress.MaxLength];
        while (true)
        {
            nint error = Wait(PollMode.Write);
            if (error != 0)
            {
                return error;
            }
            error = Os.GetOption(_fd, Posix.SOL_SOCKET, Posix.SO_ERROR, out int failure);
            if (error < 0)
            {
                return error;
            }
            if (failure is not (0 or Posix.EINPROGRESS or Posix.EALREADY or Posix.EINTR or Posix.EISCONN))
            {
                return -failure;
            }
            int length = RawAddress.MaxLength;
            if (Os.PeerAddress(_fd, peer, &length) == 0)
            {
                return 0; // Else it was a report without cause.
            }
        }
    }

    /// <summary>0 when the operation is to be tried again.</summary>
    private nint Again(nint error, PollMode mode, bool tries = false) => error switch
    {
        -Posix.EINTR => 0,
        -Posix.EAGAIN => _pd == null || tries ? error : Wait(mode),
        _ => error,
    };

    private nint Wait(PollMode mode) => Error(Scheduler.WaitNetwork(_pd, mode));

    /// <summary>0, or why an operation is not even tried.</summary>
    private nint Stopped(PollMode mode) => Error(_pd->State(mode));

    private static nint Error(PollResult result) => result switch
    {
        PollResult.Ready => 0,
        PollResult.Expired => ErrorExpired,
        PollResult.Cancelled => ErrorCancelled,
        _ => ErrorClosed,
    };
}
