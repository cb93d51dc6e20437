// Where goroutines stand: for each that is added a record with the return addresses on its stack, in a buffer
// that is reserved before and read after.
//
// Stopped by a collection, each stack stands still at a known place: parked ones in the switch, running ones
// where the runtime stopped them, or at the transition frame of their native call. From there the chain of
// frame pointers leads upward: the native compiler keeps one on this platform.
//
// Locks: StackDump.Gate, from Reserve to Release; the world stands still for Add.

namespace Weft.Runtime;

internal unsafe struct StackRecord
{
    /// <summary>0 behind the last one.</summary>
    internal long Id;

    internal Goroutine* Of;
    internal GoroutineState State;
    internal ParkReason Reason;

    /// <summary>The number of its bubble, or -1.</summary>
    internal int Bubble;

    internal long WaitSince;
    internal nint FrameCount;

    /// <summary>Its name, as UTF-8 that a zero byte ends; empty if it has none.</summary>
    internal fixed byte Name[GoroutineExtra.NameSize];

    internal static nint* Frames(StackRecord* record) => (nint*)(record + 1);

    internal static StackRecord* Next(StackRecord* record) =>
        (StackRecord*)(Frames(record) + record->FrameCount);
}

internal static unsafe class StackRecords
{
    private const int MaxFrames = 100;

    // Where wait_for_processor has its return address, from the saved sp: asm/native_*.S.
    private static int AboveNativeReturn => Arch.IsX64 ? 80 : 168;

    // In a transition frame: what the runtime and the code before a native call leave behind.
    private static int FrameAddress => Arch.IsX64 ? 0 : 1;

    private static nint s_memory;
    private static nint s_bytes;
    private static nint* s_end;
    private static nint* s_at;
    private static nint s_managedStart;
    private static nint s_managedEnd;

    private static volatile bool s_complete;

    /// <summary>How many goroutines were not added, for lack of room: they had just started.</summary>
    internal static int Missed { get; private set; }

    /// <summary>Whether all have been added.</summary>
    internal static bool IsComplete => s_complete;

    internal static StackRecord* First => (StackRecord*)s_memory;

    /// <summary>Room for all goroutines that there are, and some.</summary>
    internal static void Reserve()
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        s_managedStart = addresses[RuntimeThread.ManagedCodeStart];
        s_managedEnd = addresses[RuntimeThread.ManagedCodeEnd];
        // Address space; only what is written to becomes memory.
        s_bytes = (nint)(Scheduler.LiveCount + 1000) * (sizeof(StackRecord) + (MaxFrames * sizeof(nint)));
        s_memory = Os.Reserve(s_bytes);
        if (s_memory <= 0)
        {
            throw new InsufficientMemoryException("No memory for the stacks of all goroutines.");
        }
        s_at = (nint*)s_memory;
        s_end = (nint*)(s_memory + s_bytes);
        Missed = 0;
        s_complete = false;
    }

    internal static void Release() => _ = Os.Release(s_memory, s_bytes);

    /// <summary>Raw code.</summary>
    internal static void AddAll()
    {
        for (nint number = 0; number < GoroutineTable.Carved; number++)
        {
            Goroutine* g = GoroutineTable.AliveAt(number);
            if (g != null && g->Kind != GoroutineKind.Thread)
            {
                Add(g);
            }
        }
        s_complete = true;
    }

    /// <summary>Whether g is of the bubble with that number; of any if that is -1.</summary>
    internal static bool IsWanted(int bubble, Goroutine* g) => bubble < 0 || BubbleOf(g) == bubble;

    private static int BubbleOf(Goroutine* g) =>
        g->IsBubbled && g->Extra != null ? g->Extra->BubbleNumber : -1;

    /// <summary>Raw code.</summary>
    internal static void Add(Goroutine* g)
    {
        StackRecord* record = (StackRecord*)s_at;
        if ((nint*)(record + 2) + MaxFrames > s_end) // With the one behind the last.
        {
            Missed++;
            return;
        }
        record->Id = g->Id;
        record->Of = g;
        record->State = g->State;
        record->Reason = g->Reason;
        record->Bubble = BubbleOf(g);
        record->WaitSince = g->WaitSince;
        for (int i = 0; i < GoroutineExtra.NameSize / sizeof(nint); i++)
        {
            ((nint*)record->Name)[i] = g->Extra != null ? ((nint*)g->Extra->Name)[i] : 0;
        }
        s_at = StackRecord.Frames(record);
        CollectFrames(g, record);
        record->FrameCount = (nint)(s_at - StackRecord.Frames(record));
    }

    private static void CollectFrames(Goroutine* g, StackRecord* record)
    {
        nint sp = g->Context.SavedSp;
        if (sp == 0)
        {
            if (g->State == GoroutineState.Running) // Else it is being made.
            {
                CollectRunning(g, record);
            }
            return;
        }
        nint distance = Goroutine.FramesOf(g) - sp; // 0, unless its stack is stored.
        nint frame = *(nint*)(sp + distance + Arch.SavedFramePointer);
        nint address = *(nint*)(sp + distance + Arch.SavedReturn);
        if (g->Reason == ParkReason.Preempted)
        {
            address = *(nint*)(frame + SignalContext.InterruptedAt);
            frame = *(nint*)frame;
            Add(address + 1); // Where it was interrupted, not a return address: see Print.
            WalkUp(g, frame);
            return;
        }
        if (g->Reason == ParkReason.NativeReturn)
        {
            address = *(nint*)(sp + AboveNativeReturn);
        }
        Add(address);
        WalkUp(g, frame, distance);
    }

    /// <summary>g is on its machine's thread, which is stopped.</summary>
    private static void CollectRunning(Goroutine* g, StackRecord* record)
    {
        nint thread = g->Machine->Thread;
        nint transition = RuntimeThread.Field(thread, RuntimeThread.Table.TransitionFrame);
        if (transition == 0)
        {
            // Who collects: in managed code, to the runtime; where it came from is here.
            transition = RuntimeThread.Field(thread, RuntimeThread.Table.DeferredFrame);
        }
        else if ((g->Machine->NativeCount & 1) != 0)
        {
            record->Reason = ParkReason.NativeReturn;
        }
        if (transition == RuntimeThread.InterruptedFrame)
        {
            SignalContext* context =
                (SignalContext*)RuntimeThread.Field(thread, RuntimeThread.Table.Interrupted);
            Add(context->Ip + 1);
            WalkUp(g, context->FramePointer);
        }
        else if (transition > 0)
        {
            nint* frame = (nint*)transition;
            Add(frame[FrameAddress]);
            WalkUp(g, frame[1 - FrameAddress]);
        }
    }

    /// <summary>From a frame's address on, whose words lie that far from there.</summary>
    private static void WalkUp(Goroutine* g, nint frame, nint distance = 0)
    {
        for (int i = 1; i < MaxFrames; i++)
        {
            if (frame < g->StackLow || frame > g->StackHigh - (2 * sizeof(nint)) || (frame & 7) != 0)
            {
                return;
            }
            Add(((nint*)(frame + distance))[1]);
            nint next = *(nint*)(frame + distance);
            if (next <= frame)
            {
                return;
            }
            frame = next;
        }
    }

    private static void Add(nint address)
    {
        if (address > s_managedStart && address <= s_managedEnd)
        {
            *s_at++ = address;
        }
    }
}
