// The end of the process, for faults of the runtime and for what no exception can express (a stack that
// overflowed). One line on stderr, "weft: fatal: " and what is wrong, by one system call, so that lines of
// several threads do not mix; then the abort. May be called from a signal handler and from inside a
// collection: it allocates nothing and takes no lock.
//
// Rejected: a static buffer for the line. Two threads may fail at once, and one inside the other's report.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;

namespace Weft.Runtime;

internal static unsafe class Fatal
{
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void Throw(ReadOnlySpan<byte> message)
    {
        Line line = new();
        line.Add(message);
        line.Throw();
    }

    internal static void Write(ReadOnlySpan<byte> text)
    {
        fixed (byte* start = text)
        {
            Os.WriteError(start, text.Length);
        }
    }

    /// <summary>Writes a text. Allocates: for an ordinary end of the process only.</summary>
    internal static void Write(string text) => Write(Encoding.UTF8.GetBytes(text));

    /// <summary>The line, as it is put together. What does not fit is left out.</summary>
    internal ref struct Line
    {
        private const int Size = 400;

        private fixed byte _text[Size];
        private int _length;

        /// <summary>Begins it.</summary>
        public Line() => Add("weft: fatal: "u8);

        /// <summary>Begins one that is not the last.</summary>
        internal Line(ReadOnlySpan<byte> start) => Add(start);

        internal void Add(ReadOnlySpan<byte> text)
        {
            foreach (byte each in text)
            {
                Add(each);
            }
        }

        /// <summary>Adds a number in decimal.</summary>
        internal void Add(long value)
        {
            byte* digits = stackalloc byte[24];
            int at = 24;
            ulong rest = value < 0 ? (ulong)-value : (ulong)value;
            do
            {
                digits[--at] = (byte)('0' + (int)(rest % 10));
                rest /= 10;
            }
            while (rest != 0);
            if (value < 0)
            {
                digits[--at] = (byte)'-';
            }
            Add(new ReadOnlySpan<byte>(digits + at, 24 - at));
        }

        /// <summary>Adds an address in hexadecimal.</summary>
        internal void AddHex(nint value)
        {
            Add("0x"u8);
            for (int shift = 60; shift >= 0; shift -= 4)
            {
                int nibble = (int)((ulong)value >> shift) & 15;
                Add((byte)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10));
            }
        }

        /// <summary>Writes it: for what ends the process in another way.</summary>
        internal void Write()
        {
            fixed (byte* start = _text)
            {
                start[_length++] = (byte)'\n';
                Os.WriteError(start, _length);
            }
        }

        /// <summary>Writes it and ends the process.</summary>
        [DoesNotReturn]
        internal void Throw()
        {
            Write();
            Os.Abort();
        }

        private void Add(byte value)
        {
            if (_length < Size - 1)
            {
                _text[_length++] = value;
            }
        }
    }
}
