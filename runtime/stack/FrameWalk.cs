// A parked stack, walked by the runtime's own iterator: which words of it hold references, and no others. As
// the runtime walks the stack that a thread is on, but this one is on no thread, so it is made believe:
//
//   a Thread       zeros, but for the stack's bounds: byrefs into the stack itself are left out by them
//   a frame        what a thread leaves behind that went to native code: return address, frame pointer, sp
//   an iterator    made from that frame; then told that the callee-saved registers lie where the switch has
//                  pushed them: six, on arm64 twelve, the return address among them. So a reference in one
//                  of them is reported, and changed, where it is
//
// From there the runtime's GcScanRootsWorker goes from frame to frame, and ends at GoroutineMain, whose frame
// has the mark for the top of a stack. It calls back with each word that holds a reference; what is its own
// of the Thread is reported as well, and dropped here.
//
// Some stacks it cannot walk (CanWalk): those with native frames, with exceptions in flight, and those that
// stopped in assembly, as a new goroutine and one that was interrupted. These are read word by word.
//
// The functions are found by their names at the link; the offsets are in asm/runtime_*.h. At the start
// FindMismatch compares them with the runtime's code, and walks a stack whose references are known. If
// something does not fit, all stacks are read word by word, and nothing else changes.
//
// Rejected: to copy the registers into the frame, which has a place for each: the collector would change the
// copies. To decode the GC info here: a format that changes more often than these offsets.
//
// Raw code but for FindMismatch. Locks: none; what is used lies on the caller's stack.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

/// <summary>Where the iterator keeps what, in the order of the assembly's table.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct IteratorTable
{
    /// <summary>The return address into the frame; 0 behind the last one.</summary>
    internal nint Pc;

    /// <summary>The stack pointer behind that return address.</summary>
    internal nint Sp;

    /// <summary>In the RuntimeInstance, a byte: not 0 where the runtime itself reads stacks word by word.
    /// </summary>
    internal nint Conservative;

    /// <summary>How many of the following there are.</summary>
    internal nint RegisterCount;

    /// <summary>Addresses of the words that hold the registers that the switch pushes, in the order in which
    /// they lie on a parked stack.</summary>
    internal Registers Places;

    [InlineArray(FrameWalk.MostRegisters)]
    internal struct Registers
    {
        private nint _first;
    }
}

internal static unsafe class FrameWalk
{
    private const int ThreadSize = RuntimeThread.Size;
    private const int IteratorSize = 0x280; // At least; what lies behind is compared at the start.
    internal const int ScanSize = 0x80;
    internal const int MostRegisters = 12;
    private const long Guard = 0x5765_6674_2067_6f21;

    // Which of the registers of a parked stack is the frame pointer; the return address, which only arm64 has
    // among them.
    private static int FramePointer => Arch.SavedFramePointer / sizeof(nint);
    private static int Link => FramePointer + 1;
    private static int RegisterCount => Arch.IsX64 ? 6 : MostRegisters;

    // The frame's flags: which registers lie behind it, in this order: rbx, r12 to r15; x19 to x28.
    private static nint SavesAll => Arch.IsX64 ? 0xf1 : 0x3ff;
    private static nint SavesSp => Arch.IsX64 ? 0x8000 : 0x400;
    private static int MostSaved => Arch.IsX64 ? 5 : 10;

    // Of the addresses, from IteratorCode on.
    private const int Construct = 0;
    private const int ScanRoots = 1;
    private const int NextFrame = 2;
    private const int MethodState = 3;
    private const int IsValid = 4;
    private const int HasRange = 5;
    private const int Instance = 6;

    private static IteratorTable s_table; // Plain statics: raw code reads them.
    private static nint* s_code;
    private static nint s_codeStart;
    private static nint s_codeEnd;

    /// <summary>What one walk needs, on the stack of who walks. The stand-in for a Thread is its start: the
    /// callback finds it by the scan context.</summary>
    internal struct Walk
    {
        internal fixed byte Thread[ThreadSize];
        internal fixed byte Iterator[IteratorSize];
        internal long Guard;
        internal fixed long Frame[2]; // Return address, frame pointer; on arm64 the other way round.
        internal nint ThreadOfFrame;
        internal nint FlagsOfFrame;
        internal fixed long SavedByFrame[11]; // And sp.

