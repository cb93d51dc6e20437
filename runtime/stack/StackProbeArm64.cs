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
// which it keeps in registers, and moves sp at the end: it has no target. Rejected: as there. Raw code.

namespace Weft.Runtime;

internal static unsafe class StackProbeArm64
{
    private const int LoopSize = 6; // a to f
    private const int Before = 3; // Instructions that may stand between the target and a.

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
        return -1;
    }

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
