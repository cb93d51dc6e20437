// A goroutine: the upper half of a page whose lower half is its first stack.
//
//   low address                                                             high address
//   [ guard page, 4096 ][ first stack, 2048 ........ <- sp ][ Goroutine (this), 2048 ]
//
//   Dead --Spawn--> Runnable --Execute--> Running --Park--> Waiting --Ready--> Runnable
//                                            `--Exit--> Dead        `--Yield (from Running)
//
// Who owns the stack, and who may leave the state:
//   Dead      a free list. Spawn leaves it.
//   Runnable  the run queue that holds it; nobody runs on the stack. Execute leaves it.
//   Running   the machine in Machine. Only code on that machine leaves it.
//   Waiting   nobody. Whoever took the goroutine off the queue it waits in leaves it, through Ready;
//             until then a peer may write the element slots of its waiters under the queue's lock.
//
// The control block never moves; the stack does, while Running. A thread that is no goroutine and has
// to wait borrows one too (Kind.Thread): its stack half is not used.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal enum GoroutineState
{
    Dead,
    Runnable,
    Running,
    Waiting,
}

internal enum GoroutineKind
{
    /// <summary>Starts at 2 KB and grows by copying.</summary>
    Movable,

    /// <summary>Address space reserved up front; pointers into the stack stay valid.</summary>
    Fixed,

    /// <summary>A stand-in for a thread that waits.</summary>
    Thread,

    /// <summary>As Movable, and native frames on it may move too: whoever started it has promised that they
    /// keep no address of it elsewhere.</summary>
    NativeMovable,
}

internal enum ParkReason
{
    None,
    Yield,
    ChanSend,
    ChanReceive,
    WaitGroup,
    Exit,
    Select,
    Sleep,
    Mutex,
    RWMutex,
    Cond,
    Semaphore,
    Network,

    /// <summary>A function of its runs on the system stack.</summary>
    SystemStack,

    /// <summary>Waits for nothing that could happen.</summary>
    Never,

    /// <summary>In a wait of the base library: sched/DotNetWait.cs.</summary>
    DotNetWait,

    /// <summary>Back from native code, its processor gone. The assembly knows the number.</summary>
    NativeReturn = 100,

    /// <summary>Interrupted by sysmon's signal. The assembly knows the number.</summary>
    Preempted = 101,
}

[StructLayout(LayoutKind.Explicit, Size = ControlSize)]
internal unsafe struct Goroutine
{
    internal const int ControlSize = 2048;
    internal const int FirstStackSize = 2048;

    /// <summary>From one to the next: a guard page, the first stack, the control block.</summary>
    internal const nint SlotSize = Os.PageSize + FirstStackSize + ControlSize;

    internal const int InlineStateSize = 64;
    internal const int WaiterCount = 8;
    internal const int NameSize = 32;
    internal const int LocalCount = 32;

    [FieldOffset(0x00)]
    internal Context Context;

    /// <summary>About when it began to wait: sysmon's time, in ns (Scheduler.CoarseNow).</summary>
    [FieldOffset(0x48)]
    internal long WaitSince;

    /// <summary>Lowest usable byte of the current stack. Changed by growth, while running.</summary>
    [FieldOffset(0x50)]
    internal nint StackLow;

    /// <summary>One past the highest byte of the current stack.</summary>
    [FieldOffset(0x58)]
    internal nint StackHigh;

    /// <summary>Not 0 while it must not be preempted: it is about to stop by itself, or has just gone on
    /// and holds what belongs to the machine it is on. Owner.</summary>
    [FieldOffset(0x60)]
    internal int NoPreempt;

    /// <summary>How often it has been locked to its machine: LockedMachine while above 0. Owner.</summary>
    [FieldOffset(0x64)]
    internal int Locked;

    /// <summary>The machine that runs it, or ran it last; null before its first run.</summary>
    [FieldOffset(0x68)]
    internal Machine* Machine;

    [FieldOffset(0x70)]
    private GoroutineState _state;