        /// <summary>The stack.</summary>
        internal nint Sp;
        internal nint Top;

        /// <summary>Of who walks, for the callback.</summary>
        internal nint Function;
        internal void* Data;
        internal int Count;
        internal int Youngest;
        internal int Planned;
    }

    /// <summary>The table of the runtime that this program was linked with, from Load on.</summary>
    internal static ref readonly IteratorTable Table => ref s_table;

    /// <summary>Whether parked stacks are walked. Before that is known, and where something does not fit:
    /// false.</summary>
    internal static bool IsOn { get; set; }

    internal static void Load()
    {
        nint* layout = Switch.Layout();
        s_table = *(IteratorTable*)(layout + RuntimeThread.FirstOfIterator);
        nint* addresses = layout + RuntimeThread.FirstAddress;
        s_code = addresses + RuntimeThread.IteratorCode;
        s_codeStart = addresses[RuntimeThread.ManagedCodeStart];
        s_codeEnd = addresses[RuntimeThread.ManagedCodeEnd];
    }

    /// <summary>Whether the stack, which is parked, its words at frames, is one of managed frames only, that
    /// the iterator can start at. The same answer in all of a collection.</summary>
    internal static bool CanWalk(Context* context, nint frames)
    {
        if (!context->HasPlainFrames)
        {
            return false;
        }
        nint pc = *(nint*)(frames + Arch.SavedReturn);
        return pc >= s_codeStart && pc < s_codeEnd;
    }

    /// <summary>Before the first Start of a walk. Byrefs into [sp, top) are not reported; all are where
    /// isBounded is false, whatever they hold.</summary>
    internal static void Begin(Walk* walk, nint sp, nint top, bool isBounded)
    {
        for (int i = 0; i < ThreadSize / sizeof(nint); i++)
        {
            ((nint*)walk->Thread)[i] = 0;
        }
        if (isBounded)
        {
            RuntimeThread.SetField((nint)walk, RuntimeThread.Table.BoundsLow, sp);
            RuntimeThread.SetField((nint)walk, RuntimeThread.Table.BoundsHigh, top);
        }
        walk->Sp = sp;
        walk->Top = top;
        walk->Frame[Arch.IsX64 ? 0 : 1] = *(nint*)(sp + Arch.SavedReturn);
        walk->Frame[Arch.IsX64 ? 1 : 0] = *(nint*)(sp + Arch.SavedFramePointer);
        walk->ThreadOfFrame = (nint)walk;
        walk->FlagsOfFrame = SavesSp;
        walk->SavedByFrame[0] = sp + Arch.SavedEnd;
    }

    /// <summary>Puts the iterator at the first frame.</summary>
    internal static void Start(Walk* walk)
    {
        _ = Switch.Call(s_code[Construct], (nint)walk->Iterator, (nint)walk, (nint)walk->Frame);
        for (int i = 0; i < s_table.RegisterCount; i++)
        {
            *(nint*)(walk->Iterator + s_table.Places[i]) = walk->Sp + (i * sizeof(nint));
        }
    }

    /// <summary>The return address into the frame where the iterator is; 0 behind the last one.</summary>
    internal static nint Pc(Walk* walk) => *(nint*)(walk->Iterator + s_table.Pc);

    internal static nint Sp(Walk* walk) => *(nint*)(walk->Iterator + s_table.Sp);

    /// <summary>Where the frame's frame pointer lies: rbp, x29.</summary>
    internal static nint PlaceOfFramePointer(Walk* walk) =>
        *(nint*)(walk->Iterator + s_table.Places[FramePointer]);

    /// <summary>Where Pc lies: below the caller's frame, or where that register was saved.</summary>
    internal static nint PlaceOfPc(Walk* walk) =>
        Arch.IsX64 ? Sp(walk) - sizeof(nint) : *(nint*)(walk->Iterator + s_table.Places[Link]);

