// Protocol Buffers' wire format, as much as Perfetto's traces and pprof's profiles need: a few kinds of
// fields and nested messages, into one buffer that is used again.
//
// A nested message's length is one byte while it is short; for a longer one the message is moved up. Its
// reader sees the shortest form, as protoc writes it.
//
// Rejected: Google.Protobuf (a package of 0.4 MB for eight message types, objects for each event, and
// reflection that the trimmer must be told about).

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace Weft.Runtime;

internal sealed class ProtobufWriter
{
    private const int VarintType = 0;
    private const int Fixed64Type = 1;
    private const int BytesType = 2;
    private const int TypeBits = 3;
    private const int LongestVarint = 10;

    private byte[] _bytes = new byte[64 * 1024];

    internal int Length { get; private set; }

    internal ReadOnlySpan<byte> Written => _bytes.AsSpan(0, Length);

    internal void Clear() => Length = 0;

    internal void Varint(int field, ulong value)
    {
        Reserve(2 * LongestVarint);
        Raw((uint)(field << TypeBits) | VarintType);
        Raw(value);
    }

    /// <summary>An int64 of a message.</summary>
    internal void Varint(int field, long value) => Varint(field, (ulong)value);

    internal void Fixed64(int field, ulong value)
    {
        Reserve(LongestVarint + sizeof(ulong));
        Raw((uint)(field << TypeBits) | Fixed64Type);
        BinaryPrimitives.WriteUInt64LittleEndian(_bytes.AsSpan(Length), value);
        Length += sizeof(ulong);
    }

    internal void Text(int field, string value)
    {
        int count = Encoding.UTF8.GetByteCount(value);
        Head(field, count);
        Length += Encoding.UTF8.GetBytes(value, _bytes.AsSpan(Length));
    }

    /// <summary>A repeated int64, packed.</summary>
    internal void Packed(int field, ReadOnlySpan<long> values) =>
        Packed(field, MemoryMarshal.Cast<long, ulong>(values));

    /// <summary>The same of uint64.</summary>
    internal void Packed(int field, ReadOnlySpan<ulong> values)
    {
        int start = Begin(field);
        foreach (ulong value in values)
        {
            Reserve(LongestVarint);
            Raw(value);
        }
        End(start);
    }

    /// <summary>A nested message begins; give the result to End.</summary>
    internal int Begin(int field)
    {
        Head(field, 0);
        return Length;
    }

    internal void End(int start)
    {
        int length = Length - start;
        int more = 0;
        for (int rest = length >> 7; rest != 0; rest >>= 7)
        {
            more++;
        }
        if (more > 0)
        {
            Reserve(more);
            _bytes.AsSpan(start, length).CopyTo(_bytes.AsSpan(start + more));
        }
        Length = start - 1; // Over the 0 that Begin has written.
        Raw((uint)length);
        Length += length;
    }

    private void Head(int field, int length)
    {
        Reserve((2 * LongestVarint) + length);
        Raw((uint)(field << TypeBits) | BytesType);
        Raw((uint)length);
    }

    private void Raw(ulong value)
    {
        while (value >= 0x80)
        {
            _bytes[Length++] = (byte)(value | 0x80);
            value >>= 7;
        }
        _bytes[Length++] = (byte)value;
    }

    private void Reserve(int count)
    {
        if (Length + count > _bytes.Length)
        {
            Array.Resize(ref _bytes, Math.Max(_bytes.Length * 2, Length + count));
        }
    }
}
