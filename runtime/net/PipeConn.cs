// A connection in memory. Go: net.Pipe. Nothing is buffered: a write hands its bytes to the reads of the
// other end, and ends when they have taken all.
//
//   one end                                     the other
//   write --- one at a time --- data ----->     read: copies what fits
//         <---------------------- how many ---
//
// Channels do it all, as in Go; so in a bubble of WeftTest.Run the waits are durable, and deadlines go by the
// bubble's clock. A write copies its bytes once: the stack of a goroutine that waits may be elsewhere, and
// with it what a span of it points to.
//
// Rejected: Conn over a pipe (it is a descriptor's from end to end, and hot); a socket pair (its waits are
// the system's).

using System.Diagnostics.CodeAnalysis;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// An end of a connection in memory, which <see cref="Net.Pipe"/> makes. It is a <see cref="Stream"/>, as
/// <see cref="Conn"/> is: a goroutine that has to wait parks, an ordinary thread blocks, and it may be read,
/// written, closed and given deadlines by several at the same time. Nothing is buffered: a write waits until
/// the other end has read all of it.
/// </summary>
/// <remarks>Errors are those of <see cref="Conn"/>: an <see cref="IOException"/> with a SocketException in
/// it, TimedOut when the deadline has passed, Shutdown for a write when the other end is closed (a read
/// returns 0 then). After <see cref="Stream.Close"/> of this end there is an
/// <see cref="ObjectDisposedException"/>, also where a call waits. One that was made in a bubble of
/// <c>WeftTest.Run</c> belongs to it.</remarks>
[SuppressMessage("Naming", "CA1710", Justification = "As Conn.")]
public sealed class PipeConn : Stream
{
    private readonly PipeWay _in;
    private readonly PipeWay _out;
    private readonly Chan<Unit> _closed;
    private readonly Chan<Unit> _peerClosed;
    private readonly Chan<Unit> _writes = new(1); // Full while somebody writes.
    private readonly PipeDeadline _readDeadline = new();
    private readonly PipeDeadline _writeDeadline = new();
    private int _readTimeout = Timeout.Infinite;
    private int _writeTimeout = Timeout.Infinite;

    private PipeConn(PipeWay to, PipeWay from, Chan<Unit> closed, Chan<Unit> peerClosed)
    {
        _in = from;
        _out = to;
        _closed = closed;
        _peerClosed = peerClosed;
    }

    /// <inheritdoc/>
    public override bool CanRead => !_closed.IsClosed;

    /// <inheritdoc/>
    public override bool CanWrite => !_closed.IsClosed;

    /// <summary>False: there is no position.</summary>
    public override bool CanSeek => false;

    /// <summary>True: see <see cref="ReadTimeout"/>.</summary>
    public override bool CanTimeout => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Milliseconds that each read may wait, or <see cref="Timeout.Infinite"/>, the default. When it
    /// is set each read sets the deadline anew.</summary>
    public override int ReadTimeout
    {
        get => _readTimeout;
        set => _readTimeout = Conn.CheckTimeout(value);
    }

    /// <summary>The same for writes.</summary>
    public override int WriteTimeout
    {
        get => _writeTimeout;
        set => _writeTimeout = Conn.CheckTimeout(value);
    }

    internal static (PipeConn First, PipeConn Second) Make()
    {
        PipeWay there = new(), back = new();
        Chan<Unit> first = new(), second = new();
        return (new PipeConn(there, back, first, second), new PipeConn(back, there, second, first));
    }