    /// <summary>Goes on to the caller's frame.</summary>
    internal static void Next(Walk* walk)
    {
        _ = Switch.Call(s_code[MethodState], (nint)walk->Iterator, 0, 0);
        _ = Switch.Call(s_code[NextFrame], (nint)walk->Iterator, 0, 0);
    }

    /// <summary>Whether a part of the stack below the frame would be reported word by word.</summary>
    internal static bool HasWordsBelow(Walk* walk) =>
        (byte)Switch.Call(s_code[HasRange], (nint)walk->Iterator, 0, 0) != 0;

    /// <summary>Calls back with each word of the stack that holds a reference, and the collector's flags for
    /// it. A callback finds its walk by Of. With all of these words, in either pass: while references are
    /// updated the runtime by itself leaves out what it reads word by word and, since .NET 11, all that is
    /// pinned. A callback does not report that then.</summary>
    internal static void Run(Walk* walk, delegate*<nint*, nint, uint, void> each, nint scan)
    {
        nint crawled = *(nint*)scan; // The first word of a scan context: whose stack is walked.
        byte* promotion = (byte*)scan + GcRoots.ScanPromotion;
        byte promotes = *promotion;
        *(nint*)scan = (nint)walk;
        *promotion = 1;
        Start(walk);
        _ = Switch.Call(s_code[ScanRoots], (nint)walk, (nint)each, scan, (nint)walk->Iterator);
        *promotion = promotes;
        *(nint*)scan = crawled;
    }

    internal static Walk* Of(nint scan) => *(Walk**)scan;

    /// <summary>Whether a word that was called back with is one of the stand-in's, not of the
    /// stack.</summary>
    internal static bool IsOwn(Walk* walk, nint* word) =>
        (nint)word >= (nint)walk && (nint)word < (nint)walk + sizeof(Walk);

    // -------------------------------------------------------------------------------------------------
    // The check at the start.

    /// <summary>What the check knows of a stack, and what the walk has found of it.</summary>
    internal struct Look
    {
        internal nint* Exposed;
        internal nint* Copy;
        internal int ExposedFound;
        internal int CopyFound;

        /// <summary>The object of Copy somewhere else: in a register, or where the compiler has put it.
        /// </summary>
        internal int InRegister;
        internal int Elsewhere;
        internal int Outside;
        internal int Wrong;
        internal IteratorTable Table;
    }

    /// <summary>What does not fit, or null when parked stacks can be walked. Called on an ordinary thread in
    /// managed code.</summary>
    internal static string? FindMismatch(in IteratorTable t)
    {
        Load();
        // cmp qword [rdi+pc], 0; ldr x8, [x0, pc]
        if (!(Arch.IsX64
            ? RuntimeThread.CodeHas(s_code[IsValid], [0x48, 0x83, 0x7f, (byte)t.Pc, 0])
            : Arm64Code.Has(s_code[IsValid], Arm64Code.Load(8, 0, t.Pc))))
        {
            return $"a frame's return address is not at 0x{t.Pc:x}";
        }
        // cmp byte [rax+conservative], 0; ldrb w23, [x0, conservative]
        if (!(Arch.IsX64
            ? RuntimeThread.CodeHas(s_code[ScanRoots], [0x80, 0x78, (byte)t.Conservative, 0])
            : Arm64Code.HasLoadByte(s_code[ScanRoots], 0, t.Conservative)))
        {
            return $"the mark for stacks read word by word is not at 0x{t.Conservative:x}";
        }
        if (*(byte*)(Switch.Call(s_code[Instance], 0, 0, 0) + t.Conservative) != 0)
        {
            return "the runtime reads all stacks word by word";
        }
        Look look = Try(t);
        return look.Wrong != 0 ? $"the iterator's field {look.Wrong} is another"
            : look.Outside != 0 ? "a reference was found outside of the stack"
            : look.ExposedFound != 1 || look.CopyFound != 1 ? "a reference in a local was not found once"
            : look.InRegister + look.Elsewhere == 0 ? "a reference in a register was not found"
            : null;
    }

