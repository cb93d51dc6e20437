// What is written to the client, collected so that the answers to pipelined requests leave in one
// system call. The buffer belongs to the exchange, not to the connection: see Exchange.cs.

using System.Buffers.Text;

namespace Weave.Http;

internal sealed class ResponseWriter
{
    /// <summary>A body up to this size goes with its head into the buffer.</summary>
    internal const int Capacity = 16 * 1024;

    // On the pinned heap: the collector has nothing to do with a buffer that is in a system call.
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(Capacity, pinned: true);
    private HttpConnection _connection = null!;
    private int _used;

    // Where the response that is being written begins, or -1 when some of it has been sent.
    private int _begin;

    internal void Attach(HttpConnection connection)
    {
        _connection = connection;
        _used = 0;
    }

    /// <summary>Another response begins.</summary>
    internal void Begin() => _begin = _used;

    /// <summary>Drops what has been written of the response; false when some of it has been sent.</summary>
    internal bool TryTakeBack()
    {
        _used = _begin >= 0 ? _begin : _used;
        return _begin >= 0;
    }

    internal void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > Capacity - _used)
        {
            Flush();
            if (bytes.Length > Capacity)
            {
                _begin = -1;
                _connection.Send(bytes);
                return;
            }
        }

        bytes.CopyTo(_buffer.AsSpan(_used));
        _used += bytes.Length;
    }

    internal void Write(long number)
    {
        Span<byte> rest = Room(20);
        _ = Utf8Formatter.TryFormat(number, rest, out int length);
        _used += length;
    }

    internal void WriteHex(long number)
    {
        Span<byte> rest = Room(16);
        _ = Utf8Formatter.TryFormat(number, rest, out int length, 'x');
        _used += length;
    }

    /// <summary>At least that much of the buffer, to write to; Advance says how much was.</summary>
    internal Span<byte> Room(int least)
    {
        if (Capacity - _used < least)
        {
            Flush();
        }

        return _buffer.AsSpan(_used);
    }

    internal void Advance(int count) => _used += count;

    internal void Flush()
    {
        if (_used > 0)
        {
            int used = _used;
            _used = 0;
            _begin = -1;
            _connection.Send(_buffer.AsSpan(0, used));
        }
    }
}
