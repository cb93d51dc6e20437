// Timers: who runs those that are due, and who sleeps until the next one is.
//
//   a busy processor    its own, whenever its machine looks for work; a switch straight to the next goroutine
//                       reads the clock every eighth time, and none where the heap is empty
//   sysmon              where a processor does not look: it makes the next switch go to the loop, and asks
//                       what runs to stop (Scheduler.Slice.cs); after 2 ms on all processors, of which the
//                       first that looks runs the timers of all
//   an idle machine     those of all processors before it gives its own up; then one of the idle machines is
//                       the keeper: it sleeps until the earliest timer, in the network poller once there is
//                       one, all others without a limit
//
// The keeper is in no list: others are woken for work. There is one whenever a processor is idle and a timer
// is set or somebody waits on a descriptor, or a machine is on its way to become it. The race is that of
// Scheduler.cs; a wait on a descriptor counts as a timer without a time:
//
//   who adds     put the timer in the heap (NextTimer), full barrier, read s_keptUntil: later than the timer?
//                Then break the keeper's sleep. Nobody keeps time? Then WakeProcessor: the machine that it
//                wakes finds nothing to do and becomes the keeper. It stays quiet if no processor is idle or
//                somebody spins: whoever makes one idle, or stops spinning, looks afterwards.
//   the keeper   write s_keptUntil, full barrier, read all NextTimer again
//   who sleeps   make the processor idle, stop spinning, full barrier (CheckOnceMore), read all NextTimer
//
// A keeper that wakes takes an idle processor and is a spinning machine then, which wakes the next one when
// it finds work. If there is none, all are busy, and it goes to sleep like any other.
//
// Fire runs on the machine's system stack, between two goroutines. It starts goroutines and sends to channels
// with room; it never waits, and no code of a user runs in it.
//
// Rejected: a thread for timers (two switches of threads for each); clock reads at every switch (more than
// the switch costs).
// Locks: none here; a heap's is a leaf. s_keeping is under the scheduler's.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int TimerRounds = 8;

    private static int* s_kicks;
    private static long s_keptUntil;
    private static bool s_keeping;
    private static bool s_timersLate;

    /// <summary>Whether any timer is set or any goroutine sleeps: something will happen by itself. Stale as
    /// soon as it is read; one that is just being moved or fired may be missed, but then whoever does
    /// that runs.</summary>
    internal static bool HasTimers => EarliestTimer() != TimerNode.Never;

    /// <summary>Timers that somebody waits for, and goroutines asleep. For tests.</summary>
    internal static long TimerCount
    {
        get
        {
            EndLingering();
            long sum = 0;
            for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
            {
                sum += TimerHeap.Of(i).Count;
            }
            return sum;
        }
    }

    /// <summary>The time that many ns from now, at least 0.</summary>
    internal static long TimeAfter(long ns) => TimeAfter(Os.NowNs(), ns);

    /// <summary>The same from another time on.</summary>
    internal static long TimeAfter(long now, long ns)
    {
        return ns < TimerNode.Never - 1 - now ? now + ns : TimerNode.Never - 1; // In some 292 years.
    }

    /// <summary>Parks the calling goroutine, not a thread's stand-in, until then, by its bubble's clock if it
    /// has one. False when there is no memory. Go: time.Sleep.</summary>
    internal static bool SleepUntil(Goroutine* g, long when)
    {
        Park(g, &CommitSleep, (void*)when, ParkReason.Sleep);
        return g->WaitSince >= 0;
    }

    /// <summary>Brings the heaps in line with the node's When, which the caller has changed. It holds no
    /// lock. Throws InsufficientMemoryException.</summary>
    internal static void UpdateTimer(TimerNode node)
    {
        TimerHeap? own = node.OwnHeap;
        TimerHeap? heap = (own ?? HomeHeap()).Update(node);
        if (heap != null && own == null)
        {
            TimerAdded(heap);
        }
    }

    /// <summary>The node is set, but nobody wants to know. Its entry stays until the next one is such a node
    /// on this processor: who waits again and again, for a ticker or something else, finds it there. The
    /// caller holds no lock.</summary>
    internal static void LetLinger(TimerNode node)
    {
        ref TimerNode? lingering = ref HomeHeap().Lingering;
        if (lingering == node)
        {
            return; // Whoever takes it out just now has it looked at.
        }
        TimerNode? last = Interlocked.Exchange(ref lingering, node);
        if (last != node)
        {
            last?.GiveUp();
        }
    }

    /// <summary>Takes out what lingers. On sysmon's thread, when all are asleep, and in tests.</summary>
    internal static void EndLingering()
    {
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Interlocked.Exchange(ref TimerHeap.Of(i).Lingering, null)?.GiveUp();
        }
    }

    /// <summary>Fails when a heap is not one. For tests.</summary>
    internal static void CheckTimers()
    {
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            TimerHeap.Of(i).CheckInvariants();
        }
    }

    private static void InitializeTimers()
    {
        s_kicks = (int*)AddressSpace.Need(Os.PageSize);
        s_keptUntil = TimerNode.Never;
        TimerHeap.Initialize(Layout.MaxProcessors);
    }

    /// <summary>The heap of this machine's processor; on other threads, and where that is being retired, any.
    /// A stale answer is as good: every heap is somebody's to look after.</summary>
    private static TimerHeap HomeHeap()
    {
        Machine* m = Current.Machine();
        Processor* p = m == null ? null : m->Processor;
        return TimerHeap.Of(
            p != null && p->Id < MaxProcessors ? p->Id : (int)((uint)Os.ThreadId() % (uint)MaxProcessors));
    }

    private static bool CommitSleep(Goroutine* g, void* when)
    {
        bool isBubbled = g->IsBubbled;
        TimerHeap heap = isBubbled ? Bubble.Of(g).Heap : HomeHeap();
        if (!heap.TryAdd(g, (long)when, out bool earlier))
        {
            g->WaitSince = -1; // Not its argument: that may be where its frames are by now.
            return false;
        }
        // g may have run on by now.
        if (earlier && !isBubbled)
        {
            TimerAdded(heap);
        }
        return true;
    }

    /// <summary>The heap's earliest time has become earlier.</summary>
    private static void TimerAdded(TimerHeap heap)
    {
        Interlocked.MemoryBarrier(); // Pairs with KeepTime, CheckOnceMore, HandOn, and SetMaxProcessors.
        if (heap.Id >= MaxProcessors)
        {
            heap.MoveTo(TimerHeap.Of(0));
            heap = TimerHeap.Of(0);
            Interlocked.MemoryBarrier(); // The same.
        }
        long kept = Volatile.Read(ref s_keptUntil);
        if (Volatile.Read(ref s_shared.Processors[heap.Id]->NextTimer) >= kept)
        {
            return;
        }
        if (kept == TimerNode.Never)
        {
            WakeProcessor();
            return;
        }
        KickKeeper();
    }

    /// <summary>Timers of processors beyond the wanted number, all of which are retired, go to those that
    /// are not. Who adds to such a heap afterwards sees the number, after TimerAdded's barrier.</summary>
    private static void MoveTimersOfRetired()
    {
        Interlocked.MemoryBarrier(); // MaxProcessors was written. Pairs with TimerAdded.
        for (int i = MaxProcessors; i < s_shared.ProcessorCount; i++)
        {
            TimerHeap target = TimerHeap.Of(i % MaxProcessors);
            if (TimerHeap.Of(i).MoveTo(target))
            {
                TimerAdded(target);
            }
        }
    }

    /// <summary>Whether a timer of p is due.</summary>
    private static bool TimersDue(Processor* p)
    {
        long next = Volatile.Read(ref p->NextTimer);
        return next != TimerNode.Never && next <= Os.NowNs();
    }

    /// <summary>The same, asked only in some of the rounds that a processor counts down.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TimersDueIn(int round, Processor* p) => (round % TimerRounds) == 0 && TimersDue(p);

    /// <summary>Runs what is due on p, on the machine that holds it, on its system stack. True when there was
    /// something.</summary>
    private static bool RunTimers(Processor* p)
    {
        long next = Volatile.Read(ref p->NextTimer);
        if (next == TimerNode.Never)
        {
            return false;
        }
        long now = Os.NowNs();
        return next <= now && RunDue(p, TimerHeap.Of(p->Id), now);
    }

    /// <summary>The same for the timers of all processors; what becomes ready is p's. True when there was
    /// something.</summary>
    private static bool RunAllTimers(Processor* p)
    {
        if (EarliestTimer() == TimerNode.Never)
        {
            return false;
        }
        bool ran = false;
        long now = Os.NowNs();
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            if (Volatile.Read(ref s_shared.Processors[i]->NextTimer) <= now)
            {
                ran |= RunDue(p, TimerHeap.Of(i), now);
            }
        }
        return ran;
    }

    /// <summary>The same where sysmon has found that somebody's are late.</summary>
    private static bool RunLateTimers(Processor* p)
    {
        Volatile.Write(ref s_timersLate, false);
        return RunAllTimers(p);
    }

    /// <summary>What is due, as long as p's queue has room, and a few in any case. Who wakes then runs while
    /// what was read of it is in the cache; the others stay in the heap, in order.</summary>
    private static bool RunDue(Processor* p, TimerHeap heap, long now)
    {
        bool ran = false;
        int room;
        do
        {
            room = (Layout.RunQueueSize / 2) - (int)p->Queue.Count;
            int most = Math.Min(TimerHeap.SleepersAtOnce, Math.Max(TimerRounds, room));
            if (!heap.TakeDue(now, most, out Goroutine* sleepers, out TimerNode? node))
            {
                break;
            }
            ran = true;
            node?.Fire(now);
            _ = ReadyInOrder(p, sleepers);
        }
        while (room > 0);
        return ran;
    }

    /// <summary>Ready for each of a list, to the end of p's queue. Returns how many. Alone: it is one, and
    /// who holds p runs it next, and will look again soon; nobody is woken for it.</summary>
    private static int ReadyInOrder(Processor* p, Goroutine* list, bool alone = false)
    {
        if (list == null)
        {
            return 0;
        }
        int count = 0;
        for (; list != null; count++)
        {
            Goroutine* next = list->Link; // Before Push: its queue may link it anew.
            if (list->Kind == GoroutineKind.Thread)
            {
                Ready(list);
            }
            else
            {
                list->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
                TraceReady(p, list);
                _ = Push(p, list, next: false);
            }
            list = next;
        }
        if (!alone)
        {
            Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
            WakeProcessor();
        }
        return count;
    }

    /// <summary>The earliest time in any heap, or Never.</summary>
    private static long EarliestTimer()
    {
        long earliest = TimerNode.Never;
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            earliest = Math.Min(earliest, Volatile.Read(ref s_shared.Processors[i]->NextTimer));
        }
        return earliest;
    }

    /// <summary>Whether a timer is set, or somebody waits on a descriptor, and nobody keeps time. After a
    /// full barrier.</summary>
    private static bool TimersNeedKeeper() =>
        !Volatile.Read(ref s_keeping) && (NetworkWaiters != 0 || HasTimers);

    /// <summary>m, which holds no processor, is the keeper, if nobody else is and a processor is idle: it
    /// sleeps until a timer is due or the network has something, and takes a processor for it. False when it
    /// has none; the caller looks again whether a keeper is needed.</summary>
    private static bool KeepTime(Machine* m)
    {
        s_shared.Lock.Enter();
        bool keep = !s_keeping && s_shared.IdleProcessorCount > 0;
        if (keep)
        {
            Volatile.Write(ref s_keeping, true); // Read without the lock.
        }
        s_shared.Lock.Exit();
        if (!keep)
        {
            return false;
        }
        bool due = SleepUntilTimer(out Goroutine* list);
        s_shared.Lock.Enter();
        Volatile.Write(ref s_keeping, false);
        Processor* p = due ? PopIdle() : null;
        s_shared.Lock.Exit();
        if (p == null)
        {
            SubmitAll(list);
            // Somebody may have gone to sleep because of us, with a timer that we have not seen.
            Interlocked.MemoryBarrier(); // Pairs with the ones in CheckOnceMore and HandOn.
            return false;
        }
        Hold(m, p);
        m->IsSpinning = true;
        Interlocked.Increment(ref s_shared.Spinning);
        _ = ReadyInOrder(p, list);
        return true;
    }

    /// <summary>The keeper's sleep, the one place where a machine waits for the time. True when a timer is
    /// due, or for the goroutines that the network gave; false when there is nothing to wait for.</summary>
    private static bool SleepUntilTimer(out Goroutine* list)
    {
        list = null;
        while (true)
        {
            int seen = Volatile.Read(ref *s_kicks);
            long until = EarliestTimer();
            // Never would say that nobody keeps time; with the network there may be nothing else to wait for.
            Volatile.Write(ref s_keptUntil, Math.Min(until, TimerNode.Never - 1));
            Interlocked.MemoryBarrier(); // Pairs with the ones in TimerAdded and CommitNetwork.
            if (EarliestTimer() < until)
            {
                continue;
            }
            long now = Os.NowNs();
            if (until <= now || list != null || (until == TimerNode.Never && NetworkWaiters == 0))
            {
                Volatile.Write(ref s_keptUntil, TimerNode.Never);
                return until <= now || list != null;
            }
            if (IsPolling)
            {
                list = PollUntil(until, now, seen);
            }
            else
            {
                Os.WaitOnAddressUntil(s_kicks, seen, until);
            }
        }
    }

    /// <summary>The same in the poller. Not if the keeper was kicked meanwhile: who did that may not have
    /// seen yet that there is a poller, and have broken a sleep on s_kicks.</summary>
    private static Goroutine* PollUntil(long until, long now, int seen)
    {
        if (!X86Base.IsSupported)
        {
            Interlocked.MemoryBarrier(); // IsPolling, then s_kicks: pairs with KickKeeper.
        }
        return Volatile.Read(ref *s_kicks) != seen ? null
            : Netpoll.Poll(until == TimerNode.Never ? -1 : until - now);
    }

    /// <summary>Breaks the keeper's sleep, wherever it sleeps.</summary>
    private static void KickKeeper()
    {
        Interlocked.Increment(ref *s_kicks);
        if (!X86Base.IsSupported) // An exchange is a full barrier on x86, and not on others.
        {
            Interlocked.MemoryBarrier(); // s_kicks, then IsPolling: pairs with PollUntil.
        }
        if (IsPolling)
        {
            Netpoll.Break();
        }
        else
        {
            Os.WakeAddress(s_kicks, 1);
        }
    }
}
