// A machine's life: find a goroutine, run it until it switches back, complete what it left undone.
//
// A goroutine that stops leaves a message, itself, to whoever runs next on this machine: the loop here, or
// the goroutine it switched to directly. Only the receiver makes it visible to others (Complete): its
// stack is no longer in use then, so another machine may resume it at once. Doing it before the switch
// would let two machines share one stack.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const nint SignalStackSize = 64 * 1024;

    /// <summary>A machine's thread starts here, already registered, its first processor waiting.</summary>
    [UnmanagedCallersOnly]
    private static nint MachineMain(nint argument)
    {
        _ = Environment.CurrentManagedThreadId; // Registers this thread's cell for thread statics.
        Machine* m = ReuseMachine((Machine*)argument, Current.Thread());
        PrepareThread(m);
        AcquireNext(m);
        Loop(m);
        EndMachine(m);
        return 0;
    }

    /// <summary>Makes this thread m: facts about its stack, a signal stack, its statics' cell.</summary>
    private static void PrepareThread(Machine* m)
    {
        nint thread = Current.Thread();
        bool isNew = m->Thread == 0;
        m->Thread = thread;
        m->ThreadId = Os.ThreadId();
        m->CxxWords = 0; // Another thread's.
        m->SelectRandom = (ulong)(nint)m;
        Os.NameThread("weft machine"u8);
        nint cell = (nint)Current.StaticsCell();
        nint pointer = Current.ThreadPointer();
        m->StaticsCell = (nint*)cell;
        m->ThreadLocalLow = Math.Min(Math.Min(thread, cell), pointer);
        m->ThreadLocalHigh = Math.Max(
            Math.Max(thread + RuntimeThread.Size, cell + sizeof(nint)), pointer + sizeof(nint));
        m->BoundsLow = RuntimeThread.Field(thread, RuntimeThread.Table.BoundsLow);
        m->BoundsHigh = RuntimeThread.Field(thread, RuntimeThread.Table.BoundsHigh);
        m->StackHigh = m->BoundsHigh;
        Check.Always(
            RuntimeThread.Field(thread, RuntimeThread.Table.InlinedList) == (nint)Current.StaticsCell(),
            "machine: thread statics have more than one root"u8);

        nint size = Math.Max(SignalStackSize, Os.MinimumSignalStack() * 4);
        nint stack = Os.Reserve(size + Os.PageSize);
        Check.Always(stack > 0, "machine: no memory for a signal stack"u8);
        Check.Always(Os.Guard(stack, Os.PageSize) == 0, "machine: no guard for a signal stack"u8);
        Check.Always(
            Os.UseSignalStack(stack + Os.PageSize, size) == 0, "machine: no signal stack"u8);
        m->SignalStack = stack;
        m->SignalStackBytes = size + Os.PageSize;
        if (isNew)
        {
            GcRoots.Register(m);
        }
        Current.SetMachine(m);
    }

    /// <summary>Until the machine ends.</summary>
    private static void Loop(Machine* m)
    {
        while (true)
        {
            Goroutine* g = m->RunNext;
            m->RunNext = null;
            if (g == null)
            {
                g = FindRunnable(m);
                if (g == null)
                {
                    return;
                }
            }
            if (g->Locked != 0 && g->Machine != m)
            {
                HandToLocked(m, g);
                continue;
            }
            g = Assume(m, g);
            if (g->NeedsLoop)
            {
                g->Reason = ParkReason.None; // Others do that themselves, when they go on.
                Volatile.Write(ref m->Processor->SliceSince, Os.NowNs());
            }
            m->StopAsked = 0; // That was for another one.
            if (m->PreemptAsked != 0)
            {
                m->PreemptAsked = Machine.PreemptAskedBefore;
            }
            if (!GoesOn(m, Switch.FromSystem(m, g, null)))
            {
                return;
            }
        }
    }

    /// <summary>What follows when a goroutine has switched to the loop. False when the machine
    /// ends.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool GoesOn(Machine* m, Goroutine* message)
    {
        TraceStop(m, message);
        if (message != null)
        {
            Complete(message);
        }
        if (m->Locked != null && m->RunNext == null)
        {
            WaitForLocked(m);
        }
        if (!m->Ends)
        {
            return true;
        }
        LeaveProcessor(m);
        return false;
    }

    /// <summary>The loop anew, where the goroutine that is locked to the machine has ended the thread, and
    /// the frames of the old one are gone. The message is that goroutine.</summary>
    [UnmanagedCallersOnly]
    internal static void LoopToEnd(Machine* m, Goroutine* message)
    {
        if (GoesOn(m, message))
        {
            Loop(m);
        }
        EndMachine(m);
    }

    /// <summary>Makes g the goroutine that m runs, and returns it: what is called in between returns it too,
    /// so that it stays in a register where nothing is. The switch must follow.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Goroutine* Assume(Machine* m, Goroutine* g)
    {
        Processor* p = m->Processor;
        p->Runs++;
        if (p->Trace != null)
        {
            g = TraceRun(p->Trace, g);
        }
        g->Transition(GoroutineState.Runnable, GoroutineState.Running);
        return g->Machine == m ? g : Settle(m, g);
    }

    /// <summary>g ran on another machine last, or never, or its stack is stored.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Goroutine* Settle(Machine* m, Goroutine* g)
    {
        Machine* old = g->Machine;
        g->Machine = m;
        if (old == null && g->IsStored)
        {
            StackStore.In(m->Processor, g);
        }
        else if (old == null)
        {
            Begin(m->Processor, g);
        }
        else
        {
            Migrate(old, m, g);
        }
        return g;
    }

    /// <summary>g ran on the machine old last. Where native frames or an exception dispatch lie
    /// on its stack, they hold the address of that thread's Thread, "my thread"; where it was preempted, or
    /// came back from native code, a register may hold any address in the thread-local block: who makes the
    /// thread statics has that of their cell, and takes a lock meanwhile. All threads have the same layout
    /// there, so the distance between the two threads is added.</summary>
    private static void Migrate(Machine* old, Machine* m, Goroutine* g)
    {
        nint end = g->StackHigh;
        if (g->Context.ExInfo == 0 && g->Context.NativeDepth <= 0)
        {
            if (g->Reason is not (ParkReason.Preempted or ParkReason.NativeReturn))
            {
                return;
            }
            end = Math.Min(end, g->Context.SavedSp + PreemptedPart);
        }
        nint low = old->ThreadLocalLow;
        MoveAddresses(
            (nint*)g->Context.SavedSp, (nint*)end, low, old->ThreadLocalHigh - low, m->Thread - old->Thread);
    }

    /// <summary>Adds the distance to each word that lies in [low, low + size). Hardly any does, and all of
    /// them are read each time: so eight at once, for the upper half of such an address.</summary>
    internal static void MoveAddresses(nint* word, nint* end, nint low, nint size, nint distance)
    {
        const int each = 8;
        int upper = (int)(low >> 32);
        if (upper == (int)((low + size - 1) >> 32))
        {
            Vector128<int> sought = Vector128.Create(upper);
            for (; end - word >= each; word += each)
            {
                Vector128<int>* halves = (Vector128<int>*)word;
                Vector128<int> found = Vector128.Equals(halves[0], sought)
                    | Vector128.Equals(halves[1], sought)
                    | Vector128.Equals(halves[2], sought)
                    | Vector128.Equals(halves[3], sought);
                if (found != Vector128<int>.Zero)
                {
                    MoveEach(word, word + each, low, size, distance);
                }
            }
        }
        MoveEach(word, end, low, size, distance);
    }

    private static void MoveEach(nint* word, nint* end, nint low, nint size, nint distance)
    {
        for (; word < end; word++)
        {
            if ((nuint)(*word - low) < (nuint)size)
            {
                *word += distance;
            }
        }
    }

    /// <summary>g, runnable, was stopped on p at the end of its time slice, or before it.</summary>
    private static void RunLater(Processor* p, Goroutine* g)
    {
        p->LocalFirst = true;
        s_shared.Lock.Enter();
        PushStopped(g);
        s_shared.Lock.Exit();
        Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
        WakeProcessor();
    }

    /// <summary>Finishes the stop of g, which left its stack on this machine.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Complete(Goroutine* g)
    {
        switch (g->Reason)
        {
            case ParkReason.Yield:
                g->Transition(GoroutineState.Running, GoroutineState.Runnable);
                if (g->IsBubbled)
                {
                    CompleteYieldInBubble(g);
                    break;
                }
                _ = Push(Current.Machine()->Processor, g, next: false);
                break;

            case ParkReason.Preempted:
                CountPreemption(Current.Machine());
                g->Transition(GoroutineState.Running, GoroutineState.Runnable);
                RunLater(Current.Machine()->Processor, g);
                break;

            case ParkReason.NativeReturn:
                ReturnFromNative(Current.Machine(), g);
                break;

            case ParkReason.Exit:
                if (g->Locked != 0)
                {
                    EndLocked(Current.Machine(), g);
                }
                Bubble? ended = g->IsBubbled ? Bubble.Of(g) : null;
                ended?.Remove(g);
                Recycle(g->Machine->Processor, g);
                if (ended != null)
                {
                    RunNext(ended.Ended());
                }
                break;

            case ParkReason.SystemStack:
                RunOnSystemStack(Current.Machine(), g);
                break;

            default:
                delegate*<Goroutine*, void*, bool> commit = g->ParkCommit; // LeakScan uses its place then.
                void* argument = g->ParkArgument;
                if (g->IsBubbled)
                {
                    CompleteInBubble(g, commit, argument);
                    break;
                }
                if (g->SharesPage && StackStore.Takes(g))
                {
                    StackStore.Out(Current.Machine()->Processor, g);
                }
                g->Transition(GoroutineState.Running, GoroutineState.Waiting);
                if (commit != null && !commit(g, argument))
                {
                    g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
                    _ = Push(Current.Machine()->Processor, g, next: true);
                }
                break;
        }
    }
}
