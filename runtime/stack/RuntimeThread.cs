// NativeAOT's Thread: the one table of what Weft reads and writes there, and the check at start that the
// runtime in this program still is what the table describes.
//
//   offset  field                        at a switch
//   0x40    state flags                  bit 4 keeps the collector from stopping the thread
//   0x48    transition frame             0 while managed code runs
//   0x50    deferred transition frame    moved with the stack
//   0x58    cached transition frame      moved with the stack
//   0x68    hijacked return: location    put back, cleared
//   0x70    hijacked return: value       put back, cleared
//   0x78    exceptions in flight         saved, loaded
//   0x90    thread statics, dynamic      saved, loaded
//   0x98    thread statics, inlined      the cell's base is saved, loaded
//   0xa0    registered GC frames         saved, loaded
//   0xa8    stack bounds low, 0xb0 high  set so that a goroutine always has enough stack
//   0xc8    interrupted context          of a thread that a signal stopped for a collection; only read
//
// The offsets belong to one runtime version. The check compares them with facts found independently: the
// machine code of runtime functions that use the fields, and the thread's own stack bounds.

namespace Weft.Runtime;

internal static unsafe class RuntimeThread
{
    internal const int Flags = 0x40;
    internal const int TransitionFrame = 0x48;
    internal const int DeferredFrame = 0x50;
    internal const int CachedFrame = 0x58;
    internal const int HijackSlot = 0x68;
    internal const int HijackValue = 0x70;
    internal const int ExInfo = 0x78;
    internal const int Statics = 0x90;
    internal const int InlinedList = 0x98;
    internal const int GcFrames = 0xa0;
    internal const int BoundsLow = 0xa8;
    internal const int BoundsHigh = 0xb0;
    internal const int Interrupted = 0xc8;
    internal const int NoCollection = 0x10;
    private const int Attached = 0x01;

    /// <summary>Of the word that tells threads to stop.</summary>
    internal const int TrapThreadsBit = 2;

    /// <summary>The transition frame of a thread whose registers are in Interrupted.</summary>
    internal const nint InterruptedFrame = -2;

    /// <summary>At least.</summary>
    internal const int Size = 0x100;

    private const int OwnOffsetCount = 24;
    private const int OffsetCount = 35;
    private const int CodeSearched = 256;

    /// <summary>The index in the assembly's table where the addresses start.</summary>
    internal const int FirstAddress = OffsetCount;

    /// <summary>Which of the addresses is which.</summary>
    internal const int HeapLow = 5;
    internal const int HeapHigh = 6;
    internal const int StackProbe = 7;
    internal const int ManagedCodeStart = 8;
    internal const int ManagedCodeEnd = 9;
    internal const int PreemptCode = 10;
    internal const int VectorSize = 11;
    private const int InlineSuspend = 12;
    internal const int HostUrgentAction = 13;
    internal const int DebuggerTable = 14;
    internal const int TrapThreads = 15;
    internal const int PreemptNativeCode = 16;

    /// <summary>The first of those that stack/Collector.cs uses.</summary>
    internal const int CollectorCode = 17;

    internal static nint Field(nint thread, int offset) => *(nint*)(thread + offset);

    internal static void SetField(nint thread, int offset, nint value) =>
        *(nint*)(thread + offset) = value;

    /// <summary>How many exceptions are in flight in the calling goroutine or thread. In a finally block that
    /// one of them runs, and in a catch block, it is one more than where the try block began. Each is a
    /// record on the stack whose first word is the next one's address.</summary>
    internal static int ExceptionsInFlight()
    {
        Switch.EnterCritical(); // The thread stays the same one.
        int count = 0;
        for (nint info = Field(Current.Thread(), ExInfo); info != 0; info = *(nint*)info)
        {
            count++;
        }
        Switch.LeaveCritical();
        return count;
    }

