// A goroutine: its control block, 256 bytes in a dense table (stack/GoroutineTable.cs). The stack lies
// elsewhere: it gets one when it first runs (stack/Homes.cs).
//
//   line 0   [ Context: saved sp, exceptions, statics ... ][ home ]    what the switch exchanges
//   line 1   [ state ][ id ][ link ][ what to run ][ machine ]         all that a spawn writes
//   line 2   [ stack ][ how it waits ][ extra -> what few need ]
//   line 3   [ its place in a queue; before its first run, the argument ]
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
// to wait borrows a block too (Kind.Thread), and has no stack of Weft's.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal enum GoroutineState : byte
{
    Dead,
    Runnable,
    Running,
    Waiting,
}

internal enum GoroutineKind : byte
{
    /// <summary>Starts on a page and grows by copying.</summary>
    Movable,

    /// <summary>Address space reserved up front; pointers into the stack stay valid.</summary>
    Fixed,

    /// <summary>A stand-in for a thread that waits.</summary>
    Thread,

    /// <summary>As Movable, and native frames on it may move too: whoever started it has promised that they
    /// keep no address of it elsewhere.</summary>
    NativeMovable,
}

internal enum ParkReason : byte
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

    /// <summary>In WeftTest.Run, for its bubble to end.</summary>
    TestRun,

    /// <summary>In WeftTest.Wait, for all others of its bubble to wait.</summary>
    TestWait,

    /// <summary>Back from native code, its processor gone. The assembly knows the number.</summary>
    NativeReturn = 100,

    /// <summary>Interrupted by sysmon's signal. The assembly knows the number.</summary>
    Preempted = 101,
}

[StructLayout(LayoutKind.Explicit, Size = Size)]
internal unsafe struct Goroutine
{
    internal const int Size = 256;

    internal const int InlineStateSize = 64;

    // Line 0: the switch.
    [FieldOffset(0x00)]
    internal Context Context;

    /// <summary>C++ exceptions that native code on its stack has not caught, while it does not run: the
    /// second word of __cxa_get_globals. Written by the assembly.</summary>
    [FieldOffset(0x34)]
    internal uint CxxUncaught;

    /// <summary>For Kind.Thread: 1 once Ready was called. The thread sleeps on this word.</summary>
    [FieldOffset(0x34)]
    internal int Wakened;

    /// <summary>Where its stack starts, once it has begun, if that may move. Owner.</summary>
    [FieldOffset(0x38)]
    internal int Home;

    /// <summary>How many open scopes of its (GoScope) have failed, and will throw when they are disposed of.
    /// Written by the goroutines that fail, and when it disposes of them. Wrong where one was never disposed
    /// of, of this goroutine or of the last one here: nothing follows from that but where an exception that
    /// nobody catches is reported.</summary>
    [FieldOffset(0x3c)]
    internal int FailedScopes;

    // Line 1: all that a spawn writes.
    [FieldOffset(0x40)]
    private GoroutineState _state;

    [FieldOffset(0x41)]
    internal GoroutineKind Kind;

    [FieldOffset(0x42)]
    internal ParkReason Reason;

    /// <summary>Not 0 while it must not be preempted: it is about to stop by itself, or has just gone on
    /// and holds what belongs to the machine it is on. Owner.</summary>
    [FieldOffset(0x43)]
    internal byte NoPreempt;

    /// <summary>How often it has been locked to its machine, the only one that may run it meanwhile.
    /// Owner.</summary>
    [FieldOffset(0x44)]
    internal short Locked;

    /// <summary>SharesPageBit, IsBubbledBit. Owner; who makes it, before it is in a queue.</summary>
    [FieldOffset(0x46)]
    private byte _ways;

    /// <summary>Its stack is not where its addresses say, but at Frames. Written with collections shut
    /// out.</summary>
    [FieldOffset(0x47)]
    internal bool IsStored;

    /// <summary>Locked, _ways and IsStored in one: a question about several is one instruction.</summary>
    [FieldOffset(0x44)]
    private readonly uint _allWays;

    private const byte SharesPageBit = 1;
    private const byte IsBubbledBit = 2;
    private const uint LockedMask = 0xffff;
    private const int WaysShift = 16;

    [FieldOffset(0x48)]
    internal long Id;

    /// <summary>The next in the one list that holds it.</summary>
    [FieldOffset(0x50)]
    internal Goroutine* Link;

    /// <summary>What to run. An object reference, a root always; or the address of a C function, which is in
    /// no heap.</summary>
    [FieldOffset(0x58)]
    internal nint DelegateSlot;

    /// <summary>The argument, when it is an object. A root always.</summary>
    [FieldOffset(0x60)]
    internal nint StateObjectSlot;

