// The end of the process, for faults of the runtime and for what no exception can express (a stack that
// overflowed). Writes to stderr with plain system calls and aborts. May be called from a signal
// handler and from inside a collection: it allocates nothing and takes no lock.

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
        Write("weft: fatal: "u8);
        Write(message);
        Write("\n"u8);
        Os.Abort();
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

    /// <summary>Writes a number in decimal.</summary>
    internal static void Write(long value)
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
        Os.WriteError(digits + at, 24 - at);
    }

    /// <summary>Writes an address in hexadecimal.</summary>
    internal static void WriteHex(nint value)
    {
        byte* digits = stackalloc byte[18];
        digits[0] = (byte)'0';
        digits[1] = (byte)'x';
        for (int i = 0; i < 16; i++)
        {
            int nibble = (int)((ulong)value >> (60 - (4 * i))) & 15;
            digits[2 + i] = (byte)(nibble < 10 ? '0' + nibble : 'a' + nibble - 10);
        }
        Os.WriteError(digits, 18);
    }
}
