// Machines: starting, waking and stopping them, and who holds which processor.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>How many machines there may be. Go: debug.SetMaxThreads.</summary>
    internal static int MaxMachines { get; set; } = Layout.MaxMachinesDefault;

    /// <summary>Step 1 of the rule in Scheduler.cs. Any thread, any stack; the caller has published its work
    /// with a full barrier after it.</summary>
    internal static void WakeProcessor()
    {
        if (Volatile.Read(ref s_idleProcessorCount) == 0
            || Volatile.Read(ref s_spinning) != 0
            || Interlocked.CompareExchange(ref s_spinning, 1, 0) != 0)
        {
            return;
        }
        s_lock.Enter();
        Processor* p = PopIdle();
        Machine* m = p == null ? null : PopIdleMachine();
        if (p == null)
        {
            // Under the lock: whoever makes a processor idle after this must not be missed by a submitter
            // that stays quiet because we count as spinning.
            Interlocked.Decrement(ref s_spinning);
        }
        s_lock.Exit();
        if (p != null)
        {
            HandTo(m, p, spinning: true);
        }
    }

    /// <summary>Under s_lock.</summary>
    private static Machine* PopIdleMachine()
    {
        Machine* m = s_idleMachines;
        if (m != null)
        {
            s_idleMachines = m->Link;
        }
        return m;
    }

    /// <summary>Gives p, taken but without a machine, to a sleeping machine, or to a new one if m is
    /// null.</summary>
    private static void HandTo(Machine* m, Processor* p, bool spinning)
    {
        if (m == null)
        {
            _ = Switch.CallOnSystemStack(
                (nint)(delegate*<nint, nint, nint>)&StartMachine, (nint)p, spinning ? 1 : 0);
            return;
        }
        m->NextProcessor = p;
        m->IsSpinning = spinning;
        Volatile.Write(ref m->Wake, 1); // Pairs with the read in Sleep.
        Os.WakeAddress(&m->Wake, 1);
    }

    /// <summary>Makes a machine for p. Raw code, on a system stack.</summary>
    private static nint StartMachine(nint processor, nint spinning)
    {
        if (Volatile.Read(ref s_machineCount) >= MaxMachines)
        {
            Fatal.Write("weft: "u8);
            Fatal.Write(MaxMachines);
            Fatal.Write(" threads are blocked in native code or run goroutines: "u8);
            Fatal.Throw("the limit is reached; raise Go.MaxThreads, or block in fewer goroutines"u8);
        }
        nint memory = Os.Reserve(Os.PageSize);
        Check.Always(memory > 0, "machine: no memory"u8);
        Machine* m = (Machine*)memory;
        m->Id = Interlocked.Increment(ref s_machineCount);
        m->NextProcessor = (Processor*)processor;
        m->IsSpinning = spinning != 0;
        nint error = Os.StartThread(&MachineMain, memory);
        if (error < 0)
        {
            Fatal.Write("weft: the system refuses another thread, error "u8);
            Fatal.Write(-error);
            Fatal.Throw(" (see ulimit -u and the pids limit of the container)"u8);
        }
        return 0;
    }

    /// <summary>m, which holds no processor, sleeps until somebody hands it one.</summary>
    private static void Sleep(Machine* m)
    {
        Check.Always(m->Processor == null, "machine: goes to sleep with a processor"u8);
        Check.Always(!m->IsSpinning, "machine: goes to sleep spinning"u8);
        Volatile.Write(ref m->Wake, 0);
        s_lock.Enter();
        m->Link = s_idleMachines;
        s_idleMachines = m;
        s_lock.Exit();
        while (Volatile.Read(ref m->Wake) == 0)
        {
            Os.WaitOnAddress(&m->Wake, 0);
        }
        AcquireNext(m);
    }

    private static void AcquireNext(Machine* m)
    {
        Processor* p = m->NextProcessor;
        m->NextProcessor = null;
        Hold(m, p);
    }

    private static void Hold(Machine* m, Processor* p)
    {
        Check.Always(p->State == ProcessorState.Held, "processor: handed over without being taken"u8);
        Check.Always(p->Machine == null, "processor: two machines"u8);
        p->Machine = m;
        m->Processor = p;
    }

    /// <summary>p is one too many since MaxProcs was lowered: its work goes to the global queue. m, which
    /// held it, is null when it was taken from one.</summary>
    private static void Retire(Machine* m, Processor* p)
    {
        s_lock.Enter();
        for (Goroutine* g = p->Queue.Pop(); g != null; g = p->Queue.Pop())
        {
            PushGlobal(g, g, 1);
        }
        Interlocked.Add(ref s_externalLive, p->Live); // Threads that spawn add to it without the lock.
        p->Live = 0;
        Goroutine* free = p->Free;
        p->Free = null;
        p->FreeCount = 0;
        if (m != null)
        {
            m->Processor = null;
        }
        p->Machine = null;
        p->State = ProcessorState.Retired;
        ShareOrUnshare();
        s_lock.Exit();
        GoroutinePages.Give(free);
        if (m != null && m->IsSpinning)
        {
            m->IsSpinning = false;
            Interlocked.Decrement(ref s_spinning);
        }
        Interlocked.MemoryBarrier(); // Publishes the pushed work; pairs with CheckOnceMore.
        WakeProcessor();
    }
}