    /// <summary>What it waits on, while it waits; before it has begun, FirstContext. A root always.</summary>
    [FieldOffset(0x68)]
    internal nint ParkObjectSlot;

    /// <summary>Runs the delegate with its argument. Not used once it has begun.</summary>
    [FieldOffset(0x70)]
    internal delegate*<Goroutine*, void> Invoke;

    /// <summary>C++ exceptions that native code on its stack has caught and is not done with: the first word
    /// of __cxa_get_globals. Written by the assembly.</summary>
    [FieldOffset(0x70)]
    internal nint CxxCaught;

    /// <summary>The machine that runs it, or ran it last; null before its first run, and while it
    /// IsStored.</summary>
    [FieldOffset(0x78)]
    internal Machine* Machine;

    // Line 2: the stack, and the wait.

    /// <summary>Lowest usable byte of the current stack. Changed by growth, while running.</summary>
    [FieldOffset(0x80)]
    internal nint StackLow;

    /// <summary>One past the highest byte of the current stack.</summary>
    [FieldOffset(0x88)]
    internal nint StackHigh;

    /// <summary>About when it began to wait: sysmon's time, in ns (Scheduler.CoarseNow). 0 before its first
    /// wait.</summary>
    [FieldOffset(0x90)]
    internal long WaitSince;

    /// <summary>Called once the goroutine has left its stack; false means that it need not wait.</summary>
    [FieldOffset(0x98)]
    internal delegate*<Goroutine*, void*, bool> ParkCommit;

    /// <summary>Its neighbour in the list of LeakScan, while that looks for leaks: its stop is complete, and
    /// this one's in Link. The world stands still.</summary>
    [FieldOffset(0x98)]
    internal Goroutine* LeakPrevious;

    [FieldOffset(0xa0)]
    internal void* ParkArgument;

    /// <summary>Where what lies from the saved sp up is, if IsStored: its stop is complete.</summary>
    [FieldOffset(0xa0)]
    internal nint Frames;

    /// <summary>What few need, made on demand; or null: stack/GoroutineExtras.cs. Owner.</summary>
    [FieldOffset(0xa8)]
    internal GoroutineExtra* Extra;

    /// <summary>The mxcsr and the x87 control word of native code that waits on its stack; the latter is 0
    /// while they are in force. Written by the assembly, and cleared at the end.</summary>
    [FieldOffset(0xb0)]
    internal uint NativeMxcsr;

    [FieldOffset(0xb4)]
    internal ushort NativeX87;

    /// <summary>It was taken out of the queue it waited in for ever, and ends. Written by the one who took it
    /// out, before it is ready; cleared by itself.</summary>
    [FieldOffset(0xb6)]
    internal bool Abandoned;

    /// <summary>Line 3 holds what a wait in the base library must not overwrite: an argument, or another such
    /// wait. Owner, here and in asm/waits.c.</summary>
    [FieldOffset(0xb7)]
    internal bool IsLineInUse;

    /// <summary>Its wait in the base library, as asm/waits.c counts it. Exchanged, also by a timer that comes
    /// too late: so it shares its place with nothing.</summary>
    [FieldOffset(0xb8)]
    internal long DotNetWaitWord;

    // Line 3: one wait at a time; and before its first run, the argument. What lies there means something
    // from when a wait fills it in to the end of that wait, and in between it waits for nothing else.
    [FieldOffset(0xc0)]
    private Waiter _waiter;

    /// <summary>The argument, when it is a small value without references.</summary>
    [FieldOffset(0xc0)]
    private fixed byte _inlineState[InlineStateSize];

    internal readonly GoroutineState State => _state;

    /// <summary>Its home shares a page: what it does when it parks, StackStore has to see. Owner.</summary>
    internal bool SharesPage
    {
        readonly get => (_ways & SharesPageBit) != 0;
        set => _ways = (byte)(value ? _ways | SharesPageBit : _ways & ~SharesPageBit);
    }

    /// <summary>It is of a bubble, Extra.BubbleNumber: what it does when it stops and is made ready, that has
    /// to see (sched/Bubble.cs). Owner; who makes it, before it is in a queue.</summary>
    internal bool IsBubbled
    {
        readonly get => (_ways & IsBubbledBit) != 0;
        set => _ways = (byte)(value ? _ways | IsBubbledBit : _ways & ~IsBubbledBit);
    }

    /// <summary>It switches to its machine's loop when it stops, whatever for: it is locked to that, or of a
    /// bubble.</summary>
    internal readonly bool StopsInLoop => (_allWays & (LockedMask | (IsBubbledBit << WaysShift))) != 0;