    /// <summary>Reads what the other end writes; waits until it does.</summary>
    /// <param name="buffer">Where to. If it is empty the call waits for a write.</param>
    /// <returns>How many bytes; 0 when the other end is closed.</returns>
    /// <exception cref="IOException">The deadline has passed.</exception>
    /// <exception cref="ObjectDisposedException">This end is closed.</exception>
    public override int Read(Span<byte> buffer) => ReadCore(buffer, default);

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadCore(buffer.AsSpan(offset, count), default);
    }

    /// <inheritdoc/>
    public override ValueTask<int> ReadAsync(
        Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(Weft.Go.RunAsync(() => ReadCore(buffer.Span, cancellationToken)));

    /// <inheritdoc/>
    public override Task<int> ReadAsync(
        byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return Weft.Go.RunAsync(() => ReadCore(buffer.AsSpan(offset, count), cancellationToken));
    }

    /// <summary>Writes all of it; waits until the other end has read it. An empty one waits for a read, which
    /// then goes on waiting.</summary>
    /// <param name="buffer">What.</param>
    /// <exception cref="IOException">The other end is closed, or the deadline has passed: part of it may have
    /// been read.</exception>
    /// <exception cref="ObjectDisposedException">This end is closed.</exception>
    public override void Write(ReadOnlySpan<byte> buffer) => WriteCore(buffer.ToArray(), default);

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        WriteCore(buffer.AsMemory(offset, count), default);
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(Weft.Go.RunAsync(() => WriteCore(buffer, cancellationToken)));

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return Weft.Go.RunAsync(() => WriteCore(buffer.AsMemory(offset, count), cancellationToken));
    }

    /// <summary>When reads and writes stop waiting, those under way too. It stays in force until it is set
    /// again. Go: SetDeadline.</summary>
    /// <param name="fromNow">Zero or less: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</param>
    /// <exception cref="ObjectDisposedException">This end, or the other one, is closed.</exception>
    public void SetDeadline(TimeSpan fromNow)
    {
        SetReadDeadline(fromNow);
        SetWriteDeadline(fromNow);
    }

    /// <summary>The same for reads only.</summary>
    /// <param name="fromNow">See <see cref="SetDeadline(TimeSpan)"/>.</param>
    /// <exception cref="ObjectDisposedException">This end, or the other one, is closed.</exception>
    public void SetReadDeadline(TimeSpan fromNow) => Set(_readDeadline, fromNow);

    /// <summary>The same for writes only.</summary>
    /// <param name="fromNow">See <see cref="SetDeadline(TimeSpan)"/>.</param>
    /// <exception cref="ObjectDisposedException">This end, or the other one, is closed.</exception>
    public void SetWriteDeadline(TimeSpan fromNow) => Set(_writeDeadline, fromNow);

    /// <summary>Does nothing: what was written has been read.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && _closed.TryClose())
        {
            _readDeadline.Set(Timeout.InfiniteTimeSpan);
            _writeDeadline.Set(Timeout.InfiniteTimeSpan);
        }
        base.Dispose(disposing);
    }

    private int ReadCore(Span<byte> buffer, CancellationToken token)
    {
        const string what = "read pipe";
        Chan<Unit> expired = Begin(_readDeadline, _readTimeout, what, token);
        if (_peerClosed.IsClosed)
        {
            return 0;
        }
        ReceiveCase<ReadOnlyMemory<byte>> data = new(_in.Data);
        int chosen = Select.WaitOrCancel(
            [data, _closed.ReceiveCase(), expired.ReceiveCase(), _peerClosed.ReceiveCase()], token);
        if (chosen == 0)
        {
            int count = Math.Min(buffer.Length, data.Value.Length);
            data.Value.Span[..count].CopyTo(buffer);
            _in.Taken.Send(count, CancellationToken.None); // Its writer waits for that.
            return count;
        }
        Throw(chosen, what, token);
        return 0;
    }

    private void WriteCore(ReadOnlyMemory<byte> buffer, CancellationToken token)
    {
        const string what = "write pipe";
        Chan<Unit> expired = Begin(_writeDeadline, _writeTimeout, what, token);
        ThrowIfPeerClosed(_peerClosed.IsClosed, what);
        Wait(_writes.SendCase(default), expired, what, token);
        try
        {
            do // Once for none, too.
            {
                Wait(_out.Data.SendCase(buffer), expired, what, token);
                buffer = buffer[_out.Taken.Receive(CancellationToken.None)..]; // Soon.
            }
            while (buffer.Length > 0);
        }
        finally
        {
            _ = _writes.TryTake(out _);
        }
    }

    /// <summary>Until the case of a write is done.</summary>
    private void Wait(SelectCase first, Chan<Unit> expired, string what, CancellationToken token)
    {
        int chosen = Select.WaitOrCancel(
            [first, _closed.ReceiveCase(), expired.ReceiveCase(), _peerClosed.ReceiveCase()], token);
        if (chosen != 0)
        {
            Throw(chosen, what, token);
            ThrowIfPeerClosed(true, what);
        }
    }

    /// <summary>A read or write begins: what is closed when its deadline has passed. One that has passed
    /// before the call counts, whatever else is ready.</summary>
    private Chan<Unit> Begin(PipeDeadline deadline, int timeout, string what, CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (timeout != Timeout.Infinite)
        {
            Set(deadline, TimeSpan.FromMilliseconds(timeout));
        }
        Chan<Unit> expired = deadline.Expired;
        Throw(_closed.IsClosed ? 1 : expired.IsClosed ? 2 : 0, what, default);
        return expired;
    }

    private static void Throw(int chosen, string what, CancellationToken token)
    {
        if (chosen is 1 or 2)
        {
            nint error = chosen == 1 ? Descriptor.ErrorClosed : Descriptor.ErrorExpired;
            throw NetError.OfStream(error, what, token);
        }
        if (chosen < 0)
        {
            CancelCause.Throw(what + ": cancelled.", token);
        }
    }

    private static void ThrowIfPeerClosed(bool isClosed, string what)
    {
        if (isClosed)
        {
            throw NetError.OfStream(-Posix.EPIPE, what);
        }
    }

    private void Set(PipeDeadline deadline, TimeSpan fromNow)
    {
        _closed.EnterBubble();
        if (_closed.IsClosed || _peerClosed.IsClosed)
        {
            throw NetError.Of(Descriptor.ErrorClosed, "set deadline");
        }
        deadline.Set(fromNow);
    }

    /// <summary>One direction.</summary>
    private sealed class PipeWay
    {
        internal Chan<ReadOnlyMemory<byte>> Data { get; } = new();

        /// <summary>How much of it the reader has taken.</summary>
        internal Chan<int> Taken { get; } = new();
    }
}
