// Reads a ring that is written meanwhile: copies some slots, then looks at the head, and drops those that may
// have been overwritten while they were copied.
//
//   ring     [ ... overwritten ... | Margin | readable ............ ] head
//   cursor                              tail --> [ copied ]
//
// One thread reads. Locks: none.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>An event that was read.</summary>
internal unsafe struct TraceRecord
{
    internal TraceEvent What;

    /// <summary>56 bits of it: see TraceCursor.Unwrap.</summary>
    internal long Ticks;

    internal long Number;
    internal int Reason;
}

internal sealed unsafe class TraceCursor : IDisposable
{
    private readonly TraceRing* _ring;
    private readonly long* _buffer;
    private readonly int _capacity;
    private long _tail; // The first slot that is not in the buffer.
    private long _end;  // Where to stop.
    private int _at;
    private int _count;
    private bool _isGone; // The event that was looked at was overwritten before what follows it was read.

    /// <summary>From now on, or from the oldest event there is.</summary>
    internal TraceCursor(TraceRing* ring, int capacity, bool fromOldest)
    {
        _ring = ring;
        _capacity = capacity;
        _buffer = (long*)NativeMemory.Alloc((nuint)capacity, TraceRing.SlotSize);
        long head = Volatile.Read(ref ring->Head);
        _tail = fromOldest ? Math.Max(0, Oldest(head)) : head;
        HasWrapped = fromOldest && _tail > 0;
        _end = head;
    }

    internal TraceRing* Ring => _ring;

    /// <summary>Older events than the first one were overwritten.</summary>
    internal bool HasWrapped { get; }

    /// <summary>Slots that were overwritten before they were read, since the last question.</summary>
    internal long TakeLost()
    {
        long lost = Lost;
        Lost = 0;
        return lost;
    }

    private long Lost { get; set; }

    /// <summary>What has been written up to now is read next.</summary>
    internal void LookAgain() => _end = Volatile.Read(ref _ring->Head); // Pairs with Write.

    /// <summary>The next event, which stays the next one. False if there is none.</summary>
    internal bool TryPeek(out TraceRecord record) => TryPeek(0, out record);

    /// <summary>The one behind that many others; false also where an event with a text is among
    /// them.</summary>
    internal bool TryPeek(int ahead, out TraceRecord record)
    {
        record = default;
        _isGone &= ahead != 0;
        while (true)
        {
            if (!Has(1 + ahead) || _isGone)
            {
                return false;
            }
            long* first = _buffer + (2 * _at);
            if ((TraceEvent)(byte)first[0] is TraceEvent.Text or TraceEvent.None)
            {
                _at++; // Its beginning was lost.
                continue;
            }
            long* slot = first + (2 * ahead);
            record.What = (TraceEvent)(byte)slot[0];
            record.Ticks = slot[0] >> 8;
            record.Number = slot[1] >> 8;
            record.Reason = (byte)slot[1];
            return record.What != TraceEvent.Text;
        }
    }

    /// <summary>Goes past the next event.</summary>
    internal void Skip()
    {
        _at += _isGone ? 0 : 1;
        _isGone = false;
    }

    /// <summary>Goes past it and its text, of that many bytes. Returns it; nothing if it was overwritten.
    /// </summary>
    internal string SkipText(int length)
    {
        Span<byte> text = stackalloc byte[TraceRing.MostText];
        int slots = (length + TraceRing.BytesPerSlot - 1) / TraceRing.BytesPerSlot;
        if (!Has(1 + slots) || _isGone)
        {
            Skip();
            return "";
        }
        _at++;
        for (int at = 0; at < length; at += TraceRing.BytesPerSlot)
        {
            byte* slot = (byte*)(_buffer + (2 * _at++));
            int count = Math.Min(TraceRing.BytesPerSlot, length - at);
            new ReadOnlySpan<byte>(slot + 1, count).CopyTo(text[at..]);
        }
        return System.Text.Encoding.UTF8.GetString(text[..length]);
    }

    public void Dispose() => NativeMemory.Free(_buffer);

    /// <summary>The whole number of ticks, which is less than half of 56 bits away from now.</summary>
    internal static long Unwrap(long ticks, long now) => now + (((ticks - now) << 8) >> 8);

    private static long Oldest(long head) => head - TraceRing.Slots + TraceRing.Margin;

    /// <summary>Whether so many slots are in the buffer, after reading more if need be.</summary>
    private bool Has(int slots)
    {
        while (_count - _at < slots)
        {
            if (_tail >= _end)
            {
                return false;
            }
            Fill();
        }
        return true;
    }

    private void Fill()
    {
        int kept = _count - _at;
        new Span<long>(_buffer + (2 * _at), 2 * kept).CopyTo(new Span<long>(_buffer, 2 * kept));
        _at = 0;
        _count = kept;
        long head = Volatile.Read(ref _ring->Head);
        if (_tail < Oldest(head))
        {
            Drop(Math.Min(Oldest(head) + TraceRing.Margin, _end));
        }
        int count = (int)Math.Min(_capacity - _count, _end - _tail);
        for (int i = 0; i < count; i++)
        {
            long* slot = TraceRing.SlotAt(_ring, _tail + i);
            _buffer[2 * (_count + i)] = slot[0];
            _buffer[(2 * (_count + i)) + 1] = slot[1];
        }
        Interlocked.MemoryBarrier(); // The slots, then the head: pairs with the stores in Write.
        long oldest = Oldest(Volatile.Read(ref _ring->Head));
        if (oldest > _tail)
        {
            int dropped = (int)Math.Min(oldest - _tail, count);
            new Span<long>(_buffer + (2 * (_count + dropped)), 2 * (count - dropped)).CopyTo(
                new Span<long>(_buffer, 2 * (count - dropped)));
            Drop(_tail + dropped);
            count -= dropped;
        }
        _tail += count;
        _count += count;
    }

    /// <summary>What is in the buffer, and all up to there, is lost.</summary>
    private void Drop(long to)
    {
        _isGone |= _count > 0;
        Lost += to - _tail + _count;
        _tail = to;
        _count = 0;
    }
}
