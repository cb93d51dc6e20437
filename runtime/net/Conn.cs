// A connection as a Stream. The stream's own methods throw IOException, as NetworkStream's do; TryRead and
// TryWrite report a SocketError and throw nothing, for servers to which a reset is no exception.
//
// Locks: none here; Descriptor has them.

using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Weft;

/// <summary>
/// A connection: TCP, unix, or the datagrams of one peer. It is a <see cref="Stream"/>: StreamReader,
/// SslStream and what else takes a stream work on it. An operation that has to wait parks the goroutine that
/// called it; an ordinary thread blocks. One may read and one write at the same time; further ones wait in
/// line. Everything but reading and writing may be called at any time, by anybody. Go: net.Conn.
/// </summary>
/// <remarks>
/// Errors of reading and writing are an <see cref="IOException"/> with a <see cref="SocketException"/> in it,
/// TimedOut when the deadline has passed: the connection can go on with a later one. After
/// <see cref="Stream.Close"/> there is an <see cref="ObjectDisposedException"/>, also where a call waits.
/// </remarks>
[SuppressMessage("Naming", "CA1710", Justification = "Go's name.")]
public sealed unsafe partial class Conn : Stream
{
    private readonly Descriptor _descriptor;
    private readonly string _network;
    private RawAddress _peer;
    private readonly byte _peerLength;
    private int _readTimeout = Timeout.Infinite;
    private int _writeTimeout = Timeout.Infinite;

    internal Conn(Descriptor descriptor, string network, ReadOnlySpan<byte> peer)
    {
        _descriptor = descriptor;
        _network = network;
        peer.CopyTo(_peer);
        _peerLength = (byte)peer.Length;
    }

    /// <summary>For the C face, which wants -errno.</summary>
    internal Descriptor Descriptor => _descriptor;

    /// <inheritdoc/>
    public override bool CanRead => !_descriptor.IsClosed;

    /// <inheritdoc/>
    public override bool CanWrite => !_descriptor.IsClosed;

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
    /// is set each read sets the deadline anew; <see cref="SetReadDeadline"/> is cheaper.</summary>
    public override int ReadTimeout
    {
        get => _readTimeout;
        set => _readTimeout = CheckTimeout(value);
    }

    /// <summary>The same for writes.</summary>
    public override int WriteTimeout
    {
        get => _writeTimeout;
        set => _writeTimeout = CheckTimeout(value);
    }