    /// <summary>Moves the fields that point into [low, high) by <paramref name="distance"/>.</summary>
    internal static void Relocate(nint thread, nint low, nint high, nint distance)
    {
        RelocateField(thread, DeferredFrame, low, high, distance);
        RelocateField(thread, CachedFrame, low, high, distance);
        RelocateField(thread, HijackSlot, low, high, distance);
        RelocateField(thread, ExInfo, low, high, distance);
        RelocateField(thread, GcFrames, low, high, distance);
    }

    private static void RelocateField(nint thread, int offset, nint low, nint high, nint distance)
    {
        nint value = Field(thread, offset);
        if (value >= low && value < high)
        {
            SetField(thread, offset, value + distance);
        }
    }

    /// <summary>What does not fit, or null when the runtime is one that the table describes. Called on an
    /// ordinary thread in managed code.</summary>
    internal static string? FindMismatch()
    {
        nint* table = Switch.Layout();
        Machine m;
        ReadOnlySpan<int> own =
        [
            0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40,
            0x48, 0x4c, 0x4d, (int)((nint)(&m.CxxWords) - (nint)(&m)), 0x60, 0xb8, 0x718, 0x6d0, 0x738, 0x740,
            (int)ParkReason.NativeReturn, (int)ParkReason.Preempted,
            (int)((nint)(&m.Locked) - (nint)(&m)), 0x64, 0x300,
        ];
        ReadOnlySpan<int> theirs =
        [
            Flags, TransitionFrame, HijackSlot, HijackValue, ExInfo, Statics, InlinedList, GcFrames,
            BoundsLow, BoundsHigh, NoCollection,
        ];
        for (int i = 0; i < OwnOffsetCount; i++)
        {
            if (table[i] != own[i])
            {
                return "the assembly was built for another Context";
            }
        }
        for (int i = 0; i < theirs.Length; i++)
        {
            if (table[OwnOffsetCount + i] != theirs[i])
            {
                return "the assembly was built for another Thread";
            }
        }
        nint thread = Current.Thread();
        if (Field(thread, TransitionFrame) != 0)
        {
            return "no zero transition frame in managed code at 0x48";
        }
        nint local = 0;
        nint here = (nint)(&local);
        if (here < Field(thread, BoundsLow) || here >= Field(thread, BoundsHigh))
        {
            return "no stack bounds at 0xa8";
        }
        nint* code = table + FirstAddress;
        return CodeHas(code[0], [0x48, 0x89, 0x58, TransitionFrame]) // mov [rax+0x48], rbx
            && CodeHas(code[1], [0x48, 0x8b, 0x48, HijackValue]) // mov rcx, [rax+0x70]
            && CodeHas(code[1], [0x48, 0x8b, 0x70, HijackSlot]) // mov rsi, [rax+0x68]
            && CodeHas(code[1], [0x48, 0x8b, 0x50, ExInfo]) // mov rdx, [rax+0x78]
            && CodeHas(code[2], [0xf7, 0x40, Flags, NoCollection]) // test dword [rax+0x40], 0x10
            && CodeHas(code[2], [0xf7, 0x40, Flags, Attached]) // test dword [rax+0x40], 1
            && CodeHas(code[2], [0x48, 0xc7, 0x40, TransitionFrame, 0]) // mov qword [rax+0x48], 0
            && CodeHas(code[3], [0x48, 0x05, Statics, 0, 0, 0]) // add rax, 0x90
            && CodeHas(code[4], [0x48, 0x8b, 0x88, InlinedList, 0, 0, 0]) // mov rcx, [rax+0x98]
            && CodeHas(code[InlineSuspend], [0x48, 0x89, 0xb3, Interrupted, 0, 0, 0]) // mov [rbx+0xc8], rsi
            ? null
            : "the code of the runtime uses other offsets";
    }

    internal static bool CodeHas(nint function, ReadOnlySpan<byte> pattern) =>
        new ReadOnlySpan<byte>((void*)function, CodeSearched).IndexOf(pattern) >= 0;
}