    /// <summary>Walks the caller's own stack, as it would lie if the caller had parked. Two references are in
    /// locals whose addresses are known, the second one also in a register.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static Look Try(in IteratorTable t)
    {
        object exposed = new();
        object held = new();
        object copy = held;
        Look look = new()
        {
            Exposed = (nint*)Unsafe.AsPointer(ref exposed),
            Copy = (nint*)Unsafe.AsPointer(ref copy),
            Table = t,
        };
        Switch.AsParked((nint)(delegate*<nint, Look*, void>)&LookAround, &look);
        GC.KeepAlive(exposed);
        GC.KeepAlive(copy);
        GC.KeepAlive(held);
        return look;
    }

    [SkipLocalsInit]
    private static void LookAround(nint sp, Look* look)
    {
        Walk walk;
        nint top = RuntimeThread.Field(Current.Thread(), RuntimeThread.Table.BoundsHigh);
        Begin(&walk, sp, top, isBounded: true);
        walk.Guard = Guard;
        look->Wrong = WrongField(&walk, look->Table);
        if (look->Wrong != 0)
        {
            return; // The walk would write there.
        }
        nint* scan = stackalloc nint[ScanSize / sizeof(nint)];
        for (int i = 0; i < ScanSize / sizeof(nint); i++)
        {
            scan[i] = 0;
        }
        walk.Data = look;
        Begin(&walk, sp, top, isBounded: true);
        Run(&walk, &OnLook, (nint)scan);
        look->Wrong = walk.Guard != Guard ? sizeof(IteratorTable) / sizeof(nint) : 0;
    }

    /// <summary>Where a register of a parked stack lies among those behind a frame: rbx is the first there,
    /// here the last but one.</summary>
    private static int Order(int register) => Arch.IsX64 ? 4 - register : register;

    /// <summary>The number, from 1, of the first field of the table that is not what the iterator says of a
    /// frame that has all of these registers; or 0.</summary>
    private static int WrongField(Walk* walk, in IteratorTable t)
    {
        walk->FlagsOfFrame = SavesAll | SavesSp;
        long* saved = walk->SavedByFrame;
        saved[MostSaved] = saved[0];
        _ = Switch.Call(s_code[Construct], (nint)walk->Iterator, (nint)walk, (nint)walk->Frame);
        byte* iterator = walk->Iterator;
        int wrong = *(nint*)(iterator + t.Pc) != *(nint*)(walk->Sp + Arch.SavedReturn) ? 1
            : *(nint*)(iterator + t.Sp) != walk->Sp + Arch.SavedEnd ? 2
            : t.RegisterCount != RegisterCount ? 4
            : 0;
        for (int i = 0; i < MostRegisters && wrong == 0; i++)
        {
            if (i >= RegisterCount)
            {
                wrong = t.Places[i] != 0 ? 5 + i : 0; // Not used on this processor.
                continue;
            }
            nint place = i == FramePointer ? (nint)(walk->Frame + (Arch.IsX64 ? 1 : 0))
                : i == Link ? (nint)(walk->Frame + 1)
                : (nint)(saved + Order(i));
            wrong = *(nint*)(iterator + t.Places[i]) != place ? 5 + i : 0;
        }
        return wrong;
    }

    private static void OnLook(nint* word, nint scan, uint flags)
    {
        Walk* walk = Of(scan);
        Look* look = (Look*)walk->Data;
        if (IsOwn(walk, word))
        {
            return;
        }
        if ((nint)word < walk->Sp || (nint)word >= walk->Top)
        {
            look->Outside++;
        }
        else if (word == look->Exposed)
        {
            look->ExposedFound += flags == 0 ? 1 : 2;
        }
        else if (word == look->Copy)
        {
            look->CopyFound += flags == 0 ? 1 : 2;
        }
        else if (*word == *look->Copy)
        {
            look->InRegister += (nint)word < walk->Sp + Arch.SavedReturn ? 1 : 0;
            look->Elsewhere += (nint)word < walk->Sp + Arch.SavedReturn ? 0 : 1;
        }
    }
}
