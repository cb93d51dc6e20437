// Counts lines and words, 64 bytes at a time and without a branch on what they are.
//
// Each block becomes three masks of one bit for each byte:
//
//   newline   \n
//   space     \t \n \v \f \r and the blank
//   solid     what makes a word
//
// A byte in neither of the last two is hollow: in wc's printable rule, an unprintable byte neither
// ends a word nor begins one. A word is counted at its first solid byte, which is the one that has
// white space before it, hollow bytes left out. "Left out" is an addition: a bit at the first byte
// after white space, added to a run of ones for the hollow bytes there, carries to the byte behind
// the run. The carry out of bit 63 is what the next block must know.
//
// It uses only what every x86-64 and ARM64 has. The AOT compiler does not know the processor, so
// for more, a table look-up (pshufb) for example, each block would ask whether it is there.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Weave.Count;

internal struct TextCounter(WordRule rule)
{
    private const int BlockSize = 64;

    private readonly ulong _anyIsSolid = rule == WordRule.Any ? ulong.MaxValue : 0;
    private ulong _afterSpace = 1;

    internal long Lines { get; private set; }

    internal long Words { get; private set; }

    /// <summary>Counts the next piece of a text; words may reach over pieces.</summary>
    internal void Add(ReadOnlySpan<byte> text)
    {
        while (text.Length >= BlockSize)
        {
            AddBlock(ref MemoryMarshal.GetReference(text), ulong.MaxValue);
            text = text[BlockSize..];
        }

        if (text.Length > 0)
        {
            Span<byte> block = stackalloc byte[BlockSize];
            text.CopyTo(block);
            AddBlock(ref MemoryMarshal.GetReference(block), (1UL << text.Length) - 1);
        }
    }

    /// <summary>Counts the 64 bytes from first; those whose bit in valid is 0 are hollow.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddBlock(ref byte first, ulong valid)
    {
        Classify(ref first, out ulong newline, out ulong space, out ulong printable);
        newline &= valid;
        space &= valid;
        ulong solid = (printable | (_anyIsSolid & ~space)) & valid;
        ulong hollow = ~(space | solid);

        ulong afterSpace = (space << 1) | _afterSpace;
        ulong afterHollow = (afterSpace & hollow) + hollow;
        ulong carry = afterHollow < hollow ? 1UL : 0;
        _afterSpace = (space >> 63) | carry;

        Lines += BitOperations.PopCount(newline);
        Words += BitOperations.PopCount(solid & (afterSpace | afterHollow));
    }

    /// <summary>The masks of 64 bytes, 16 at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Classify(
        ref byte first, out ulong newline, out ulong space, out ulong printable)
    {
        newline = space = printable = 0;
        for (int i = 0; i < BlockSize; i += Vector128<byte>.Count)
        {
            Vector128<byte> bytes = Vector128.LoadUnsafe(ref first, (nuint)i);

            // \t to \r become 0 to 4, and only they.
            Vector128<byte> controls = bytes - Vector128.Create((byte)'\t');
            Vector128<byte> most = Vector128.Create((byte)('\r' - '\t'));
            Vector128<byte> spaces = Vector128.Equals(controls, Vector128.Min(controls, most))
                | Vector128.Equals(bytes, Vector128.Create((byte)' '));

            // ! to ~ become the smallest 94 signed numbers.
            Vector128<sbyte> shifted = (bytes + Vector128.Create((byte)(0x80 - '!'))).AsSByte();
            Vector128<sbyte> printables =
                Vector128.LessThan(shifted, Vector128.Create((sbyte)('~' + 1 - '!' - 0x80)));

            Vector128<byte> newlines = Vector128.Equals(bytes, Vector128.Create((byte)'\n'));
            newline |= (ulong)newlines.ExtractMostSignificantBits() << i;
            space |= (ulong)spaces.ExtractMostSignificantBits() << i;
            printable |= (ulong)printables.ExtractMostSignificantBits() << i;
        }
    }
}
