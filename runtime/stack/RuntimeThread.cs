// NativeAOT's Thread: what Weft reads and writes there, and the check at start that the runtime in this
// program still is what the table of its version describes.
//
//   field                        at a switch
//   state flags                  one bit keeps the collector from stopping the thread
//   transition frame             0 while managed code runs
//   deferred transition frame    moved with the stack
//   cached transition frame      moved with the stack
//   hijacked return: location    put back, cleared
//   hijacked return: value       put back, cleared
//   exceptions in flight         saved, loaded
//   thread statics, dynamic      saved, loaded
//   thread statics, inlined      the cell's base is saved, loaded
//   registered GC frames         saved, loaded
//   stack bounds low, high       set so that a goroutine always has enough stack
//   interrupted context          of a thread that a signal stopped for a collection; only read
//
// The numbers belong to one major version of .NET and stand in asm/runtime_*.h; C# copies them at start.
// The check compares each with a fact found independently: the machine code of a runtime function that uses
// it. A patch of .NET that changed one is refused, and one that changed none runs.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>The offsets in a Thread, and bits in its words, in the order of the assembly's table.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ThreadTable
{
    internal nint Flags;
    internal nint TransitionFrame;
    internal nint DeferredFrame;
    internal nint CachedFrame;
    internal nint HijackSlot;
    internal nint HijackValue;
    internal nint ExInfo;
    internal nint Statics;
    internal nint InlinedList;
    internal nint GcFrames;
    internal nint BoundsLow;
    internal nint BoundsHigh;
    internal nint Interrupted;

    /// <summary>Bit of the flags: the runtime must not stop this thread for a collection.</summary>
    internal nint NoCollection;

    /// <summary>Bit of the flags: the runtime knows this thread.</summary>
    internal nint Attached;

    /// <summary>Bit of the word that tells all threads to stop.</summary>
    internal nint TrapThreads;

    /// <summary>The major version of .NET that these belong to.</summary>
    internal nint Version;
}

internal static unsafe class RuntimeThread
{
    /// <summary>The transition frame of a thread whose registers are in Interrupted.</summary>
    internal const nint InterruptedFrame = -2;

    /// <summary>At least.</summary>
    internal const int Size = 0x100;

    private const int OwnOffsetCount = 28;
    private const int CodeSearched = 256;
    private const int ShortCode = 16;

    /// <summary>The index in the assembly's table where the addresses start.</summary>
    internal static int FirstAddress =>
        OwnOffsetCount + ((sizeof(ThreadTable) + sizeof(IteratorTable)) / sizeof(nint));

    /// <summary>The index where the table of stack/FrameWalk.cs starts.</summary>
    internal static int FirstOfIterator => OwnOffsetCount + (sizeof(ThreadTable) / sizeof(nint));

    /// <summary>Which of the addresses is which.</summary>
    private const int ReversePInvoke = 0;
    private const int EnablePreemptive = 1;
    private const int ResetCachedFrame = 2;
    private const int GetExInfo = 3;
    private const int Construct = 4;
    private const int RegisterGcFrame = 5;
    private const int GetStatics = 6;
    private const int RegisterInlined = 7;
    internal const int HeapLow = 8;
    internal const int HeapHigh = 9;
    internal const int StackProbe = 10;
    internal const int ManagedCodeStart = 11;
    internal const int ManagedCodeEnd = 12;
    internal const int PreemptCode = 13;
    internal const int VectorSize = 14;
    private const int InlineSuspend = 15;
    internal const int HostUrgentAction = 16;
    internal const int DebuggerTable = 17;
    internal const int TrapThreads = 18;
    internal const int PreemptNativeCode = 19;

    /// <summary>The first of those that stack/Collector.cs uses.</summary>
    internal const int CollectorCode = 20;

    /// <summary>The first of those that stack/FrameWalk.cs uses.</summary>
    internal const int IteratorCode = 30;

    /// <summary>The first of those that stack/Regions.cs uses.</summary>
    internal const int RegionWords = 37;

    private static ThreadTable s_table; // A plain static: raw code reads it.

