// The processors that Weft runs on, x64 and arm64, and what of theirs more than one file needs. The library
// is one and the same for both. Which one it is the native compiler knows: the questions below become
// constants, and what is the other's is left out of the program. So there are no #if, and no properties to
// set.
//
// A parked stack, from the saved sp up (asm/switch_*.S):
//
//   x64      +0 r15 r14 r13 r12 rbx  +40 rbp  +48 return address
//   arm64    +0 x19 ... x28          +80 x29  +88 x30, the return address  +96 d8 ... d15

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static unsafe class Arch
{
    /// <summary>Where it is not, it is arm64.</summary>
    internal static bool IsX64 => X86Base.IsSupported;

    /// <summary>In a parked stack, from the saved sp up.</summary>
    internal static int SavedFramePointer => IsX64 ? 40 : 80;

    /// <summary>The same of the address where it goes on.</summary>
    internal static int SavedReturn => IsX64 ? 48 : 88;

    /// <summary>The same of where the caller's frame starts.</summary>
    internal static int SavedEnd => IsX64 ? 56 : 160;

    /// <summary>One step of a spin loop.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Pause()
    {
        if (X86Base.IsSupported)
        {
            X86Base.Pause();
        }
        else
        {
            ArmBase.Yield();
        }
    }
}
