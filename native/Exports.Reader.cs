// A buffer between a connection and who reads it: lines, exact numbers of bytes. What was read and not yet asked
// for stays in it, also when a wait is ended: so a line or a record that a deadline has cut is read by the next
// call, whole.

using System.Runtime.InteropServices;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int ReaderDefault = 4096;
    private const int ReaderMost = 1 << 30;

    [UnmanagedCallersOnly(EntryPoint = "weft_reader_make")]
    private static int ReaderMake(nint* handle, nint connectionHandle, nuint size)
    {
        Conn? connection = Handles.Get<Conn>(connectionHandle, Kind.Connection);
        if (connection == null)
        {
            return Handles.Fault(connectionHandle);
        }
        if (handle == null || size > ReaderMost)
        {
            return Code.Invalid;
        }
        try
        {
            return Publish(handle, new Reader(connection, size == 0 ? ReaderDefault : (int)size), Kind.Reader);
        }
        catch (OutOfMemoryException)
        {
            return Code.NoMemory;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_reader_read")]
    private static long ReaderRead(nint handle, void* buffer, nuint count) => WithReader(
        handle, buffer, count, static (reader, to) => reader.Read(to));

    [UnmanagedCallersOnly(EntryPoint = "weft_reader_full")]
    private static long ReaderFull(nint handle, void* buffer, nuint count) => WithReader(
        handle, buffer, count, static (reader, to) => reader.ReadFull(to));

    [UnmanagedCallersOnly(EntryPoint = "weft_reader_line")]
    private static long ReaderLine(nint handle, void* line, nuint size) => size == 0
        ? Handles.Get<Reader>(handle, Kind.Reader) == null ? Handles.Fault(handle) : Code.Invalid
        : WithReader(handle, line, size, static (reader, to) => reader.ReadLine(to));

    [UnmanagedCallersOnly(EntryPoint = "weft_reader_free")]
    private static int ReaderFree(nint handle) => FreeHandle<Reader>(handle, Kind.Reader);

    private delegate long ReaderWork(Reader reader, Span<byte> to);

    private static long WithReader(nint handle, void* buffer, nuint count, ReaderWork work)
    {
        Reader? reader = Handles.Get<Reader>(handle, Kind.Reader);
        if (reader == null)
        {
            return Handles.Fault(handle);
        }
        if (buffer == null && count > 0)
        {
            return Code.Invalid;
        }
        if (!reader.Enter())
        {
            return Code.Busy;
        }
        try
        {
            return work(reader, new Span<byte>(buffer, (int)Math.Min(count, int.MaxValue)));
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
        finally
        {
            reader.Leave();
        }
    }

    private sealed class Reader(Conn connection, int size)
    {
        private readonly byte[] _buffer = new byte[size];
        private int _first;
        private int _end;
        private bool _atEnd;
        private int _isBusy;

        private int Count => _end - _first;

        internal bool Enter() => Interlocked.CompareExchange(ref _isBusy, 1, 0) == 0;

        internal void Leave() => Volatile.Write(ref _isBusy, 0);

        /// <summary>Some bytes; 0 at the end.</summary>
        internal long Read(Span<byte> to)
        {
            if (Count == 0 && to.Length >= _buffer.Length)
            {
                return _atEnd ? 0 : ReadDirectly(to);
            }
            if (Count == 0 && !to.IsEmpty && Fill() is long result and <= 0)
            {
                return result;
            }
            return Take(to);
        }

        /// <summary>All of it; less at the end only.</summary>
        internal long ReadFull(Span<byte> to)
        {
            if (to.Length > _buffer.Length)
            {
                return ReadLong(to);
            }
            while (Count < to.Length)
            {
                long result = Fill();
                if (result < 0)
                {
                    return result;
                }
                if (result == 0)
                {
                    break;
                }
            }
            return Take(to);
        }

        /// <summary>A line without its end, and a zero behind it.</summary>
        internal long ReadLine(Span<byte> to)
        {
            int seen = 0; // How much of what is there has no end of a line.
            while (true)
            {
                int at = _buffer.AsSpan(_first + seen, Count - seen).IndexOf((byte)'\n');
                if (at >= 0)
                {
                    return TakeLine(to, seen + at, end: 1);
                }
                seen = Count;
                if (seen == _buffer.Length || seen >= to.Length + 1)
                {
                    return TakePart(to);
                }
                long result = Fill();
                if (result < 0)
                {
                    return result;
                }
                if (result == 0)
                {
                    return Count == 0 ? Code.NoData : TakeLine(to, Count, end: 0);
                }
            }
        }

        private long TakeLine(Span<byte> to, int length, int end)
        {
            int shown = end > 0 && length > 0 && _buffer[_first + length - 1] == '\r' ? length - 1 : length;
            if (shown >= to.Length)
            {
                return TakePart(to);
            }
            _buffer.AsSpan(_first, shown).CopyTo(to);
            to[shown] = 0;
            Skip(length + end);
            return shown;
        }

        /// <summary>The line is too long: what fits.</summary>
        private int TakePart(Span<byte> to)
        {
            int fits = Math.Min(Count, to.Length - 1);
            _buffer.AsSpan(_first, fits).CopyTo(to);
            to[fits] = 0;
            Skip(fits);
            return Code.TooLong;
        }

        private long ReadLong(Span<byte> to)
        {
            int done = (int)Take(to);
            while (done < to.Length && !_atEnd)
            {
                long result = ReadDirectly(to[done..]);
                if (result < 0)
                {
                    return result;
                }
                done += (int)result;
            }
            return done;
        }

        private long ReadDirectly(Span<byte> to)
        {
            long result = ReadSome(connection.Descriptor, to);
            _atEnd |= result == 0;
            return result;
        }

        /// <summary>Reads more behind what there is, and makes room for it. 0 at the end.</summary>
        private long Fill()
        {
            if (_atEnd)
            {
                return 0;
            }
            if (_first > 0 && (_first == _end || _end == _buffer.Length))
            {
                _buffer.AsSpan(_first, Count).CopyTo(_buffer);
                _end -= _first;
                _first = 0;
            }
            long result = ReadDirectly(_buffer.AsSpan(_end));
            _end += (int)Math.Max(result, 0);
            return result;
        }

        private long Take(Span<byte> to)
        {
            int taken = Math.Min(Count, to.Length);
            _buffer.AsSpan(_first, taken).CopyTo(to);
            Skip(taken);
            return taken;
        }

        private void Skip(int count) => _first += count;
    }
}