    /// <summary>The table of the runtime that this program was linked with, from Load on.</summary>
    internal static ref readonly ThreadTable Table => ref s_table;

    /// <summary>Copies the table that the assembly was built with.</summary>
    internal static void Load() => s_table = *(ThreadTable*)(Switch.Layout() + OwnOffsetCount);

    internal static nint Field(nint thread, nint offset) => *(nint*)(thread + offset);

    internal static void SetField(nint thread, nint offset, nint value) =>
        *(nint*)(thread + offset) = value;

    /// <summary>Whether the runtime may stop the calling thread for a collection.</summary>
    internal static bool MayBeStopped => (Field(Current.Thread(), s_table.Flags) & s_table.NoCollection) == 0;

    /// <summary>How many exceptions are in flight in the calling goroutine or thread. In a finally block that
    /// one of them runs, and in a catch block, it is one more than where the try block began. Each is a
    /// record on the stack whose first word is the next one's address.</summary>
    internal static int ExceptionsInFlight()
    {
        Switch.EnterCritical(); // The thread stays the same one.
        int count = 0;
        for (nint info = Field(Current.Thread(), s_table.ExInfo); info != 0; info = *(nint*)info)
        {
            count++;
        }
        Switch.LeaveCritical();
        return count;
    }

    /// <summary>Whether what runs on this thread, the caller's, is making its thread statics: the thread's
    /// cell is in the list of roots, and has no base yet. A switch tells by the base whether there is a list:
    /// it would forget the cell. Raw code.</summary>
    internal static bool IsMakingStatics(nint thread) =>
        Field(thread, s_table.InlinedList) != 0 && *Current.StaticsCell() == 0;

    /// <summary>Moves the fields that point into [low, high) by <paramref name="distance"/>.</summary>
    internal static void Relocate(nint thread, nint low, nint high, nint distance)
    {
        RelocateField(thread, s_table.DeferredFrame, low, high, distance);
        RelocateField(thread, s_table.CachedFrame, low, high, distance);
        RelocateField(thread, s_table.HijackSlot, low, high, distance);
        RelocateField(thread, s_table.ExInfo, low, high, distance);
        RelocateField(thread, s_table.GcFrames, low, high, distance);
    }

    private static void RelocateField(nint thread, nint offset, nint low, nint high, nint distance)
    {
        nint value = Field(thread, offset);
        if (value >= low && value < high)
        {
            SetField(thread, offset, value + distance);
        }
    }

    /// <summary>What does not fit, or null when the runtime is one that the table describes. Called on an
    /// ordinary thread in managed code.</summary>
    internal static string? FindMismatch(in ThreadTable t)
    {
        nint* table = Switch.Layout();
        Machine m;
        Waiter w;
        ReadOnlySpan<int> own =
        [
            0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30,
            (int)((nint)(&m.BoundsLow) - (nint)(&m)), (int)((nint)(&m.BoundsHigh) - (nint)(&m)),
            0x48, 0x4c, 0x4d, (int)((nint)(&m.CxxWords) - (nint)(&m)),
            (int)((nint)(&m.Allocates) - (nint)(&m)),
            (int)((nint)(&m.ShortCount) - (nint)(&m)), 0x43, 0x42, 0xb0, 0xb8, 0x70, 0x34,
            (int)ParkReason.NativeReturn, (int)ParkReason.Preempted,
            (int)((nint)(&m.Locked) - (nint)(&m)), 0x44, 0xc0, 0xb7,
            0xc0 + (int)((nint)(&w.IsQueued) - (nint)(&w)),
        ];
        for (int i = 0; i < OwnOffsetCount; i++)
        {
            if (table[i] != own[i])
            {
                return "the assembly was built for another Context";
            }
        }
        if (t.Version != Environment.Version.Major)
        {
            return $"the assembly was built for .NET {t.Version}";
        }
        nint* code = table + FirstAddress;
        string? wrong = Arch.IsX64 ? WrongField(code, t) : WrongFieldOfArm64(code, t);
        return wrong is string field ? $"the runtime's code does not use {field}" : null;
    }

