// Where the next goroutine comes from, in order: timers of this processor that are due; every 61st time the
// global queue; the local queue; the global queue; the network; half of another processor's; timers of
// others. Else the machine gives its processor up and sleeps, after a while perhaps (Scheduler.Linger.cs).
//
// Three lists, and none may keep another waiting: the local queue; of the global one the half that was made
// ready, and the half that was stopped in the middle of what it did, which has those that would run for ever
// and perhaps the owner of a lock that everybody else wants. Whoever is served often is not served next:
//
//   local or global     the global queue is due when 61 rounds have passed it by, and goes first then
//                       it is due at once each second time that a processor is taken from a native call,
//                       and only then: those who block do so again and again, and would else let nobody
//                       past, the local queue or the stopped half
//                       it waits one round longer, once, where a goroutine was just stopped or a timer
//                       was due: else the one that has just used its slice would come before all those it
//                       kept waiting
//   the halves          where both have somebody, the one that was not served last
//   begun or fresh      in turn (core/RunQueue.cs). Fresh ones that a processor has too many of are a third
//                       part of the global queue: who has none left takes some, in turn with the halves; the
//                       oldest has a turn in each time slice

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int StealPasses = 4;
    private const int GlobalAtOnce = 1 + (Layout.RunQueueSize / 16);

    /// <summary>On m's system stack. Returns with a processor held, perhaps another; null when m, asleep for
    /// a long time, has to end.</summary>
    private static Goroutine* FindRunnable(Machine* m)
    {
        while (true)
        {
            Goroutine* g = m->Processor == null ? null : FindOnce(m);
            if (g != null)
            {
                StopSpinning(m);
                return g;
            }
            if (!Sleep(m))
            {
                return null;
            }
        }
    }

    /// <summary>One search; null when m no longer holds a processor and has to sleep.</summary>
    private static Goroutine* FindOnce(Machine* m)
    {
        while (true)
        {
            Processor* p = m->Processor;
            if (p->Id >= MaxProcessors)
            {
                Retire(m, p);
                return null;
            }
            if (RunTimers(p) | (Volatile.Read(ref s_timersLate) && RunLateTimers(p)))
            {
                p->LocalFirst = true;
            }
            Goroutine* g = FindLocal(p);
            g = g == null ? TakeGlobal(p, Layout.RunQueueSize / 2) : g;
            if (g == null && PollNetwork(p))
            {
                g = p->Queue.Pop(); // Before anything else: nobody was woken for one that is alone.
                if (g == null)
                {
                    continue;
                }
            }
            g = g == null ? StealWork(m, p) : g;
            if (g != null)
            {
                return g;
            }
            if (!RunAllTimers(p) && !GiveUpProcessor(m, p) && !CheckOnceMore(m))
            {
                return null;
            }
        }
    }

    /// <summary>The local choice, with the global queue first when that is due.</summary>
    private static Goroutine* FindLocal(Processor* p)
    {
        if (--p->RoundsToGlobal > 0)
        {
            return p->Queue.Pop();
        }
        if (p->LocalFirst && !p->GlobalWaits)
        {
            p->LocalFirst = false;
            p->GlobalWaits = true;
            p->RoundsToGlobal = 1;
            return p->Queue.Pop();
        }
        p->RoundsToGlobal = Processor.GlobalEvery;
        p->LocalFirst = false;
        p->GlobalWaits = false;
        // Only for fairness: the local queue has work. A few at a time if that is one that yields again and
        // again.
        int most = p->Queue.Count < GlobalAtOnce ? GlobalAtOnce : 1;
        Goroutine* g = TakeGlobal(p, most);
        return g != null ? g : p->Queue.PopRingFirst();
    }

    /// <summary>Takes a fair share of the global queue, most at the most: one to run, the others for
    /// later.</summary>
    private static Goroutine* TakeGlobal(Processor* p, int most)
    {
        if (Volatile.Read(ref s_shared.GlobalCount) == 0)
        {
            return null;
        }
        s_shared.Lock.Enter();
        s_forkedTurn = !s_forkedTurn;
        Goroutine* first = s_forkedTurn ? TakeForked(p) : null;
        first = first != null ? first : PopGlobal();
        first = first != null || s_forkedTurn ? first : TakeForked(p);
        if (first == null || most == 1)
        {
            s_shared.Lock.Exit();
            return first;
        }
        int room = Layout.RunQueueSize - (int)p->Queue.Count; // Only we fill it, so room only grows.
        int share = Math.Min(s_shared.GlobalCount / MaxProcessors, Math.Min(room, most - 1));
        share = (int)Math.Min(share, s_global.Count);
        for (int i = 0; i < share; i++)
        {
            bool pushed = p->Queue.TryPush(s_global.Pop());
            Check.Always(pushed, "scheduler: a queue with room is full"u8);
        }
        Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount - share);
        s_shared.Lock.Exit();
        if (share > 0)
        {
            p->Queue.PrefetchLast((uint)share);
        }
        return first;
    }

    /// <summary>Where p has fresh ones of its own, the oldest of those that are left of forks, once in a time
    /// slice; else a number of the newest, to go on in depth. Under the lock.</summary>
    private static Goroutine* TakeForked(Processor* p)
    {
        if (s_forked.IsEmpty)
        {
            return null;
        }
        int count = 1;
        Goroutine* first;
        if (p->Queue.HasFresh)
        {
            long now = CoarseNow;
            if (now - s_forkedSince < SliceNs)
            {
                return null;
            }
            s_forkedSince = now;
            first = s_forked.Pop();
        }
        else
        {
            count = (int)Math.Min(Layout.RunQueueSize / 2, s_forked.Count);
            first = s_forked.Last(count - 1, count);
            for (int i = 0; i < count - 1; i++)
            {
                bool pushed = p->Queue.TryPushFresh(s_forked.Last(i, count));
                Check.Always(pushed, "scheduler: a stack that was empty is full"u8);
            }
            s_forked.Drop(count);
            p->Queue.PrefetchFresh();
        }
        Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount - count);
        return first;
    }

    /// <summary>From the two halves of the global queue in turn. Under the lock.</summary>
    private static Goroutine* PopGlobal()
    {
        s_stoppedTurn = !s_stopped.IsEmpty && (s_stoppedTurn || s_global.IsEmpty);
        Goroutine* g = s_stoppedTurn ? s_stopped.Pop() : s_global.Pop();
        s_stoppedTurn = !s_stoppedTurn;
        if (g != null)
        {
            Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount - 1);
        }
        return g;
    }

    /// <summary>Under the lock. One that was made ready, or has not begun.</summary>
    private static void PushGlobal(Goroutine* g)
    {
        if (g->NeedsLoop)
        {
            PushStopped(g);
            return;
        }
        s_global.Push(g);
        Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount + 1);
    }

    /// <summary>Under the lock. One that was interrupted, or lost its processor to a native call; or that
    /// only a loop may resume for another reason: who takes many of the other half does not look at
    /// each.</summary>
    private static void PushStopped(Goroutine* g)
    {
        s_stopped.Push(g);
        Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount + 1);
    }

    /// <summary>Under the lock. Of a local queue, which its owner has just taken from there: they need no
    /// loop.</summary>
    private static void PushAll(ref GlobalQueue queue, Goroutine** ring, uint start, int count)
    {
        for (int i = 0; i < count; i++)
        {
            queue.Push(ring[(start + (uint)i) % Layout.RunQueueSize]);
        }
        Volatile.Write(ref s_shared.GlobalCount, s_shared.GlobalCount + count);
    }

    /// <summary>Looks at the other processors in a random order, each once a pass. At most half as many
    /// machines spin as processors are busy.</summary>
    private static Goroutine* StealWork(Machine* m, Processor* p)
    {
        int count = Volatile.Read(ref s_shared.ProcessorCount);
        if (count == 1 || p->Queue.Exclusive)
        {
            return null;
        }
        if (!m->IsSpinning)
        {
            int busy = MaxProcessors - Volatile.Read(ref s_shared.IdleProcessorCount);
            if (2 * Volatile.Read(ref s_shared.Spinning) >= busy)
            {
                return null;
            }
            m->IsSpinning = true;
            Interlocked.Increment(ref s_shared.Spinning);
        }
        bool lingers = HasCoreForEach;
        for (int pass = 1; pass <= StealPasses; pass++)
        {
            Goroutine* g = StealOnce(p, takeNext: pass == StealPasses && !lingers);
            if (g != null)
            {
                return g;
            }
        }
        return lingers ? Linger(p) : null;
    }

    /// <summary>Looks at each of the others once.</summary>
    private static Goroutine* StealOnce(Processor* p, bool takeNext)
    {
        uint count = (uint)Volatile.Read(ref s_shared.ProcessorCount);
        StealOrder order = new(count, p->NextRandom(uint.MaxValue));
        for (; !order.Done; order.Advance())
        {
            Processor* victim = s_shared.Processors[order.Position];
            Goroutine* g = victim == p ? null : p->Queue.StealFrom(&victim->Queue, takeNext);
            if (g != null)
            {
                Stolen(p, victim);
                return g;
            }
        }
        return null;
    }

    private static void Stolen(Processor* p, Processor* victim)
    {
        p->Steals++;
        Trace(p, TraceEvent.Steal, victim->Id);
    }

    /// <summary>Makes p idle. True when work appeared in time, and m still holds p.</summary>
    private static bool GiveUpProcessor(Machine* m, Processor* p)
    {
        s_shared.Lock.Enter();
        if (s_shared.GlobalCount > 0)
        {
            s_shared.Lock.Exit();
            return true;
        }
        Check.Debug(p->Queue.IsEmpty, "scheduler: a processor with work goes idle"u8);
        Release(m, p);
        if (p->Id >= s_shared.MaxProcessors)
        {
            p->State = ProcessorState.Retired;
            ShareOrUnshare();
        }
        else
        {
            PushIdle(p);
        }
        s_shared.Lock.Exit();
        return false;
    }

    /// <summary>Step 3 of the rule in Scheduler.cs: m, whose processor is idle now, stops spinning and looks
    /// at all queues again. True when it found work and got a processor for it.</summary>
    private static bool CheckOnceMore(Machine* m)
    {
        if (m->IsSpinning)
        {
            m->IsSpinning = false;
            Interlocked.Decrement(ref s_shared.Spinning);
        }
        Interlocked.MemoryBarrier(); // Pairs with the one in Submit.
        if (!AnyWork())
        {
            return false;
        }
        s_shared.Lock.Enter();
        Processor* p = PopIdle();
        s_shared.Lock.Exit();
        if (p == null)
        {
            return false;
        }
        Hold(m, p);
        m->IsSpinning = true;
        Interlocked.Increment(ref s_shared.Spinning);
        return true;
    }

    private static bool AnyWork()
    {
        bool work = Volatile.Read(ref s_shared.GlobalCount) > 0;
        for (int i = 0; !work && i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            work = !s_shared.Processors[i]->Queue.IsEmpty;
        }
        return work;
    }

    /// <summary>Step 2: m has work. If it was the last that spun, another looks for more.</summary>
    private static void StopSpinning(Machine* m)
    {
        if (!m->IsSpinning)
        {
            return;
        }
        m->IsSpinning = false;
        if (Interlocked.Decrement(ref s_shared.Spinning) == 0)
        {
            WakeProcessor();
        }
    }
}
