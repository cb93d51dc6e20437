// Goroutines on the JIT (base/Jit.cs): each is an ordinary thread of .NET's. Chan, Select, Mutex and all else
// above the scheduler are the same code there, because a thread that is no goroutine could always wait in
// Weft: it waits with a control block of kind Thread, on a futex. A goroutine here has such a block from its
// beginning to its end, with a number; one with the number 0 is a stand-in for one wait, as ever.
//
//   Create    a block from the free ones; its thread is made by Start
//   Park      Scheduler.ParkThread: the futex. Ready: Scheduler.WakeThread
//   timers    the processors' heaps; one thread keeps the time and polls (Scheduler.Jit.cs)
//
// Blocks lie in the C heap, where no collector of the JIT's looks. So the objects that a block refers to lie
// in a pinned array, and the block's slots have the addresses of its elements.
//
// A thread has 16 MB of stack, of which it uses what it touches: code that runs on a growing stack under
// NativeAOT may recurse deeply here too. Threads are not used again: thread statics, names, cultures and
// priorities would be the last goroutine's.
//
// Rejected: threads of the pool (the same, and its limits would be deadlocks); Tasks (a channel could not
// block without blocking a thread of the pool).
// Locks: s_lock, a leaf.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class JitThreads
{
    /// <summary>How many goroutines and threads can wait in a select at the same time: more than there can be
    /// threads.</summary>
    internal const int MostWaits = 128 * 1024;

    private const int BlocksAtOnce = 64;
    private const nint StackBytes = 16 * 1024 * 1024;

    private static readonly Lock s_lock = new();
    private static readonly List<object?[]> s_objects = []; // Keeps them alive.
    private static readonly List<nint> s_blocks = [];
    private static Goroutine* s_free;
    private static int s_count;

    /// <summary>Goroutines whose thread has been started and has not ended.</summary>
    internal static int Count => Volatile.Read(ref s_count);

    /// <summary>Scheduler.Create.</summary>
    internal static Goroutine* Create(GoroutineKind kind, nint fixedSize, bool flows)
    {
        Goroutine* g = Take();
        g->Id = 0;
        g->Locked = 0;
        g->WaitSince = 0;
        if (kind != GoroutineKind.Thread)
        {
            g->Id = Scheduler.CountCreated();
            g->StackHigh = Math.Max(fixedSize, StackBytes); // Its size.
        }
        g->Kind = GoroutineKind.Thread;
        g->Transition(GoroutineState.Dead, GoroutineState.Runnable);
        if (flows)
        {
            Goroutine.FirstContext(g) = ContextFlow.Capture();
        }
        return g;
    }

    /// <summary>Scheduler.Start. Throws InsufficientMemoryException where there is no other thread.</summary>
    internal static void Start(Goroutine* g)
    {
        if (Interlocked.Increment(ref s_count) > Scheduler.MaxMachines)
        {
            End(g, GoroutineState.Runnable);
            throw new InsufficientMemoryException(
                $"No more than {Scheduler.MaxMachines} goroutines on the JIT, where each is a thread "
                + "(Go.MaxThreads): publish with NativeAOT for more.");
        }
        Thread thread = new(Main, (int)Math.Min(g->StackHigh, int.MaxValue))
        {
            IsBackground = true,
            Name = $"goroutine {g->Id}",
        };
        try
        {
            thread.UnsafeStart((nint)g);
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            End(g, GoroutineState.Runnable);
            throw new InsufficientMemoryException(
                "No thread for another goroutine; on the JIT each is one. See ulimit -u, -n and -v, "
                + "pids.max of the container and sysctl vm.max_map_count, or publish with NativeAOT.",
                e);
        }
    }

    /// <summary>A wait is over. If it was that of a thread that is no goroutine, its stand-in ends.</summary>
    internal static void EndWait(Goroutine* g)
    {
        if (g->Id == 0)
        {
            Goroutine.ParkObject(g) = null;
            g->Transition(GoroutineState.Running, GoroutineState.Dead);
            Give(g);
        }
    }

    /// <summary>Scheduler.CallOnSystemStack: in place, and as a thread that is no goroutine.</summary>
    internal static void CallAsThread(Goroutine* g, Action function)
    {
        JitCurrent.Goroutine = null;
        try
        {
            function();
        }
        finally
        {
            JitCurrent.Goroutine = g;
        }
    }

    /// <summary>What StackDump writes under NativeAOT, without stacks.</summary>
    internal static void Dump(TextWriter writer, int bubble)
    {
        foreach (nint each in Blocks())
        {
            Goroutine* g = (Goroutine*)each;
            long id = g->Id;
            GoroutineState state = g->State;
            if (id == 0 || state == GoroutineState.Dead || !StackRecords.IsWanted(bubble, g))
            {
                continue;
            }
            string what = StackDump.Describe(state, g->Reason);
            if (state == GoroutineState.Waiting)
            {
                what += ", " + StackDump.Duration(TimeSpan.FromTicks((Os.NowNs() - g->WaitSince) / 100));
            }
            StackDump.PrintOne(writer, id, what, "");
        }
        writer.WriteLine();
        writer.WriteLine("On the JIT their stacks are those of threads: see a debugger, or dotnet-stack.");
    }

    private static nint[] Blocks()
    {
        lock (s_lock)
        {
            return [.. s_blocks];
        }
    }

    private static void Main(object? argument)
    {
        Goroutine* g = (Goroutine*)(nint)argument!;
        JitCurrent.Goroutine = g;
        g->Transition(GoroutineState.Runnable, GoroutineState.Running);
        Scheduler.RunDelegate(g);
        ContextFlow.End(Thread.CurrentThread);
        JitCurrent.Goroutine = null;
        End(g, GoroutineState.Running);
    }

    private static void End(Goroutine* g, GoroutineState from)
    {
        Bubble? bubble = g->IsBubbled ? Bubble.Of(g) : null;
        bubble?.Remove(g);
        Goroutine.Delegate(g) = null;
        Goroutine.StateObject(g) = null;
        Goroutine.ParkObject(g) = null;
        g->Transition(from, GoroutineState.Dead);
        Interlocked.Decrement(ref s_count);
        Scheduler.CountEnded();
        Give(g);
        _ = bubble == null ? null : bubble.Ended();
    }

    private static Goroutine* Take()
    {
        lock (s_lock)
        {
            if (s_free == null)
            {
                MakeBlocks();
            }
            Goroutine* g = s_free;
            s_free = g->Link;
            return g;
        }
    }

    private static void Give(Goroutine* g)
    {
        if (g->Extra != null)
        {
            GoroutineExtras.TakeFrom(g);
        }
        lock (s_lock)
        {
            g->Link = s_free;
            s_free = g;
        }
    }

    private static void MakeBlocks()
    {
        object?[] objects = GC.AllocateArray<object?>(BlocksAtOnce * Goroutine.ObjectSlotCount, pinned: true);
        s_objects.Add(objects);
        nint slot = (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(objects));
        nuint bytes = BlocksAtOnce * Goroutine.Size;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(bytes, Layout.CacheLine);
        NativeMemory.Clear(memory, bytes);
        for (int i = 0; i < BlocksAtOnce; i++)
        {
            Goroutine* g = (Goroutine*)(memory + (i * Goroutine.Size));
            for (int each = 0; each < Goroutine.ObjectSlotCount; each++, slot += sizeof(nint))
            {
                Goroutine.ObjectSlots(g)[each] = slot;
            }
            g->Link = s_free;
            s_free = g;
            s_blocks.Add((nint)g);
        }
    }
}
