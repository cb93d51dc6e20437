// The interrupted code's registers, as the Linux kernel leaves them on the signal stack (ucontext_t).
//
//   x64      +40 r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip ...
//            +224 pointer to the vector state: 512 bytes FXSAVE (xmm at 160), 64 bytes header, then AVX and
//            AVX-512 in standard form
//   arm64    +184 x0 ... x30  +432 sp  +440 pc  +464 records, to 4560, each with its kind and its size first:
//            the vector registers v0 to v31 at 16 of one, SVE's in another, and what newer processors have
//
// GoOnAt makes the code go on somewhere else, as if it had called there, all its registers its own. On x64
// the address where it was is pushed, and weft_preempt saves what there is. On arm64 no register may be lost
// to jump back with, and what there is to save depends on the processor: so a copy of what the kernel has
// saved is pushed, with which the kernel brings it back (asm/preempt_arm64_aapcs.S). Not where a part of that
// lies outside of the copy (SVE vectors of more than 100 bytes), or is bound to the thread (SME's matrix, a
// guarded control stack): such code is not interrupted.
//
// Raw code.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal unsafe struct SignalContext
{
    // x64
    private const int XmmStart = 160;
    private const int XmmEnd = 416;
    private const int ExtendedMagicOffset = 464;
    private const int ExtendedSizeOffset = 480; // sw_reserved.xstate_size
    private const int ExtendedStart = 576;
    private const uint ExtendedMagic = 0x46505853;

    // Where the registers are, by the processor's number: a hexadecimal digit each, rax last.
    private const ulong Places = 0x76543210_89afbced;

    // arm64
    private const int Records = 464;
    private const int End = 4560;
    private const int SignalInfo = 128; // Before the context, in what the kernel calls a frame.
    private const uint VectorRecord = 0x46508001;
    private const uint SveRecord = 0x53564501;
    private const uint ExtraRecord = 0x45585401;
    private const uint MatrixRecord = 0x54366345;
    private const uint TableRecord = 0x5a544e01;
    private const uint ControlStackRecord = 0x47435300;
    private const int EmptyRecord = 16; // Of those that say that there is nothing.

    /// <summary>Bytes below sp that the ABI lets the interrupted code use.</summary>
    internal static nint RedZone => Arch.IsX64 ? 128 : 0;

    /// <summary>What GoOnAt needs below that, at most.</summary>
    internal static nint GoOnRoom => Arch.IsX64 ? sizeof(nint) : SignalInfo + End;

    /// <summary>Where the interrupted address is, from the frame pointer that the code at weft_preempt
    /// has.</summary>
    internal static nint InterruptedAt => Arch.IsX64 ? 48 : 24;

    private static int FirstRegister => Arch.IsX64 ? 40 : 184;

    private static int RegisterCount => Arch.IsX64 ? 16 : 32; // r8 to rsp; x0 to sp

    [UnscopedRef]
    internal ref nint FramePointer => ref At(Arch.IsX64 ? 120 : 416);

    [UnscopedRef]
    internal ref nint Sp => ref At(Arch.IsX64 ? 160 : 432);

    [UnscopedRef]
    internal ref nint Ip => ref At(Arch.IsX64 ? 168 : 440);

    /// <summary>The number of the last fault that the processor reported on this thread; 0 on arm64, where it
    /// is not told by a number.</summary>
    internal nint Trap => Arch.IsX64 ? At(200) : 0;

    [UnscopedRef]
    private ref nint At(int offset) =>
        ref Unsafe.As<byte, nint>(ref Unsafe.Add(ref Unsafe.As<SignalContext, byte>(ref this), offset));

    /// <summary>Where the register of that number is, as instructions count them: 0 is rax, 11 is r11; x0,
    /// x11.</summary>
    internal static nint* Register(SignalContext* context, int number) =>
        (nint*)((byte*)context + FirstRegister)
            + (Arch.IsX64 ? (int)((Places >> (4 * number)) & 15) : number);

    /// <summary>Moves every register, vector registers included, that points into [low, high).</summary>
    internal static void Relocate(SignalContext* context, nint low, nint high, nint distance)
    {
        nint* registers = (nint*)((byte*)context + FirstRegister);
        Relocate(registers, registers + RegisterCount, low, high, distance);
        if (!Arch.IsX64)
        {
            RelocateRecords((byte*)context, low, high, distance);
            return;
        }
        byte* vector = (byte*)context->At(224);
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

    private static void RelocateRecords(byte* context, nint low, nint high, nint distance)
    {
        byte* end = context + End;
        for (byte* record = context + Records; IsRecord(record, end); record += SizeOf(record))
        {
            if (*(uint*)record is VectorRecord or SveRecord)
            {
                Relocate(
                    (nint*)(record + EmptyRecord), (nint*)(record + SizeOf(record)), low, high, distance);
            }
        }
    }

    private static bool IsRecord(byte* record, byte* end) =>
        record + EmptyRecord <= end && *(uint*)record != 0
            && SizeOf(record) >= 8 && record + SizeOf(record) <= end;

    private static int SizeOf(byte* record) => *(int*)(record + sizeof(int));

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

    /// <summary>The interrupted code goes on there. There is room for GoOnRoom. False where this cannot be
    /// done.</summary>
    internal static bool GoOnAt(SignalContext* context, nint code)
    {
        nint sp = context->Sp - RedZone - GoOnRoom;
        if (Arch.IsX64)
        {
            *(nint*)sp = context->Ip;
        }
        else if ((sp & 15) != 0 || !MayCopy((byte*)context))
        {
            return false;
        }
        else
        {
            StackGrowth.CopyWords((nint)context, sp + SignalInfo, End);
        }
        context->Sp = sp;
        context->Ip = code;
        return true;
    }

    private static bool MayCopy(byte* context)
    {
        byte* end = context + End;
        for (byte* record = context + Records; IsRecord(record, end); record += SizeOf(record))
        {
            if (*(uint*)record is ExtraRecord or ControlStackRecord
                || (*(uint*)record is MatrixRecord or TableRecord && SizeOf(record) > EmptyRecord))
            {
                return false;
            }
        }
        return true;
    }
}