    /// <summary>Only a machine's loop resumes it: it stopped in assembly, which cannot complete the stop of
    /// another, or it must run on one machine, or a bubble decides when. It is never in a local
    /// queue.</summary>
    internal readonly bool NeedsLoop => Reason >= ParkReason.NativeReturn || StopsInLoop;

    /// <summary>Whether its stop has to be completed after the switch, whatever it waits for: it is locked to
    /// its machine, shares a page, or is of a bubble.</summary>
    internal readonly bool ParksInFull =>
        (_allWays & (LockedMask | ((SharesPageBit | IsBubbledBit) << WaysShift))) != 0;

    /// <summary>Where the words of a parked stack lie, from the saved sp up: all who look at it without
    /// running it have to ask. What they hold are the addresses of where it runs.</summary>
    internal static nint FramesOf(Goroutine* g) => g->IsStored ? g->Frames : g->Context.SavedSp;

    internal static ref Delegate? Delegate(Goroutine* g) =>
        ref Unsafe.AsRef<Delegate?>(Jit.IsOn ? (void*)g->DelegateSlot : &g->DelegateSlot);

    internal static ref object? StateObject(Goroutine* g) =>
        ref Unsafe.AsRef<object?>(Jit.IsOn ? (void*)g->StateObjectSlot : &g->StateObjectSlot);

    internal static ref object? ParkObject(Goroutine* g) =>
        ref Unsafe.AsRef<object?>(Jit.IsOn ? (void*)g->ParkObjectSlot : &g->ParkObjectSlot);

    /// <summary>The ExecutionContext that it will begin with; null for the default one. In the slot of
    /// ParkObject: nobody waits before he has begun.</summary>
    internal static ref object? FirstContext(Goroutine* g) => ref ParkObject(g);

    internal static nint* ObjectSlots(Goroutine* g) => &g->DelegateSlot;

    internal const int ObjectSlotCount = 3;

    /// <summary>Its place in a queue, unless it selects.</summary>
    internal static Waiter* WaiterOf(Goroutine* g) => &g->_waiter;

    /// <summary>Keeps the argument until it begins.</summary>
    internal static void StoreState<TState>(Goroutine* g, TState state)
    {
        Check.Debug(Unsafe.SizeOf<TState>() <= InlineStateSize, "goroutine: an argument that is too large"u8);
        Unsafe.WriteUnaligned(g->_inlineState, state);
        g->IsLineInUse = true;
    }

    /// <summary>The argument, once.</summary>
    internal static TState TakeState<TState>(Goroutine* g)
    {
        TState state = Unsafe.ReadUnaligned<TState>(g->_inlineState);
        g->_waiter = default; // No flag may be set.
        g->IsLineInUse = false;
        return state;
    }

    /// <summary>Has the processor fetch what it takes to make goroutines ready that have not run for long:
    /// the control blocks. First one line of each: most of the wait is for the address's translation, and
    /// those go on side by side.</summary>
    internal static void Prefetch(nint* goroutines, int count)
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < count; i++)
            {
                Sse.Prefetch0((byte*)goroutines[i] + Layout.CacheLine);
            }
            for (int i = 0; i < count; i++)
            {
                Sse.Prefetch0((byte*)goroutines[i]);
                Sse.Prefetch0((byte*)goroutines[i] + (2 * Layout.CacheLine));
            }
        }
    }

    /// <summary>The same of one: all of its control block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void PrefetchBlock(Goroutine* g)
    {
        if (Sse.IsSupported)
        {
            for (int line = 0; line < Size / Layout.CacheLine; line++)
            {
                Sse.Prefetch0((byte*)g + (line * Layout.CacheLine));
            }
        }
    }

    /// <summary>The same of one whose waiter is about to be taken from its queue, before anything of that has
    /// come: the other lines come beside the waiter's, not one after the other. Of no use, and no harm, where
    /// the waiter is a select's and lies elsewhere.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void PrefetchAround(Waiter* waiter) =>
        PrefetchBlock((Goroutine*)((nint)waiter & -Size));

    /// <summary>The same for what it takes to switch to it: the newest part of its stack.</summary>
    internal static void PrefetchStack(Goroutine* g)
    {
        if (Sse.IsSupported)
        {
            byte* top = (byte*)FramesOf(g);
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

    // Short, and without NoInlining: so the compiler looks into it, sees that it does not return, and keeps
    // nothing in memory for what would follow.
    private readonly void FailTransition(GoroutineState from, GoroutineState to)
    {
        ReportTransition(from, to);
        throw new UnreachableException();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private readonly void ReportTransition(GoroutineState from, GoroutineState to)
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