    [FieldOffset(0x74)]
    internal GoroutineKind Kind;

    [FieldOffset(0x78)]
    internal long Id;

    /// <summary>The next in the one list that holds it: a run queue, a free list.</summary>
    [FieldOffset(0x80)]
    internal Goroutine* Link;

    /// <summary>What to run. An object reference, a root always.</summary>
    [FieldOffset(0x88)]
    internal nint DelegateSlot;

    /// <summary>The argument, when it is an object. A root always.</summary>
    [FieldOffset(0x90)]
    internal nint StateObjectSlot;

    /// <summary>What it waits on, while it waits; before it has begun, FirstContext. A root always.</summary>
    [FieldOffset(0x98)]
    internal nint ParkObjectSlot;

    /// <summary>Runs the delegate with its argument.</summary>
    [FieldOffset(0xa0)]
    internal delegate*<Goroutine*, void> Invoke;

    /// <summary>Called once the goroutine has left its stack; false means that it need not wait.</summary>
    [FieldOffset(0xa8)]
    internal delegate*<Goroutine*, void*, bool> ParkCommit;

    [FieldOffset(0xb0)]
    internal void* ParkArgument;

    [FieldOffset(0xb8)]
    internal ParkReason Reason;

    /// <summary>For Kind.Thread: 1 once Ready was called. The thread sleeps on this word.</summary>
    [FieldOffset(0xbc)]
    internal int Wakened;

    /// <summary>The argument, when it is a small value without references.</summary>
    [FieldOffset(0xc0)]
    internal fixed byte InlineState[InlineStateSize];

    [FieldOffset(0x100)]
    private Waiter _firstWaiter;

    /// <summary>The only machine that may run it, while Locked.</summary>
    [FieldOffset(0x300)]
    internal Machine* LockedMachine;

    /// <summary>Which of Locals are set: the C face's. Owner.</summary>
    [FieldOffset(0x308)]
    internal uint LocalsSet;

    /// <summary>Whether Name is. Owner.</summary>
    [FieldOffset(0x30c)]
    internal bool HasName;

    /// <summary>What the C face calls it in reports: UTF-8, a zero at the end.</summary>
    [FieldOffset(0x310)]
    internal fixed byte Name[NameSize];

    /// <summary>Values of its own that C code keeps: native/Exports.Local.cs. Owner.</summary>
    [FieldOffset(0x340)]
    internal fixed long Locals[LocalCount];

    /// <summary>Its wait in the base library, as asm/waits.c keeps it: this word, and five more that are not
    /// for C#. Exchanged.</summary>
    [FieldOffset(0x6d0)]
    internal long DotNetWaitWord;

    /// <summary>1 once a case of its select is chosen. Whoever changes it from 0, under the lock of the
    /// queue that it took the waiter from, owns the waiting goroutine.</summary>
    [FieldOffset(0x700)]
    internal int SelectDone;

    /// <summary>The waiter of the case that was chosen. Written by the one who set SelectDone.</summary>
    [FieldOffset(0x708)]
    internal Waiter* SelectWinner;

    /// <summary>State of the generator for the order in which a select looks. Owner; any value will do,
    /// also one left by the last goroutine here.</summary>
    [FieldOffset(0x710)]
    internal ulong SelectRandom;

    /// <summary>The mxcsr and the x87 control word of native code that waits on its stack; 0 while they are
    /// in force. Written by the assembly, and cleared at the end.</summary>
    [FieldOffset(0x718)]
    internal ulong NativeFloat;

    /// <summary>Its neighbours in the list of LeakScan, while that looks for leaks. The world stands
    /// still.</summary>
    [FieldOffset(0x720)]
    internal Goroutine* LeakNext;

    [FieldOffset(0x728)]
    internal Goroutine* LeakPrevious;

    /// <summary>It was taken out of the queue it waited in for ever, and ends. Written by the one who took it
    /// out, before it is ready; cleared by itself.</summary>
    [FieldOffset(0x730)]
    internal bool Abandoned;

