// How a stack grows: by copying. The used part goes to the top of a larger stack, and every word in it
// that points into the old stack is moved by the distance, a multiple of 4 GB (GrownStacks.cs). C#'s
// ref-safety rules make that sound: a safe program can hold the address of a local only on the same stack.
// Unsafe code that stores such an address elsewhere must use a fixed stack.
//
// Two callers:
//   before native code or a throw   asm/ found less than the reserve free (GrowForReserve)
//   on a guard fault                the signal handler, with the registers in the signal frame (OnFault)
//
// Native frames never move: while native code waits for a callback (Context.NativeDepth), or runs, a
// full stack is an overflow. So is one at its limit, and a fixed one.
//
// All of this is raw code (GcRoots.cs says what that means): it runs in a signal handler or with
// collections shut out. Locks: none (GrownStacks has none).

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class StackGrowth
{
    private const nint FaultHeadroom = 8 * 1024;

    private const long CollectionNapNs = 50_000;

    private static nint s_maxStack;
    private static long s_growths;

    /// <summary>Bytes that a movable stack may grow to: a size class.</summary>
    internal static nint MaxStack
    {
        get => s_maxStack == 0 ? Layout.MaxStackDefault : s_maxStack;
        set => s_maxStack = value;
    }

    /// <summary>How often a stack was moved to a larger one. For tests and the bench.</summary>
    internal static long Growths => Volatile.Read(ref s_growths);

    /// <summary>Called by the assembly on the system stack. Returns the distance to the new stack, or 0
    /// when the stack stays where it is (the guard then catches an overflow).</summary>
    internal static nint GrowForReserve(nint sp, nint reserve)
    {
        Goroutine* g = Current.Goroutine();
        if (g->Kind != GoroutineKind.Movable || g->Context.NativeDepth > 0)
        {
            return 0;
        }
        nint size = GrownStacks.SizeFor(g->StackHigh - sp + reserve);
        if (size > MaxStack || size <= g->StackHigh - g->StackLow)
        {
            return 0;
        }
        return Move(g, sp, size);
    }

    /// <summary>Handles a fault in g's guard page. The context is the interrupted code's.</summary>
    internal static void OnFault(Goroutine* g, SignalContext* context, nint address)
    {
        if (g->Kind == GoroutineKind.NativeMovable)
        {
            MoveNative(g, context, address);
            return;
        }
        if (g->Kind != GoroutineKind.Movable)
        {
            Overflow(
                g,
                address,
                "the fixed stack is full; its size is set when the goroutine starts"u8,
                ApiNames.FixedStackSize);
        }
        if (RuntimeThread.Field(Current.Thread(), RuntimeThread.Table.TransitionFrame) != 0)
        {
            Overflow(g, address, "native code needs more stack than a goroutine reserves for it"u8);
        }
        if (g->Context.NativeDepth > 0)
        {
            Overflow(g, address, "a callback from native code is full: its stack cannot move"u8);
        }
        MakeRoom(g, context, FaultHeadroom, address);
    }

    /// <summary>Native frames may move too. While the thread is in native code a collection may be walking
    /// this very stack: so the thread takes part again, as a callback would, before anything moves, and the
    /// next collection waits for it.</summary>
    private static void MoveNative(Goroutine* g, SignalContext* context, nint address)
    {
        nint thread = Current.Thread();
        nint frame = RuntimeThread.Field(thread, RuntimeThread.Table.TransitionFrame);
        if (frame != 0)
        {
            StopCollections(thread, frame);
        }
        nint low = g->StackLow - Os.PageSize;
        nint high = g->StackHigh;
        MakeRoom(g, context, FaultHeadroom, address);
        if (frame != 0)
        {
            frame += frame >= low && frame < high ? g->StackHigh - high : 0;
            Volatile.Write(ref *(nint*)(thread + RuntimeThread.Table.TransitionFrame), frame);
        }
    }

    /// <summary>As the runtime's own entry from native code, but the wait is ours: there is a signal frame
    /// here.</summary>
    private static void StopCollections(nint thread, nint frame)
    {
        nint trap = Switch.Layout()[RuntimeThread.FirstAddress + RuntimeThread.TrapThreads];
        while (true)
        {
            Volatile.Write(ref *(nint*)(thread + RuntimeThread.Table.TransitionFrame), 0);
            Interlocked.MemoryBarrier(); // Pairs with the fence on all threads of who suspends them.
            if ((Volatile.Read(ref *(int*)trap) & RuntimeThread.Table.TrapThreads) == 0)
            {
                return;
            }
            Volatile.Write(ref *(nint*)(thread + RuntimeThread.Table.TransitionFrame), frame);
            Os.Nap(CollectionNapNs);
        }
    }

    /// <summary>Makes room below the interrupted code: for the runtime to dispatch an exception, or for what
    /// preemption saves.</summary>
    internal static void ReserveBelow(Goroutine* g, SignalContext* context, nint reserve)
    {
        bool enough = context->Sp - reserve >= g->StackLow;
        if (!enough && g->Kind == GoroutineKind.Movable && g->Context.NativeDepth <= 0)
        {
            MakeRoom(g, context, reserve, context->Sp);
        }
    }

    private static void MakeRoom(Goroutine* g, SignalContext* context, nint room, nint address)
    {
        nint oldLow = g->StackLow - Os.PageSize; // A register may point into the guard already.
        nint oldHigh = g->StackHigh;
        nint oldSize = g->StackHigh - g->StackLow;
        nint lowest = Math.Min(context->Sp, address);
        nint* target = StackProbe.FindTarget(g, context, address);
        nint wanted = target == null ? lowest : *target;
        lowest = Math.Min(lowest, wanted);
        nint size = GrownStacks.SizeFor(Math.Max(oldHigh - lowest + room, oldSize + 1));
        if (size > MaxStack)
        {
            Overflow(g, address, "the stack is at its limit"u8, ApiNames.MaxStack);
        }
        nint from = Math.Max(context->Sp - SignalContext.RedZone, g->StackLow);
        nint sp = context->Sp;
        nint distance = Move(g, from, size);
        SignalContext.Relocate(context, oldLow, oldHigh, distance);
        context->Sp = sp + distance; // A probe that touches above sp leaves sp below the guard.
        if (target != null)
        {
            *target = wanted + distance; // It may lie below the guard page, where it is not moved.
        }
    }

    /// <summary>Copies [sp, high) to a new stack and moves what points into the old one.</summary>
    private static nint Move(Goroutine* g, nint sp, nint size)
    {
        nint oldLow = g->StackLow;
        nint oldHigh = g->StackHigh;
        nint high = GrownStacks.Take(g, size);
        if (high <= 0)
        {
            NoMemory(g, size, high);
        }
        nint distance = high - oldHigh; // Leaves the low bytes of any word alone: see GrownStacks.cs.
        nint rangeLow = oldLow - Os.PageSize;
        Copy(sp & ~7, oldHigh, rangeLow, distance);
        RuntimeThread.Relocate(Current.Thread(), rangeLow, oldHigh, distance);
        MoveSlot(g, rangeLow, oldHigh, distance);
        g->StackLow = GrownStacks.LowOf(high, size);
        g->StackHigh = high;
        g->Context.ReserveLow = g->StackLow;
        GoroutineTable.SetGrown(g, g->Kind == GoroutineKind.Movable);
        s_growths++; // Not exact when two grow at once; nothing depends on it.
        GiveUp(g, oldLow, oldHigh);
        return distance;
    }

    /// <summary>The waiter's slot goes along, if it is an address of what was in that range. A select's have
    /// none.</summary>
    internal static void MoveSlot(Goroutine* g, nint low, nint high, nint distance)
    {
        Waiter* waiter = Goroutine.WaiterOf(g);
        nint slot = (nint)waiter->Slot;
        if (slot >= low && slot < high && !g->IsLineInUse)
        {
            waiter->Slot = (void*)(slot + distance);
        }
    }

    /// <summary>g has left the stack that it had at [low, high), grown or in one of its pages.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void GiveUp(Goroutine* g, nint low, nint high)
    {
        if (GrownStacks.IsGrown(low, high))
        {
            GrownStacks.Give(g, low, high);
        }
        else
        {
            Homes.Leave(g->Home, high);
        }
    }

    /// <summary>Copies [from, high) by distance, moving every word that points into [low, high). Words
    /// are looked for at every fourth byte: the compiler aligns slots for references to eight bytes, but
    /// may spill a native pointer to any slot of four. What two halves make up is not taken for one where
    /// the second is part of an aligned one.</summary>
    internal static void Copy(nint from, nint high, nint low, nint distance) =>
        Copy(from, from + distance, high - from, low, high, distance);

    /// <summary>The same of what lies somewhere else than its addresses say, and goes to any place.</summary>
    internal static void Copy(nint from, nint to, nint size, nint low, nint high, nint distance)
    {
        CopyWords(from, to, size);
        nint last = from + size - sizeof(nint);
        nint by = to - from;
        for (nint at = from; at <= last; at += sizeof(nint))
        {
            nint half = at + sizeof(int);
            if (PointsInto(at, low, high))
            {
                *(nint*)(at + by) += distance;
            }
            else if (at < last && PointsInto(half, low, high) && !PointsInto(at + sizeof(nint), low, high))
            {
                *(nint*)(half + by) += distance;
            }
        }
    }

    /// <summary>As they are.</summary>
    internal static void CopyWords(nint from, nint to, nint size)
    {
        for (nint i = 0; i < size; i += sizeof(nint))
        {
            *(nint*)(to + i) = *(nint*)(from + i);
        }
    }

    private static bool PointsInto(nint word, nint low, nint high) =>
        *(nint*)word >= low && *(nint*)word < high;

    /// <summary>The end. <paramref name="setting"/> names what may change it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Overflow(
        Goroutine* g, nint address, ReadOnlySpan<byte> why, ReadOnlySpan<byte> setting = default)
    {
        Fatal.Line line = new();
        line.Add("goroutine "u8);
        line.Add(g->Id);
        line.Add(": stack overflow: "u8);
        line.Add(why);
        if (!setting.IsEmpty)
        {
            line.Add(" ("u8);
            line.Add(setting);
            line.Add(")"u8);
        }
        line.Add("; limit "u8);
        line.Add(g->Kind == GoroutineKind.Fixed ? g->StackHigh - g->StackLow : MaxStack);
        line.Add(" bytes, stack ["u8);
        line.AddHex(g->StackLow);
        line.Add(", "u8);
        line.AddHex(g->StackHigh);
        line.Add("), fault at "u8);
        line.AddHex(address);
        line.Throw();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void NoMemory(Goroutine* g, nint size, nint error)
    {
        Fatal.Line line = new();
        line.Add("goroutine "u8);
        line.Add(g->Id);
        line.Add(": no memory for a stack of "u8);
        line.Add(size);
        line.Add(" bytes, error "u8);
        line.Add(-error);
        line.Add(
            Os.GuardByProtection
                ? "; each guard page costs two mappings here: raise sysctl vm.max_map_count"u8
                : "; see ulimit -v and the memory limits of the container"u8);
        line.Throw();
    }
}
