// The scheduler: what is shared between machines, and how it starts.
//
//   Goroutine   what runs: a stack and a control block            core/Goroutine.cs
//   Processor   the right to run, with a local queue              core/Processor.cs
//   Machine     an OS thread that needs a processor to run one    core/Machine.cs
//
// When to wake a machine is the question that decides everything here. Too few, and work waits beside
// an idle core; too many, and they burn the cores looking for nothing. The rule is Go's:
//
//   1. Whoever makes a goroutine ready wakes one machine if a processor is idle and nobody spins.
//   2. A woken machine spins: it looks everywhere. When it finds work and was the last that spun, it wakes
//      the next one, so a burst of work unfolds one machine at a time.
//   3. A machine that finds nothing gives up its processor, stops spinning, and then looks once more.
//
// The race is between 1 and 3. The submitter: push, full barrier, read the idle count and Spinning. The
// machine: make the processor idle, decrement Spinning, full barrier, read all queues. One of the two
// sees the other; both seeing is harmless. A machine that did not spin looks too: the submitter may have
// found no idle processor, and the spinner that saw its work no processor to take it with.
//
// Rejected: one central queue (its lock is the bottleneck), waking a machine for each ready goroutine
// (threads thrash), handing the processor straight to a new thread (locality is lost).
// Locks: s_shared.Lock, "the lock" in this class, guards the global queue, the idle lists and processor
// states. It is a leaf.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int IdBatch = 16;

    private static SharedWords s_shared;
    private static GlobalQueue s_global;  // The global queue: those that were made ready,
    private static GlobalQueue s_stopped; // those that were stopped in the middle, or need a loop,
    private static GlobalQueue s_forked;  // and fresh ones that a processor has too many of.
    private static long s_forkedSince;
    private static bool s_forkedTurn;
    private static bool s_stoppedTurn;
    private static Processor* s_idleProcessors;
    private static Machine* s_idleMachines;
    private static int s_machineCount;
    private static int s_machinesStarted;
    private static long s_nextId;
    private static long s_externalLive;
    private static int s_changing;

    /// <summary>Machines that exist. For tests.</summary>
    internal static int MachineCount => Volatile.Read(ref s_machineCount);

    internal static int MaxProcessors
    {
        get => Volatile.Read(ref s_shared.MaxProcessors);
        private set
        {
            Volatile.Write(ref s_shared.MaxProcessors, value);
            Backoff.Expect(value);
        }
    }

    /// <summary>Goroutines that exist: runnable, running or waiting.</summary>
    internal static long LiveCount
    {
        get
        {
            long sum = Volatile.Read(ref s_externalLive);
            for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
            {
                sum += Volatile.Read(ref s_shared.Processors[i]->Live);
            }
            return sum;
        }
    }

    /// <summary>Starts the runtime if it is not running. Called on ordinary threads only: a goroutine
    /// proves that it runs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void EnsureStarted()
    {
        if (Volatile.Read(ref s_shared.Started) == 0)
        {
            Startup.Start();
        }
    }

    /// <summary>Makes the tables and processors. Startup calls it once, under its lock.</summary>
    internal static void Initialize(int processors)
    {
        if (s_shared.Processors == null) // Else an earlier start has failed later on.
        {
            s_shared.Processors = (Processor**)AddressSpace.Need(Layout.MaxProcessors * sizeof(nint));
            s_freeMachines = (Machine**)AddressSpace.Need((1 << FreeBucketBits) * sizeof(nint));
            s_global = new GlobalQueue(GoroutineTable.Capacity);
            s_stopped = new GlobalQueue(GoroutineTable.Capacity);
            s_forked = new GlobalQueue(GoroutineTable.Capacity);
        }
        MaxProcessors = processors;
        InitializeTimers();
        MakeProcessors(processors);
        AddProcessors();
        s_shared.Processors[0]->Queue.Exclusive = processors == 1;
        StartSysmon();
        Current.SetStarted();
        Volatile.Write(ref s_shared.Started, 1);
    }

    /// <summary>Go.MaxProcs. On a goroutine, unless no processor is to be shared or unshared. Returns
    /// when no more than <paramref name="count"/> processors are held.</summary>
    internal static void SetMaxProcessors(int count)
    {
        Goroutine* g = Current.Goroutine();
        Check.Always(g != null, "scheduler: processors changed outside a goroutine"u8);
        while (Interlocked.CompareExchange(ref s_changing, 1, 0) != 0)
        {
            Yield(g); // One change at a time: each waits for processors that another might hand out.
        }
        try
        {
            MakeProcessors(count);
        }
        catch
        {
            Volatile.Write(ref s_changing, 0);
            throw;
        }
        s_shared.Lock.Enter();
        if (count > 1)
        {
            // With one processor its holder is this machine, and it is not taking from its queue now.
            s_shared.Processors[0]->Queue.Exclusive = false;
        }
        MaxProcessors = count;
        AddProcessors();
        RetireIdle();
        s_shared.Lock.Exit();
        while (HeldBeyond(count))
        {
            Yield(g);
        }
        MoveTimersOfRetired();
        EndSpareMachines();
        Volatile.Write(ref s_changing, 0);
        if (count > 1)
        {
            WakeProcessor();
        }
    }

    /// <summary>Makes processors up to that number, retired. By one caller at a time, without the lock: their
    /// timer heaps are objects.</summary>
    private static void MakeProcessors(int count)
    {
        for (int i = s_shared.ProcessorCount; i < count; i++)
        {
            s_shared.Processors[i] = NewProcessor(i);
            TimerHeap.Create(s_shared.Processors[i]);
            Volatile.Write(ref s_shared.ProcessorCount, i + 1);
            TraceIfOn(s_shared.Processors[i]);
        }
    }

    /// <summary>Makes processors up to the wanted number idle. Under the lock, or at start.</summary>
    private static void AddProcessors()
    {
        for (int i = 0; i < s_shared.MaxProcessors; i++)
        {
            if (s_shared.Processors[i]->State == ProcessorState.Retired)
            {
                PushIdle(s_shared.Processors[i]);
            }
        }
    }

    private static Processor* NewProcessor(int id)
    {
        nint ring = 2 * (nint)Layout.RunQueueSize * sizeof(nint); // And as many that have not begun.
        nint free = (nint)(Layout.FreeGoroutinesPerProcessor + 1) * sizeof(nint);
        nint homes = (nint)(Layout.FreeHomesPerProcessor + 1) * sizeof(int);
        nint places = StackPlaces.Sizes * sizeof(StackPlaces);
        nint stacks = 2 * (nint)Layout.FixedStacksPerProcessor * sizeof(nint);
        nint memory = AddressSpace.Need(Os.PageSize + ring + free + places + stacks + homes);
        Processor* p = (Processor*)memory;
        memory += Os.PageSize;
        p->Queue.Initialize((Goroutine**)memory);
        p->Free = (Goroutine**)(memory + ring);
        p->StackPlaces = (StackPlaces*)(memory + ring + free);
        p->KeptStacks = (nint*)(memory + ring + free + places);
        p->FreeHomes = (int*)(memory + ring + free + places + stacks);
        p->Id = id;
        p->Random = ((ulong)id * 0x9e3779b97f4a7c15) + 0x1234567;
        return p;
    }

    /// <summary>Retires idle processors beyond the wanted number. Under the lock.</summary>
    private static void RetireIdle()
    {
        Processor* kept = null;
        int count = 0;
        while (s_idleProcessors != null)
        {
            Processor* p = s_idleProcessors;
            s_idleProcessors = p->Link;
            if (p->Id >= s_shared.MaxProcessors)
            {
                p->State = ProcessorState.Retired;
                continue;
            }
            p->Link = kept;
            kept = p;
            count++;
        }
        s_idleProcessors = kept;
        Volatile.Write(ref s_shared.IdleProcessorCount, count);
        ShareOrUnshare();
    }

    /// <summary>With one processor left that anybody may hold, its queue needs no exchange. Under the lock:
    /// no machine without a processor steals.</summary>
    private static void ShareOrUnshare()
    {
        if (s_shared.MaxProcessors != 1)
        {
            return;
        }
        for (int i = 1; i < Volatile.Read(ref s_shared.ProcessorCount); i++) // Written without the lock.
        {
            if (s_shared.Processors[i]->State != ProcessorState.Retired)
            {
                return;
            }
        }
        s_shared.Processors[0]->Queue.Exclusive = true;
    }

    private static bool HeldBeyond(int count)
    {
        s_shared.Lock.Enter();
        bool held = false;
        for (int i = count; i < s_shared.ProcessorCount; i++)
        {
            held |= s_shared.Processors[i]->State == ProcessorState.Held;
        }
        s_shared.Lock.Exit();
        return held;
    }

    private static void PushIdle(Processor* p)
    {
        p->State = ProcessorState.Idle;
        p->Link = s_idleProcessors;
        s_idleProcessors = p;
        Volatile.Write(ref s_shared.IdleProcessorCount, s_shared.IdleProcessorCount + 1);
    }

    /// <summary>Takes an idle processor, or null. Under the lock.</summary>
    private static Processor* PopIdle()
    {
        Processor* p = s_idleProcessors;
        if (p != null)
        {
            s_idleProcessors = p->Link;
            p->State = ProcessorState.Held;
            s_processorsTaken++;
            WakeSysmon();
            Volatile.Write(ref s_shared.IdleProcessorCount, s_shared.IdleProcessorCount - 1);
        }
        return p;
    }
}
