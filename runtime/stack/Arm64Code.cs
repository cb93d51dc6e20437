// Instructions of arm64: how those look by which the runtime's code uses a field, and how they are found.
// Each is a word of 32 bits; distances are counted in units of what is read or written.

namespace Weft.Runtime;

internal static unsafe class Arm64Code
{
    private const int Searched = 64; // Instructions.
    private const uint NotTheTarget = ~0x1fu;
    private const uint NotTheDistance = 0xfff8001f;

    /// <summary>ldr xT, [xN, offset].</summary>
    internal static uint Load(int target, int from, nint offset) =>
        0xf9400000 | Scaled(offset, sizeof(long)) | Registers(target, from);

    /// <summary>str xT, [xN, offset]; 31 is zero.</summary>
    internal static uint Store(int source, int to, nint offset) =>
        0xf9000000 | Scaled(offset, sizeof(long)) | Registers(source, to);

    /// <summary>ldr wT, [xN, offset].</summary>
    internal static uint LoadInt(int target, int from, nint offset) =>
        0xb9400000 | Scaled(offset, sizeof(int)) | Registers(target, from);

    /// <summary>add xT, xN, value.</summary>
    internal static uint Add(int target, int from, nint value) =>
        0x91000000 | Scaled(value, 1) | Registers(target, from);

    private static uint Registers(int target, int from) => (uint)((from << 5) | target);

    /// <summary>Where it does not fit this is no instruction at all.</summary>
    private static uint Scaled(nint offset, int unit) =>
        offset % unit == 0 && (nuint)(offset / unit) < 4096 ? (uint)(offset / unit) << 10 : 0xffffffff;

    internal static bool Has(nint function, uint instruction, int searched = Searched) =>
        Find(function, instruction, 0, searched) >= 0;

    /// <summary>ldrb wT, [xN, offset], with any T.</summary>
    internal static bool HasLoadByte(nint function, int from, nint offset)
    {
        uint wanted = 0x39400000 | Scaled(offset, 1) | Registers(0, from);
        for (int i = 0; i < Searched; i++)
        {
            if ((((uint*)function)[i] & NotTheTarget) == wanted)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Where the function has that instruction, from one of its instructions on; or -1.</summary>
    private static int Find(nint function, uint instruction, int from, int searched)
    {
        int found = new ReadOnlySpan<uint>((uint*)function + from, searched - from).IndexOf(instruction);
        return found < 0 ? -1 : from + found;
    }

    /// <summary>Where the function has that instruction, a load of w register T, and tbz or tbnz of one of
    /// its bits right behind; or -1.</summary>
    internal static int FindTest(nint function, uint load, nint bit)
    {
        if (!System.Numerics.BitOperations.IsPow2(bit))
        {
            return -1;
        }
        uint test = 0x36000000 | ((uint)System.Numerics.BitOperations.Log2((nuint)bit) << 19) | (load & 0x1f);
        for (int at = Find(function, load, 0, Searched); at >= 0; at = Find(function, load, at + 1, Searched))
        {
            uint next = ((uint*)function)[at + 1] & ~0x01000000u; // tbnz is tbz with that bit.
            if ((next & NotTheDistance) == test)
            {
                return at;
            }
        }
        return -1;
    }
}