    /// <summary>How many open scopes of its (GoScope) have failed, and will throw when they are disposed of.
    /// Written by the goroutines that fail, and when it disposes of them. Wrong where one was never disposed
    /// of, of this goroutine or of the last one here: nothing follows from that but where an exception that
    /// nobody catches is reported.</summary>
    [FieldOffset(0x734)]
    internal int FailedScopes;

    /// <summary>C++ exceptions that native code on its stack has caught and is not done with, and how many it
    /// has not: the two words of __cxa_get_globals, while it does not run. Written by the assembly.</summary>
    [FieldOffset(0x738)]
    internal nint CxxCaught;

    [FieldOffset(0x740)]
    internal ulong CxxUncaught;

    internal readonly GoroutineState State => _state;

    /// <summary>Only a machine's loop resumes it: it stopped in assembly, which cannot complete the stop of
    /// another, or it must run on one machine. It is never in a local queue.</summary>
    internal readonly bool NeedsLoop => Reason >= ParkReason.NativeReturn || Locked != 0;

    /// <summary>The first byte of the page.</summary>
    internal static nint FirstStackLow(Goroutine* g) => (nint)g - FirstStackSize;

    internal static ref Delegate? Delegate(Goroutine* g) =>
        ref Unsafe.AsRef<Delegate?>(&g->DelegateSlot);

    internal static ref object? StateObject(Goroutine* g) =>
        ref Unsafe.AsRef<object?>(&g->StateObjectSlot);

    internal static ref object? ParkObject(Goroutine* g) =>
        ref Unsafe.AsRef<object?>(&g->ParkObjectSlot);

    /// <summary>The ExecutionContext that it will begin with; null for the default one. In the slot of
    /// ParkObject: nobody waits before he has begun.</summary>
    internal static ref object? FirstContext(Goroutine* g) => ref ParkObject(g);

    internal static nint* ObjectSlots(Goroutine* g) => &g->DelegateSlot;

    internal const int ObjectSlotCount = 3;

    internal static Waiter* WaiterAt(Goroutine* g, int index) => &g->_firstWaiter + index;

    /// <summary>Has the processor fetch what it takes to make goroutines ready that have not run for long:
    /// the control blocks. First one line of each: most of the wait is for the address's translation, and
    /// those go on side by side.</summary>
    internal static void Prefetch(nint* goroutines, int count)
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < count; i++)
            {
                Sse.Prefetch0((void*)goroutines[i]);
            }
            for (int i = 0; i < count; i++)
            {
                Sse.Prefetch0((byte*)goroutines[i] + Layout.CacheLine);
                Sse.Prefetch0((byte*)goroutines[i] + (2 * Layout.CacheLine));
            }
        }
    }

    /// <summary>The same for what it takes to switch to it: the newest part of its stack.</summary>
    internal static void PrefetchStack(Goroutine* g)
    {
        if (Sse.IsSupported)
        {
            byte* top = (byte*)g->Context.SavedSp;
            for (int line = 0; line < 8; line++)
            {
                Sse.Prefetch0(top + (line * Layout.CacheLine));
            }
        }
    }

    /// <summary>The one place where the state changes. The caller owns the state it leaves (see the
    /// table above), so a plain store is enough; a mismatch means that the rule is broken.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Transition(GoroutineState from, GoroutineState to)
    {
        if (_state != from)
        {
            FailTransition(from, to);
        }
        _state = to;
        if (from is GoroutineState.Waiting or GoroutineState.Dead)
        {
            GcAges.Forget((Goroutine*)Unsafe.AsPointer(ref this)); // After the state: see there.
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void FailTransition(GoroutineState from, GoroutineState to)
    {
        Fatal.Line line = new();
        line.Add("goroutine "u8);
        line.Add(Id);
        line.Add(": transition from an unexpected state: it is in "u8);
        line.Add((int)_state);
        line.Add(", expected "u8);
        line.Add((int)from);
        line.Add(" on the way to "u8);
        line.Add((int)to);
        line.Throw();
    }
}