    /// <summary>The first entry of the table that the machine code which uses it disproves.</summary>
    private static string? WrongField(nint* code, in ThreadTable t)
    {
        ReadOnlySpan<byte> toRax = [0x48, 0x05]; // add rax, imm32
        ReadOnlySpan<byte> rcxFromRax = [0x48, 0x8b, 0x88]; // mov rcx, [rax+disp32]
        ReadOnlySpan<byte> lowBound = [0x48, 0x8d, 0xbb]; // lea rdi, [rbx+disp32]
        ReadOnlySpan<byte> highBound = [0x48, 0x8d, 0xb3]; // lea rsi, [rbx+disp32]
        ReadOnlySpan<byte> rsiToRbx = [0x48, 0x89, 0xb3]; // mov [rbx+disp32], rsi
        ReadOnlySpan<byte> trap = [0xf7, 0x01]; // test dword [rcx], imm32
        byte flags = (byte)t.Flags;
        byte frame = (byte)t.TransitionFrame;
        // test dword [rax+flags], imm32: first the one, then the other
        int noCollection = Find(code[ReversePInvoke], [0xf7, 0x40, flags], t.NoCollection);
        int attached = Find(code[ReversePInvoke], [0xf7, 0x40, flags], t.Attached);
        return noCollection < 0 ? $"flags at 0x{t.Flags:x} with 0x{t.NoCollection:x} against collections"
            : attached <= noCollection ? $"0x{t.Attached:x} for attached threads"
            // mov qword [rax+frame], 0
            : !CodeHas(code[ReversePInvoke], [0x48, 0xc7, 0x40, frame, 0, 0, 0, 0])
                ? $"a transition frame at 0x{t.TransitionFrame:x}"
            : Find(code[ReversePInvoke], trap, t.TrapThreads) < 0
                ? $"0x{t.TrapThreads:x} as the request to stop"
            // mov rax, [rdi+deferred]; mov [rdi+frame], rax
            : !CodeHas(
                code[EnablePreemptive], [0x48, 0x8b, 0x47, (byte)t.DeferredFrame, 0x48, 0x89, 0x47, frame])
                ? $"a deferred frame at 0x{t.DeferredFrame:x}"
            // mov qword [rdi+cached], 0
            : !CodeHas(
                code[ResetCachedFrame], [0x48, 0xc7, 0x47, (byte)t.CachedFrame, 0, 0, 0, 0], ShortCode)
                ? $"a cached frame at 0x{t.CachedFrame:x}"
            // mov rax, [rdi+value]; test; je; mov rcx, [rbx+slot]
            : !CodeHas(code[InlineSuspend], [0x48, 0x8b, 0x47, (byte)t.HijackValue])
                ? $"a hijacked return address at 0x{t.HijackValue:x}"
            : !CodeHas(code[InlineSuspend], [0x48, 0x8b, 0x4b, (byte)t.HijackSlot])
                ? $"a hijacked return's place at 0x{t.HijackSlot:x}"
            // mov rax, [rdi+info]
            : !CodeHas(code[GetExInfo], [0x48, 0x8b, 0x47, (byte)t.ExInfo], ShortCode)
                ? $"exceptions in flight at 0x{t.ExInfo:x}"
            : Find(code[GetStatics], toRax, t.Statics) < 0
                ? $"thread statics at 0x{t.Statics:x}"
            : Find(code[RegisterInlined], rcxFromRax, t.InlinedList) < 0
                ? $"inlined thread statics at 0x{t.InlinedList:x}"
            : Find(code[RegisterGcFrame], rcxFromRax, t.GcFrames) < 0
                ? $"registered frames at 0x{t.GcFrames:x}"
            : Find(code[Construct], lowBound, t.BoundsLow) < 0
                ? $"a stack's low bound at 0x{t.BoundsLow:x}"
            : Find(code[Construct], highBound, t.BoundsHigh) < 0
                ? $"a stack's high bound at 0x{t.BoundsHigh:x}"
            : Find(code[InlineSuspend], rsiToRbx, t.Interrupted) < 0
                ? $"an interrupted context at 0x{t.Interrupted:x}"
            : null;
    }

