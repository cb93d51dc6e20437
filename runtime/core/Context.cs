// What every stack that can be switched to has at its head: Goroutine and Machine both start with it.
// asm/context.h declares the same offsets; the start-up check compares the two.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Explicit, Size = 0x38)]
internal struct Context
{
    /// <summary>Non-zero exactly while the stack is not being run. Written only by the assembly: the
    /// collector never stops a thread there, so this word and the stack never disagree.</summary>
    [FieldOffset(0x00)]
    internal nint SavedSp;

    /// <summary>The lowest address that a check for free stack may reach; 0 where no stack will be
    /// moved, so that the check always passes.</summary>
    [FieldOffset(0x08)]
    internal nint ReserveLow;

    /// <summary>NativeAOT's list of exceptions in flight.</summary>
    [FieldOffset(0x10)]
    internal nint ExInfo;

    /// <summary>Thread statics, dynamic storage. An object reference: a root while parked.</summary>
    [FieldOffset(0x18)]
    internal nint Statics;

    /// <summary>Thread statics, inlined storage. An object reference: a root while parked.</summary>
    [FieldOffset(0x20)]
    internal nint InlinedStatics;

    [FieldOffset(0x28)]
    internal nint GcFrames;

    /// <summary>How often native code on this stack has called managed code and waits for it. While not
    /// zero the stack may not move. The entry frame itself does not count.</summary>
    [FieldOffset(0x30)]
    internal int NativeDepth;

    /// <summary>Whether all frames of the parked stack are managed code's, none of which is in the middle of
    /// an exception or registered with the collector. A stack that has not been run has none.</summary>
    internal readonly bool HasPlainFrames => NativeDepth == 0 && ExInfo == 0 && GcFrames == 0;
}
