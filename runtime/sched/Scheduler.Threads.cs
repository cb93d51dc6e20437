// Machines: starting, waking and stopping them, and who holds which processor.
//
// As many sleep as there are processors, and a handful; one more than that ends when it has slept for two
// seconds. Its struct is kept for a later thread whose Thread lies at the same address: then what it left
// on the stacks of goroutines is right for that thread too. Others get a new one, of 320 bytes.
//
// There may be Go.MaxThreads of them. A processor that gets none then is idle although it has work: whoever
// comes back from native code takes it, or whoever would sleep (s_shortOfThreads). Its goroutines wait, or
// others steal them. That is back-pressure where so many block in files or foreign code; Go ends the program.
// They may wait for one that could run, the owner of their lock: where nobody has run for 0.1 s there may be
// one machine more.
//
// Rejected: a struct for any thread (Migrate could not tell the threads apart), keeping all threads.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int SpareMachines = 4;
    private const long SpareLifeNs = 2_000_000_000;
    private const int FreeBucketBits = 10;

    // All under the lock.
    private static Machine** s_freeMachines; // Of threads that ended, by Bucket.
    private static Machine* s_newMachines;  // Linked by Link too; never run.
    private static int s_idleMachineCount;
    private static bool s_shortOfThreads;   // An idle processor has work, and there was no machine for it.
    private static int s_oneMoreMayStart;
    private static bool s_limitWasReported;

    /// <summary>How many machines there may be. Go: debug.SetMaxThreads.</summary>
    internal static int MaxMachines { get; set; } =
        Jit.IsOn ? Layout.MaxThreadsOnJit : Layout.MaxMachinesDefault;

    /// <summary>Step 1 of the rule in Scheduler.cs. Any thread, any stack; the caller has published its work
    /// with a full barrier after it.</summary>
    internal static void WakeProcessor()
    {
        if (Volatile.Read(ref s_shared.IdleProcessorCount) == 0
            || Volatile.Read(ref s_shared.Spinning) != 0
            || Interlocked.CompareExchange(ref s_shared.Spinning, 1, 0) != 0)
        {
            return;
        }
        s_shared.Lock.Enter();
        Processor* p = PopIdle();
        Machine* m = p == null ? null : PopIdleMachine();
        if (p == null)
        {
            // Under the lock: whoever makes a processor idle after this must not be missed by a submitter
            // that stays quiet because we count as spinning.
            Interlocked.Decrement(ref s_shared.Spinning);
        }
        s_shared.Lock.Exit();
        if (p != null && !HandTo(m, p, spinning: true))
        {
            PutBack(p);
            Interlocked.Decrement(ref s_shared.Spinning);
        }
    }

    /// <summary>There is no machine for p, and may be none more: it becomes idle, with the work it has.
    /// </summary>
    private static void PutBack(Processor* p)
    {
        s_shared.Lock.Enter();
        Machine* m = PopIdleMachine(); // It may have come meanwhile.
        if (m == null)
        {
            PushIdle(p);
            s_shortOfThreads = true;
        }
        s_shared.Lock.Exit();
        if (m != null)
        {
            _ = HandTo(m, p, spinning: false);
        }
    }

    /// <summary>All processors are idle, and have been for a while, although there is work. On
    /// sysmon's thread.</summary>
    private static void LetOneMoreRunIfShort()
    {
        if (Volatile.Read(ref s_shortOfThreads))
        {
            Volatile.Write(ref s_oneMoreMayStart, 1);
            WakeProcessor();
        }
    }

    /// <summary>Under the lock.</summary>
    private static Machine* PopIdleMachine()
    {
        Machine* m = s_idleMachines;
        if (m != null)
        {
            Unlink(m);
        }
        return m;
    }

    /// <summary>Gives p, taken but without a machine, to a sleeping machine, or to a new one if m is null;
    /// false if there may be none more.</summary>
    private static bool HandTo(Machine* m, Processor* p, bool spinning)
    {
        bool isNew = m == null;
        if (isNew)
        {
            m = TakeNewMachine(); // Here: StartMachine must not wait for a ShortLock.
        }
        m->NextProcessor = p;
        m->IsSpinning = spinning;
        if (!isNew)
        {
            Awaken(m);
            return true;
        }
        delegate*<nint, nint, nint> start = &StartMachine;
        bool started = Switch.CallOnSystemStack((nint)start, (nint)m, 0) != 0;
        if (!started)
        {
            s_shared.Lock.Enter();
            m->Link = s_newMachines;
            s_newMachines = m;
            s_shared.Lock.Exit();
        }
        return started;
    }

    private static void Awaken(Machine* m)
    {
        Volatile.Write(ref m->Wake, 1); // Pairs with the read in Sleep.
        Os.WakeAddress(&m->Wake, 1);
    }

    /// <summary>Starts the thread of a new machine; 0 if there may be none more. Raw code, on a system
    /// stack, with collections shut out: so it waits for no ShortLock, whose holder may be stopped for
    /// one.</summary>
    private static nint StartMachine(nint machine, nint unused)
    {
        if (!CountOneMore())
        {
            ReportLimit();
            return 0;
        }
        Machine* m = (Machine*)machine;
        m->Id = Interlocked.Increment(ref s_machinesStarted);
        nint error = Os.StartThread(&MachineMain, (nint)m);
        if (error < 0)
        {
            Fatal.Line line = new();
            line.Add("the system refuses another thread, error "u8);
            line.Add(-error);
            line.Add(" (see ulimit -u, ulimit -v and the pids limit of the container)"u8);
            line.Throw();
        }
        return 1;
    }

    /// <summary>False at the limit. Counted only when it may start: Stats and the deadlock check would see
    /// one that never was.</summary>
    private static bool CountOneMore()
    {
        bool pastTheLimit = false; // Once sysmon has let one, it is ours to use.
        while (true)
        {
            int count = Volatile.Read(ref s_machineCount);
            if (count >= MaxMachines && !pastTheLimit)
            {
                pastTheLimit = Interlocked.Exchange(ref s_oneMoreMayStart, 0) != 0;
                if (!pastTheLimit)
                {
                    return false;
                }
            }
            if (Interlocked.CompareExchange(ref s_machineCount, count + 1, count) == count)
            {
                return true;
            }
        }
    }

    /// <summary>Once: what looks like a program that hangs may be one that waits for threads.</summary>
    private static void ReportLimit()
    {
        if (!s_limitWasReported)
        {
            s_limitWasReported = true;
            Fatal.Line line = new("weft: "u8);
            line.Add(MaxMachines);
            line.Add(" threads are blocked in native code or run goroutines, which is the limit: "u8);
            line.Add("goroutines that could run wait for one; raise "u8);
            line.Add(ApiNames.MaxThreads);
            line.Add(", or block in fewer goroutines"u8);
            line.Write();
        }
    }

    /// <summary>m, which holds no processor, sleeps until somebody hands it one, or it takes one for a timer
    /// that is due. False when it has slept long enough to end.</summary>
    private static bool Sleep(Machine* m)
    {
        Check.Always(m->Processor == null, "machine: goes to sleep with a processor"u8);
        Check.Always(!m->IsSpinning, "machine: goes to sleep spinning"u8);
        while (TimersNeedKeeper())
        {
            if (KeepTime(m))
            {
                return true;
            }
            if (Volatile.Read(ref s_shared.IdleProcessorCount) == 0)
            {
                break; // Busy machines run timers; whoever makes a processor idle looks afterwards.
            }
        }
        s_shared.Lock.Enter();
        Processor* p = null;
        if (s_shortOfThreads)
        {
            s_shortOfThreads = false; // m looks everywhere, and whoever looks wakes others.
            p = PopIdle();
        }
        if (p != null)
        {
            s_shared.Lock.Exit();
            Hold(m, p);
            return true;
        }
        m->Link = s_idleMachines;
        m->Back = null;
        if (m->Link != null)
        {
            m->Link->Back = m;
        }
        s_idleMachines = m;
        m->IsIdle = true;
        s_idleMachineCount++;
        bool spare = TooManyAreIdle();
        s_shared.Lock.Exit();
        while (Volatile.Read(ref m->Wake) == 0)
        {
            bool woken = Os.WaitOnAddress(&m->Wake, 0, spare ? SpareLifeNs : Os.NoLimit);
            if (!woken && spare && RemoveIdle(m))
            {
                return false;
            }
        }
        if (m->NextProcessor == null)
        {
            m->Wake = 0;
            return false; // EndSpareMachines.
        }
        AcquireNext(m);
        return true;
    }

    /// <summary>Under the lock.</summary>
    private static bool TooManyAreIdle() => s_idleMachineCount > s_shared.MaxProcessors + SpareMachines;

    /// <summary>There are fewer processors: machines that were not too many when they fell asleep, and wait
    /// without a limit, are now. They are woken without a processor.</summary>
    private static void EndSpareMachines()
    {
        Machine* spare = null;
        s_shared.Lock.Enter();
        while (TooManyAreIdle())
        {
            Machine* m = PopIdleMachine();
            m->Link = spare;
            spare = m;
        }
        s_shared.Lock.Exit();
        while (spare != null)
        {
            Machine* m = spare;
            spare = m->Link; // Once it is awake the link is its own.
            Awaken(m);
        }
    }

    /// <summary>Takes m off the list of idle machines; false if somebody has, to wake it. Thousands may want
    /// to at the same time.</summary>
    private static bool RemoveIdle(Machine* m)
    {
        s_shared.Lock.Enter();
        bool found = m->IsIdle;
        if (found)
        {
            Unlink(m);
        }
        s_shared.Lock.Exit();
        return found;
    }

    /// <summary>Under the lock.</summary>
    private static void Unlink(Machine* m)
    {
        if (m->Link != null)
        {
            m->Link->Back = m->Back;
        }
        if (m->Back != null)
        {
            m->Back->Link = m->Link;
        }
        else
        {
            s_idleMachines = m->Link;
        }
        m->IsIdle = false;
        s_idleMachineCount--;
    }

    /// <summary>A struct for a thread to be made. A later thread may find a better one: ReuseMachine. Not
    /// with collections shut out.</summary>
    private static Machine* TakeNewMachine()
    {
        Check.Debug(RuntimeThread.MayBeStopped, "machine: a lock is waited for with collections shut out"u8);
        s_shared.Lock.Enter();
        Machine* m = s_newMachines;
        if (m == null)
        {
            nint memory = Os.Reserve(Os.PageSize);
            Check.Always(memory > 0, "machine: no memory"u8);
            for (nint at = memory; at + Machine.Spacing <= memory + Os.PageSize; at += Machine.Spacing)
            {
                m = (Machine*)at;
                m->Link = s_newMachines;
                s_newMachines = m;
            }
        }
        s_newMachines = m->Link;
        s_shared.Lock.Exit();
        return m;
    }

    /// <summary>The struct that a thread with this Thread had, with what was prepared in m; m itself if there
    /// was none. On the new thread.</summary>
    private static Machine* ReuseMachine(Machine* m, nint thread)
    {
        s_shared.Lock.Enter();
        Machine** link = &s_freeMachines[Bucket(thread)];
        while (*link != null && (*link)->Thread != thread)
        {
            link = &(*link)->Link;
        }
        Machine* old = *link;
        *link = old == null ? null : old->Link;
        if (old != null)
        {
            old->Id = m->Id;
            old->NextProcessor = m->NextProcessor;
            old->IsSpinning = m->IsSpinning;
            *m = default;
            m->Link = s_newMachines;
            s_newMachines = m;
            m = old;
        }
        s_shared.Lock.Exit();
        return m;
    }

    /// <summary>The thread is about to end: it runs no goroutine and holds no processor.</summary>
    private static void EndMachine(Machine* m)
    {
        Check.Always(m->Processor == null && m->RunNext == null, "machine: ends with work"u8);
        Current.SetMachine(null);
        Os.ForgetSignalStack();
        _ = Os.Release(m->SignalStack, m->SignalStackBytes);
        m->Ends = false;
        Interlocked.Decrement(ref s_machineCount);
        s_shared.Lock.Enter();
        m->ThreadId = 0;
        if (m->SliceTimer != 0)
        {
            Os.DeleteAlarm(m->SliceTimer - 1);
            m->SliceTimer = 0;
        }
        Machine** first = &s_freeMachines[Bucket(m->Thread)];
        m->Link = *first;
        *first = m; // From here on it may be another thread's.
        s_shared.Lock.Exit();
    }

    /// <summary>Threads lie a stack's size apart: by the upper bits of a product.</summary>
    private static int Bucket(nint thread) =>
        (int)(((ulong)thread * 0x9e3779b97f4a7c15) >> (64 - FreeBucketBits));

    private static void AcquireNext(Machine* m)
    {
        m->Wake = 0;
        Processor* p = m->NextProcessor;
        m->NextProcessor = null;
        Hold(m, p);
    }

    private static void Hold(Machine* m, Processor* p)
    {
        Check.Always(p->State == ProcessorState.Held, "processor: handed over without being taken"u8);
        Check.Always(p->Machine == null, "processor: two machines"u8);
        // What a new thread has written of m comes before: pairs with sysmon's look.
        Volatile.Write(ref *(nint*)&p->Machine, (nint)m);
        m->Processor = p;
        Trace(p, TraceEvent.Hold, ((long)m->ThreadId << 24) | (uint)m->Id);
    }

    /// <summary>The other way round. The caller hands p on, or makes it idle.</summary>
    private static void Release(Machine* m, Processor* p)
    {
        Trace(p, TraceEvent.Release, 0);
        m->Processor = null;
        p->Machine = null;
    }

    /// <summary>p is one too many since MaxProcs was lowered: its work goes to the global queue. m, which
    /// held it, is null when it was taken from one.</summary>
    private static void Retire(Machine* m, Processor* p)
    {
        GiveFree(p, p->FreeCount);
        GiveHomes(p, p->FreeHomeCount);
        s_shared.Lock.Enter();
        for (Goroutine* g = p->Queue.Pop(); g != null; g = p->Queue.Pop())
        {
            PushGlobal(g);
        }
        Interlocked.Add(ref s_externalLive, p->Live); // Threads that spawn add to it without the lock.
        p->Live = 0;
        Trace(p, TraceEvent.Release, 0);
        if (m != null)
        {
            m->Processor = null;
        }
        p->Machine = null;
        p->State = ProcessorState.Retired;
        ShareOrUnshare();
        s_shared.Lock.Exit();
        if (m != null && m->IsSpinning)
        {
            m->IsSpinning = false;
            Interlocked.Decrement(ref s_shared.Spinning);
        }
        Interlocked.MemoryBarrier(); // Publishes the pushed work; pairs with CheckOnceMore.
        WakeProcessor();
    }
}