    private static string? WrongFieldOfArm64(nint* code, in ThreadTable t)
    {
        const int zero = 31;
        const int shortCode = 4; // Instructions.
        const int start = 8; // Of a function that does such a thing more than once.
        // ldr w10, [x8, flags]; tbnz or tbz w10: first the one, then the other
        int noCollection =
            Arm64Code.FindTest(code[ReversePInvoke], Arm64Code.LoadInt(10, 8, t.Flags), t.NoCollection);
        int attached =
            Arm64Code.FindTest(code[ReversePInvoke], Arm64Code.LoadInt(10, 8, t.Flags), t.Attached);
        return noCollection < 0 ? $"flags at 0x{t.Flags:x} with 0x{t.NoCollection:x} against collections"
            : attached <= noCollection ? $"0x{t.Attached:x} for attached threads"
            : !Arm64Code.Has(code[ReversePInvoke], Arm64Code.Store(zero, 8, t.TransitionFrame))
                ? $"a transition frame at 0x{t.TransitionFrame:x}"
            : Arm64Code.FindTest(code[ReversePInvoke], Arm64Code.LoadInt(9, 9, 0), t.TrapThreads) < 0
                ? $"0x{t.TrapThreads:x} as the request to stop"
            : !Arm64Code.Has(code[EnablePreemptive], Arm64Code.Load(8, 0, t.DeferredFrame), shortCode)
                ? $"a deferred frame at 0x{t.DeferredFrame:x}"
            : !Arm64Code.Has(code[ResetCachedFrame], Arm64Code.Store(zero, 0, t.CachedFrame), shortCode)
                ? $"a cached frame at 0x{t.CachedFrame:x}"
            : !Arm64Code.Has(code[InlineSuspend], Arm64Code.Load(8, 0, t.HijackValue), start)
                ? $"a hijacked return address at 0x{t.HijackValue:x}"
            : !Arm64Code.Has(code[InlineSuspend], Arm64Code.Load(9, 19, t.HijackSlot))
                ? $"a hijacked return's place at 0x{t.HijackSlot:x}"
            : !Arm64Code.Has(code[GetExInfo], Arm64Code.Load(0, 0, t.ExInfo), shortCode)
                ? $"exceptions in flight at 0x{t.ExInfo:x}"
            : !Arm64Code.Has(code[GetStatics], Arm64Code.Add(0, 8, t.Statics))
                ? $"thread statics at 0x{t.Statics:x}"
            : !Arm64Code.Has(code[RegisterInlined], Arm64Code.Load(11, 10, t.InlinedList))
                ? $"inlined thread statics at 0x{t.InlinedList:x}"
            : !Arm64Code.Has(code[RegisterGcFrame], Arm64Code.Load(10, 9, t.GcFrames))
                ? $"registered frames at 0x{t.GcFrames:x}"
            : !Arm64Code.Has(code[Construct], Arm64Code.Add(0, 19, t.BoundsLow))
                ? $"a stack's low bound at 0x{t.BoundsLow:x}"
            : !Arm64Code.Has(code[Construct], Arm64Code.Add(1, 19, t.BoundsHigh))
                ? $"a stack's high bound at 0x{t.BoundsHigh:x}"
            : !Arm64Code.Has(code[InlineSuspend], Arm64Code.Store(1, 19, t.Interrupted))
                ? $"an interrupted context at 0x{t.Interrupted:x}"
            : null;
    }

    /// <summary>Where the function has these bytes, followed by a number of 32 bits; or -1.</summary>
    private static int Find(nint function, ReadOnlySpan<byte> pattern, nint number)
    {
        Span<byte> whole = stackalloc byte[pattern.Length + sizeof(int)];
        pattern.CopyTo(whole);
        MemoryMarshal.Write(whole[pattern.Length..], (int)number);
        return new ReadOnlySpan<byte>((void*)function, CodeSearched).IndexOf(whole);
    }

    /// <summary>Whether the function has these bytes among its first; ShortCode where it is so short that the
    /// next one's code must not count.</summary>
    internal static bool CodeHas(nint function, ReadOnlySpan<byte> pattern, int searched = CodeSearched) =>
        new ReadOnlySpan<byte>((void*)function, searched).IndexOf(pattern) >= 0;
}
