// What the scheduler does, for the execution trace: a ring of events for each processor, and one for all that
// happens outside of them. Go: the trace buffers of a P.
//
// An event is a slot of two words: ticks and kind, and what it is about. Text follows in slots of its own.
//
//   word 0   [ ticks, 56 bits ][ kind ]
//   word 1   [ goroutine or another number, 56 bits ][ reason ]
//
// Written by who holds the processor, in a critical section or where nobody preempts it; so there is no lock,
// and no exchange. The writer never looks at the readers: it overwrites the oldest. A reader
// (trace/TraceCursor.cs) copies, looks at the head again, and drops what may have been overwritten. So one
// ring serves a trace, which is read all the time, and a flight recorder, which is read now and then.
//
// While nobody looks, Processor.Trace is null; who would write reads that word and nothing else. A ring is
// never freed, since somebody may be about to write to it.
//
// Rejected: full buffers handed to the reader (a writer has to get another, or wait); a lock-free queue for
// all processors (a shared line for each event).

using System.Runtime.CompilerServices;
using System.Text.Unicode;

namespace Weft.Runtime;

internal unsafe struct TraceRing
{
    /// <summary>A power of two; 16 bytes each.</summary>
    internal const int Slots = 256 * 1024;

    internal const int SlotSize = 16;

    /// <summary>More than one event has, and than a processor has stores under way.</summary>
    internal const int Margin = 256;

    /// <summary>Of a text, in bytes.</summary>
    internal const int MostText = 240;

    internal const int BytesPerSlot = 15;

    private const int Head0 = Layout.CacheLine * 2;

    internal static nint Bytes => Head0 + (Slots * (nint)SlotSize);

    /// <summary>How many slots were ever written. Owner; read by anybody.</summary>
    internal long Head;

    internal static TraceRing* Make()
    {
        nint memory = Os.Reserve(Bytes);
        return memory > 0 ? (TraceRing*)memory : null;
    }

    internal static long* SlotAt(TraceRing* ring, long number) =>
        (long*)((byte*)ring + Head0 + ((number & (Slots - 1)) * SlotSize));

    /// <summary>By who holds the processor.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Write(TraceRing* ring, TraceEvent what, long number, int reason = 0)
    {
        long head = ring->Head;
        long* slot = SlotAt(ring, head);
        slot[0] = (Ticks.Now() << 8) | (byte)what;
        slot[1] = (number << 8) | (byte)reason;
        Volatile.Write(ref ring->Head, head + 1); // Pairs with the reader's first look.
    }

    /// <summary>The same with a text, of which at most MostText bytes are kept.</summary>
    internal static void Write(TraceRing* ring, TraceEvent what, long number, ReadOnlySpan<byte> text)
    {
        long head = ring->Head;
        int length = Math.Min(text.Length, MostText);
        long* slot = SlotAt(ring, head++);
        slot[0] = (Ticks.Now() << 8) | (byte)what;
        slot[1] = (number << 8) | (byte)length;
        for (int at = 0; at < length; at += BytesPerSlot)
        {
            byte* bytes = (byte*)SlotAt(ring, head++);
            bytes[0] = (byte)TraceEvent.Text;
            int count = Math.Min(BytesPerSlot, length - at);
            for (int i = 0; i < count; i++)
            {
                bytes[i + 1] = text[at + i];
            }
        }
        Volatile.Write(ref ring->Head, head); // All of it at once.
    }

    /// <summary>UTF-8 of as much of a text as an event holds. Returns how many bytes.</summary>
    internal static int Encode(ReadOnlySpan<char> text, Span<byte> bytes)
    {
        _ = Utf8.FromUtf16(text, bytes, out _, out int count); // Whole characters, while there is room.
        return count;
    }
}
