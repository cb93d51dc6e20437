// The interrupted code's registers, as the Linux kernel leaves them on the signal stack (x86-64
// ucontext_t): general registers, and the vector state by way of a pointer.
//
//   +40 r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip ...   +224 pointer to vector state
//   vector state: 512 bytes FXSAVE (xmm at 160), 64 bytes header, then AVX and AVX-512 in standard form

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Explicit)]
internal unsafe struct SignalContext
{
    /// <summary>Bytes below sp that the ABI lets the interrupted code use.</summary>
    internal const nint RedZone = 128;

    private const int RegisterCount = 16; // r8 to rsp.

    // Where the registers are among those, by the processor's number: a hexadecimal digit each, rax last.
    private const ulong Places = 0x76543210_89afbced;
    private const int XmmStart = 160;
    private const int XmmEnd = 416;
    private const int ExtendedMagicOffset = 464;
    private const int ExtendedSizeOffset = 480; // sw_reserved.xstate_size
    private const int ExtendedStart = 576;
    private const uint ExtendedMagic = 0x46505853;

    [FieldOffset(40)]
    private fixed long _registers[RegisterCount];

    [FieldOffset(120)]
    internal nint FramePointer;

    [FieldOffset(160)]
    internal nint Sp;

    [FieldOffset(168)]
    internal nint Ip;

    /// <summary>The number of the last fault that the processor reported on this thread.</summary>
    [FieldOffset(200)]
    internal nint Trap;

    [FieldOffset(224)]
    internal byte* VectorState;

    /// <summary>Where the register of that number is, as instructions count them: 0 is rax, 11 is r11.
    /// </summary>
    internal static nint* Register(SignalContext* context, int number) =>
        (nint*)context->_registers + (int)((Places >> (4 * number)) & 15);

    /// <summary>Moves every register, vector registers included, that points into [low, high).</summary>
    internal void Relocate(nint low, nint high, nint distance)
    {
        fixed (long* registers = _registers)
        {
            Relocate((nint*)registers, (nint*)(registers + RegisterCount), low, high, distance);
        }
        byte* vector = VectorState;
        if (vector == null)
        {
            return;
        }
        Relocate((nint*)(vector + XmmStart), (nint*)(vector + XmmEnd), low, high, distance);
        if (*(uint*)(vector + ExtendedMagicOffset) == ExtendedMagic)
        {
            uint size = *(uint*)(vector + ExtendedSizeOffset);
            Relocate((nint*)(vector + ExtendedStart), (nint*)(vector + size), low, high, distance);
        }
    }

    private static void Relocate(nint* word, nint* end, nint low, nint high, nint distance)
    {
        for (; word < end; word++)
        {
            if (*word >= low && *word < high)
            {
                *word += distance;
            }
        }
    }
}
