// The same as StackProbe.cs, of arm64. What the .NET compiler makes of a stackalloc of more than a page or of
// any size:
//
//       subs  target, sp, size       in xT; the size in a register, or in two steps
//       b.vc  touch                  (only where it may be less than nothing)
//       mov   target, 0
//   a   ldr   wzr, [sp]              touch
//   b   sub   next, sp, 4096
//   c   cmp   next, target
//   d   b.lo  done
//   e   mov   sp, next
//   f   b     a
//   g   mov   sp, target             done
//
// A fault in the guard comes at a; a goroutine that is to be preempted may stand anywhere. Where it stands
// before a or behind f the target is known as well. A method with a large frame touches at distances from sp,
// which it keeps in registers, and moves sp at the end: it has no target.
//
// C code on a movable stack (-fstack-clash-protection, with a guard of 4096 bytes): "step" is
// sub sp, sp, 4096, "touch" str xzr, [sp, anything], "compare" cmp sp, target.
//
//   a large frame: step, touch, compare, b.ne back         (gcc, clang)
//   an alloca:     compare, b.eq out, step, touch, b back  (gcc)
//                  step, compare, b.le out, touch, b back  (clang)
//
// Rejected: as there. Raw code.

namespace Weft.Runtime;

internal static unsafe class StackProbeArm64
{
    private const int LoopSize = 6; // a to f
    private const int Before = 3; // Instructions that may stand between the target and a.
    private const int LongestInC = 5;
    private const uint StepInC = 0xd14007ff; // sub sp, sp, 4096
    private const uint BackFourInC = 0x17fffffc; // b, four instructions back

    /// <summary>The number of that register, for code at ip; -1: no probe.</summary>
    internal static int TargetRegister(nint ip)
    {
        for (int at = -LoopSize; at <= Before; at++)
        {
            uint* loop = (uint*)ip + at;
            int target = TargetOf(loop);
            if (target >= 0)
            {
                return target;
            }
        }
        for (int at = 1 - LongestInC; at <= 0; at++)
        {
            int target = TargetInC((uint*)ip + at, -at);
            if (target >= 0)
            {
                return target;
            }
        }
        return -1;
    }

    /// <summary>The same, if a loop of C code begins here and has more instructions than that.</summary>
    private static int TargetInC(uint* loop, int more)
    {
        if (IsStep(loop[0]) && IsTouch(loop[1]) && IsBranch(loop[3], -3) && more < LongestInC - 1)
        {
            return Compared(loop[2]);
        }
        if (loop[4] != BackFourInC || !IsBranch(loop[IsStep(loop[0]) ? 2 : 1]))
        {
            return -1;
        }
        return IsStep(loop[0]) && IsTouch(loop[3]) ? Compared(loop[1])
            : IsStep(loop[2]) && IsTouch(loop[3]) ? Compared(loop[0])
            : -1;
    }

    private static bool IsStep(uint code) => code == StepInC;

    /// <summary>str xzr, [sp, anything].</summary>
    private static bool IsTouch(uint code) => (code & 0xffc003ff) == 0xf90003ff;

    /// <summary>b.condition, anywhere or by so many instructions.</summary>
    private static bool IsBranch(uint code) => (code & 0xff000010) == 0x54000000;

    private static bool IsBranch(uint code, int by) => IsBranch(code) && (int)(code << 8) >> 13 == by;

    /// <summary>cmp sp, register: its number.</summary>
    private static int Compared(uint code) =>
        (code & 0xffe0ffff) == 0xeb2063ff ? (int)((code >> 16) & 0x1f) : -1;

    /// <summary>The same, if this is a.</summary>
    private static int TargetOf(uint* loop)
    {
        const uint touch = 0xb94003ff; // ldr wzr, [sp]
        const uint step = 0xd14007e0; // sub xN, sp, 4096
        const uint compare = 0xeb00001f; // cmp xN, xM
        const uint move = 0x9100001f; // mov sp, xN
        const uint back = 0x17fffffb; // b, five instructions back
        if (loop[0] != touch || (loop[1] & ~0x1fu) != step || loop[5] != back)
        {
            return -1;
        }
        uint next = loop[1] & 0x1f;
        int target = (int)((loop[2] >> 16) & 0x1f);
        return loop[2] == (compare | (next << 5) | ((uint)target << 16)) && loop[4] == (move | (next << 5))
            ? target : -1;
    }
}
