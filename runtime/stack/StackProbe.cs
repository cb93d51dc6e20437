// A probe walks sp down to a target, page by page, so that the guard is met wherever the target lies. Code
// that is in the middle of one holds the target in a register: an address of this stack, although it may lie
// far below the guard, where growth takes no register for one. Here is how the code is told, by its
// instructions.
//
//   a frame of more than a page            an alloca, or a stackalloc, of more than a page or of any size
//
//       lea  target, [rsp - size]                 add  target, rsp        target was -size
//   a   call RhpStackProbe                    a   jc   touch
//       mov  rsp, target                      a   xor  target, target
//   RhpStackProbe, target is r11:             b   touch [rsp]
//       push rbp; mov rbp, rsp                c   sub  rsp, 4096
//       and  rsp, -4096                       d   cmp  rsp, target
//   b   sub, touch, cmp, jg                   e   jae  touch
//                                                 mov  rsp, target
//
// The right one is the .NET compiler's, with any register; those of gcc and clang (-fstack-clash-protection,
// in C code on a movable stack) touch in other ways, after sub or before it, and some compare at the top,
// behind a jmp. A fault in the guard comes at b. A goroutine that is to be preempted may stand at any of a to
// e, and its stack may grow for that.
//
// After the last step the target is less than a page below what was touched: at most in the guard, which
// growth counts as part of the stack.
//
// Rejected: moving all registers that point below the guard (the control blocks and stacks of other
// goroutines are there); a stack that is fixed while a method with such a loop runs (nobody knows which those
// are). Raw code. It reads instructions only where there are some: in managed code, and in C code that has
// just met the guard.

namespace Weft.Runtime;

internal static unsafe class StackProbe
{
    private const int RuntimeProbeSize = 31;
    private const int R11 = 11;
    private const int Rsp = 4;
    private const int TooMany = 6; // Of instructions, from any one of the loop to its cmp.

    private static nint s_runtimeProbe;
    private static nint s_managedStart;
    private static nint s_managedEnd;

    internal static void Initialize()
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        s_runtimeProbe = addresses[RuntimeThread.StackProbe];
        s_managedStart = addresses[RuntimeThread.ManagedCodeStart];
        s_managedEnd = addresses[RuntimeThread.ManagedCodeEnd];
    }

    /// <summary>The register with the target of the probe that the code, on g's stack, is in the middle of;
    /// or null. The address is that of the fault, if there is one.</summary>
    internal static nint* FindTarget(Goroutine* g, SignalContext* context, nint address)
    {
        nint ip = context->Ip;
        bool isManaged = ip >= s_managedStart && ip < s_managedEnd;
        int register = ip >= s_runtimeProbe && ip < s_runtimeProbe + RuntimeProbeSize ? R11
            : isManaged || (g->Kind == GoroutineKind.NativeMovable && ip != address) ? TargetRegister(ip)
            : -1;
        return register < 0 ? null : SignalContext.Register(context, register);
    }

    /// <summary>The number of that register, for code at ip; -1: no probe.</summary>
    internal static int TargetRegister(nint ip)
    {
        if (!Arch.IsX64)
        {
            return StackProbeArm64.TargetRegister(ip);
        }
        byte* code = (byte*)ip;
        if (code[0] == 0xe8) // call, with the distance from behind it
        {
            return ip + 5 + *(int*)(code + 1) == s_runtimeProbe ? R11 : -1;
        }
        if (code[0] is 0x73 or 0x77 or 0x75) // jae, ja or jne, right behind the cmp
        {
            return (sbyte)code[1] < 0 && IsLoop(code + 2 + (sbyte)code[1]) ? Compared(code - 3) : -1;
        }
        return FollowToCompare(code, touches: false);
    }

    /// <summary>Goes through the instructions that such loops have, to the cmp. Any other: no
    /// probe.</summary>
    private static int FollowToCompare(byte* code, bool touches)
    {
        for (int i = 0; i < TooMany; i++)
        {
            int register = Compared(code);
            if (register >= 0)
            {
                // In front of a loop's body, or behind it.
                return touches || IsLoop(code + 5) || IsLoop(code + 5 + (sbyte)code[4]) ? register : -1;
            }
            int length = LengthOfTouch(code);
            if (length == 0 && IsStep(code))
            {
                length = 7;
            }
            touches |= length != 0;
            if (length == 0 && code[0] == 0x72 && code[1] is 2 or 3) // jc over the xor
            {
                length = 2 + code[1];
            }
            if (length == 0 && IsZeroing(code))
            {
                length = code[0] is 0x31 or 0x33 ? 2 : 3;
            }
            if (length == 0 && code[0] == 0xeb && touches) // jmp to the top
            {
                length = 2 + (sbyte)code[1];
            }
            if (length == 0)
            {
                return -1;
            }
            code += length;
        }
        return -1;
    }

    /// <summary>Whether a touch and a step follow, in any order.</summary>
    private static bool IsLoop(byte* code)
    {
        int touch = LengthOfTouch(code);
        return touch != 0 ? IsStep(code + touch) : IsStep(code) && LengthOfTouch(code + 7) != 0;
    }

    /// <summary>cmp rsp, register, or the other way round: the register.</summary>
    private static int Compared(byte* code)
    {
        if ((code[0] & 0xfa) != 0x48 || (code[1] is not 0x39 and not 0x3b) || code[2] < 0xc0)
        {
            return -1;
        }
        int first = ((code[0] & 4) << 1) | ((code[2] >> 3) & 7);
        int second = ((code[0] & 1) << 3) | (code[2] & 7);
        return first == Rsp ? second : second == Rsp ? first : -1;
    }

    /// <summary>sub rsp, 4096.</summary>
    private static bool IsStep(byte* code) =>
        code[0] == 0x48 && code[1] == 0x81 && code[2] == 0xec && *(int*)(code + 3) == Os.PageSize;

    /// <summary>xor register, register.</summary>
    private static bool IsZeroing(byte* code)
    {
        byte* at = code[0] is 0x45 or 0x48 or 0x4d ? code + 1 : code;
        return at[0] is 0x31 or 0x33 && at[1] >= 0xc0 && ((at[1] >> 3) & 7) == (at[1] & 7);
    }

    /// <summary>Bytes of an instruction that reads or writes what lies at rsp, or near it; 0 if it is none of
    /// those that probes have.</summary>
    private static int LengthOfTouch(byte* code)
    {
        if (code[0] is 0x84 or 0x85) // test [rsp], register
        {
            return code[1] is 0x24 or 0x04 && code[2] == 0x24 ? 3 : 0;
        }
        if (code[0] != 0x48 || code[1] is not (0x83 or 0xc7 or 0x85))
        {
            return 0;
        }
        int immediate = code[1] switch { 0x83 => 1, 0xc7 => 4, _ => 0 };
        bool atRsp = (code[2] & 7) == Rsp && code[3] == 0x24;
        return !atRsp ? 0 : (code[2] >> 6) switch
        {
            0 => 4 + immediate, // or [rsp], 0; mov qword [rsp], 0; test [rsp], register
            1 => 5 + immediate,
            2 => 8 + immediate, // or [rsp + 4088], 0
            _ => 0,
        };
    }
}