    /// <summary>Reads what there is; waits until there is something.</summary>
    /// <param name="buffer">Where to. If it is empty the call waits until a read would not.</param>
    /// <returns>How many bytes; 0 when the peer has ended its side.</returns>
    /// <exception cref="IOException">See the remarks of the class.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public override int Read(Span<byte> buffer) => ReadCore(buffer, default);

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadCore(buffer.AsSpan(offset, count), default);
    }

    /// <inheritdoc/>
    public override int ReadByte()
    {
        byte one = 0;
        return ReadCore(new Span<byte>(ref one), default) == 0 ? -1 : one;
    }

    /// <summary>Reads without exceptions, but for errors of the caller.</summary>
    /// <param name="buffer">Where to.</param>
    /// <param name="count">How many bytes; 0 at the peer's end, or on an error.</param>
    /// <returns>Success; TimedOut when the deadline has passed; OperationAborted when the connection is
    /// closed on this side; else what the system says.</returns>
    public SocketError TryRead(Span<byte> buffer, out int count)
    {
        nint result = _descriptor.Read(buffer);
        count = (int)Math.Max(0, result);
        return NetError.Code(result);
    }

    /// <summary>Waits until a read would not wait, holding no buffer: 10,000 idle connections need none.
    /// </summary>
    /// <returns>Success: there is data, an end or an error to read. TimedOut: the deadline has passed.
    /// OperationAborted: closed on this side.</returns>
    public SocketError WaitReadable() => NetError.Code(_descriptor.Read([]));

    /// <summary>Writes all of it; waits while the peer is slow. Datagrams: one, an empty one too.</summary>
    /// <param name="buffer">What.</param>
    /// <exception cref="IOException">See the remarks of the class. Part of it may have been sent.</exception>
    /// <exception cref="ObjectDisposedException">The connection is closed.</exception>
    public override void Write(ReadOnlySpan<byte> buffer) => WriteCore(buffer, default);

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        WriteCore(buffer.AsSpan(offset, count), default);
    }

    /// <inheritdoc/>
    public override void WriteByte(byte value) => WriteCore(new ReadOnlySpan<byte>(ref value), default);

    /// <summary>Writes both, one after the other, in one system call where possible: a head and a body.
    /// </summary>
    /// <param name="first">What.</param>
    /// <param name="second">What comes after it.</param>
    /// <exception cref="IOException">See the remarks of the class.</exception>
    public void Write(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        ApplyWriteTimeout();
        fixed (byte* a = first, b = second)
        {
            nint* vector = stackalloc nint[4];
            vector[0] = (nint)a;
            vector[1] = first.Length;
            vector[2] = (nint)b;
            vector[3] = second.Length;
            ThrowIfFailed(_descriptor.WriteVector(vector, 2), "write", default);
        }
    }

    /// <summary>Writes all of them in order, in as few system calls as possible. Go: net.Buffers.</summary>
    /// <param name="buffers">What.</param>
    /// <exception cref="ArgumentNullException">There is no list.</exception>
    /// <exception cref="IOException">See the remarks of the class.</exception>
    public void Write(IReadOnlyList<ReadOnlyMemory<byte>> buffers)
    {
        ArgumentNullException.ThrowIfNull(buffers);
        ApplyWriteTimeout();
        const int atOnce = 16;
        nint* vector = stackalloc nint[2 * atOnce];
        int done = 0;
        do // Once for none, too: an empty datagram.
        {
            int count = Math.Min(atOnce, buffers.Count - done);
            WriteSome(buffers, done, count, vector, 0);
            done += count;
        }
        while (done < buffers.Count);
    }

    /// <summary>Writes without exceptions, but for errors of the caller.</summary>
    /// <param name="buffer">What. On an error part of it may have been sent.</param>
    /// <returns>As <see cref="TryRead"/>; Shutdown or ConnectionReset when the peer is gone.</returns>
    public SocketError TryWrite(ReadOnlySpan<byte> buffer) => NetError.Code(_descriptor.Write(buffer));

    /// <summary>Sends a part of a file without copying it through the program. Waits for the peer and for
    /// the disk. Go: io.Copy from a file.</summary>
    /// <param name="file">An open regular file.</param>
    /// <param name="offset">Where the part begins; 0 or more.</param>
    /// <param name="count">How many bytes; 0 or more.</param>
    /// <returns>How many were sent: less than asked for if the file is shorter.</returns>
    /// <exception cref="ArgumentNullException">There is no file.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Offset or count is negative.</exception>
    /// <exception cref="IOException">See the remarks of the class.</exception>
    public long SendFile(SafeFileHandle file, long offset, long count)
    {
        ArgumentNullException.ThrowIfNull(file);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ApplyWriteTimeout();
        bool added = false;
        try
        {
            file.DangerousAddRef(ref added);
            return ThrowIfFailed(
                _descriptor.SendFile((int)file.DangerousGetHandle(), offset, count), "sendfile", default);
        }
        finally
        {
            if (added)
            {
                file.DangerousRelease();
            }
        }
    }

    /// <summary>Does nothing: what was written is on its way.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ = _descriptor.Close(); // Else the descriptor's own finalizer does.
        }
        base.Dispose(disposing);
    }

    internal static int CheckTimeout(int value)
    {
        if (value is <= 0 and not Timeout.Infinite)
        {
            throw new ArgumentOutOfRangeException(nameof(value), "A timeout is above 0, or infinite.");
        }
        return value;
    }

    private int ReadCore(Span<byte> buffer, CancellationToken token)
    {
        nint result = ReadResult(buffer, token);
        return result >= 0 ? (int)result : throw ReadFailure(result, token);
    }

    private nint ReadResult(Span<byte> buffer, CancellationToken token)
    {
        if (_readTimeout != Timeout.Infinite)
        {
            SetReadDeadline(TimeSpan.FromMilliseconds(_readTimeout));
        }
        return _descriptor.Read(buffer, token);
    }

    private Exception ReadFailure(nint result, CancellationToken token) =>
        NetError.OfStream(result, "read " + _network, token);

    private void WriteCore(ReadOnlySpan<byte> buffer, CancellationToken token)
    {
        ApplyWriteTimeout();
        nint result = _descriptor.Write(buffer, token);
        if (result < 0)
        {
            throw NetError.OfStream(result, "write " + _network, token);
        }
    }

    private void ApplyWriteTimeout()
    {
        if (_writeTimeout != Timeout.Infinite)
        {
            SetWriteDeadline(TimeSpan.FromMilliseconds(_writeTimeout));
        }
    }

    /// <summary>Pins one after the other, by a call for each, then writes.</summary>
    private void WriteSome(
        IReadOnlyList<ReadOnlyMemory<byte>> buffers, int first, int count, nint* vector, int pinned)
    {
        if (pinned == count)
        {
            ThrowIfFailed(_descriptor.WriteVector(vector, count), "write", default);
            return;
        }
        ReadOnlySpan<byte> each = buffers[first + pinned].Span;
        fixed (byte* at = each)
        {
            vector[2 * pinned] = (nint)at;
            vector[(2 * pinned) + 1] = each.Length;
            WriteSome(buffers, first, count, vector, pinned + 1);
        }
    }

    private nint ThrowIfFailed(nint result, string operation, CancellationToken token) =>
        result >= 0 ? result : throw NetError.OfStream(result, $"{operation} {_network}", token);
}
