// Waiting on descriptors: who polls when, and how a goroutine or a thread waits.
//
//   a machine without local work   looks without waiting, before it steals
//   the keeper of the time         waits in the poller (Scheduler.Timers.cs): the one idle machine that does
//   sysmon                         looks if nobody did for 10 ms: all processors compute
//
// The poller exists from the first descriptor on. Until then the keeper sleeps on a futex; StartNetpoll wakes
// it for good.
//
// A program of which all goroutines wait on descriptors has a keeper, uses no CPU, and is no deadlock. A
// thread that waits on a descriptor has no machine that will look for work afterwards, so it wakes one, which
// finds nothing and becomes the keeper.
//
// Before it looks, a machine may let others have its core: Scheduler.CoreSharing.cs.
//
// A deadline is a word in the descriptor; the timer only looks at it. Moving it to a later time touches no
// heap: the timer finds out when it fires, and goes on.
//
// Locks: s_netpollStart, once. A descriptor's lock is a leaf.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long PollAtLeastEveryNs = 10_000_000;
    private const long BriefNs = 100_000;

    private static ShortLock s_netpollStart;
    private static bool s_polling;
    private static long s_lookedAt; // By sysmon; who holds a processor notes it there.
    private static long s_looks;    // The same.
    private static long s_events;   // Not exact: what two machines find at once may count once.

    private static bool IsPolling => Volatile.Read(ref s_polling);

    /// <summary>Goroutines and threads that are parked on a descriptor. Those that begin or end to wait while
    /// it is read may be missing, or be there twice. So 0 is true for who has gone idle, after its barrier:
    /// whoever holds a processor asks as well before it sleeps, and the last one finds all. See trap cr.
    /// </summary>
    internal static long NetworkWaiters
    {
        get
        {
            long sum = Netpoll.Waiters;
            for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
            {
                sum += Volatile.Read(ref s_shared.Processors[i]->NetworkWaiters);
            }
            return sum;
        }
    }

    /// <summary>When somebody last looked, in ns.</summary>
    private static long LookedAt
    {
        get
        {
            long last = s_lookedAt;
            for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
            {
                last = Math.Max(last, Volatile.Read(ref s_shared.Processors[i]->LastLook));
            }
            return last;
        }
    }

    /// <summary>Makes the poller if there is none. The runtime has started. 0 or -errno.</summary>
    internal static nint StartNetpoll()
    {
        if (IsPolling)
        {
            return 0;
        }
        s_netpollStart.Enter();
        nint error = IsPolling ? 0 : PollTable.Initialize();
        error = IsPolling || error < 0 ? error : Netpoll.Start();
        if (error == 0 && !IsPolling)
        {
            Os.IgnorePipeSignal();
            Volatile.Write(ref s_polling, true);
            // The keeper reads s_kicks, then IsPolling: it sees the one or sleeps on the other's old value.
            // PollUntil looks whether it was kicked on the way.
            Interlocked.Increment(ref *s_kicks);
            Os.WakeAddress(s_kicks, 1);
        }
        s_netpollStart.Exit();
        return error;
    }

    /// <summary>Waits until the descriptor can be read or written, or may not be waited for. The caller holds
    /// that direction of it. Throws InsufficientMemoryException on a thread. Go: poll_runtime_pollWait.
    /// </summary>
    internal static PollResult WaitNetwork(PollDescriptor* pd, PollMode mode)
    {
        Goroutine* g = EnterWait();
        PollResult result;
        while (true)
        {
            result = pd->State(mode);
            if (result != PollResult.Ready || !PollDescriptor.BeginPark(pd, mode))
            {
                break;
            }
            result = pd->State(mode); // After BeginPark's barrier. Pairs with SetFlag and Close.
            if (result == PollResult.Ready)
            {
                Park(g, &CommitNetwork, PollDescriptor.Word(pd, mode), ParkReason.Network);
            }
            if (PollDescriptor.EndPark(pd, mode))
            {
                result = PollResult.Ready;
                break;
            }
            if (result != PollResult.Ready)
            {
                break;
            }
        }
        LeaveWait(g);
        return result;
    }

    private static bool CommitNetwork(Goroutine* g, void* word)
    {
        bool isThread = g->Kind == GoroutineKind.Thread;
        if (!PollDescriptor.CommitPark((nint*)word, g))
        {
            return false;
        }
        if (isThread)
        {
            Interlocked.MemoryBarrier(); // It is counted. Pairs with CheckOnceMore, KeepTime, HandOn.
            if (!Volatile.Read(ref s_keeping))
            {
                WakeProcessor();
            }
        }
        return true;
    }

    /// <summary>Looks at the network, on a machine that holds p. True when something became runnable.
    /// </summary>
    private static bool PollNetwork(Processor* p)
    {
        if (p->LastFound == 0 && NetworkWaiters == 0) // Where events come nobody needs the sum.
        {
            return false;
        }
        long events = Volatile.Read(ref s_events);
        Turn turn = ShareCore(p, Os.NowNs());
        bool isBrief = turn.End - p->LastLook < BriefNs;
        p->LastLook = turn.End;
        p->Looks++;
        Goroutine* list = Netpoll.Poll(0);
        int found = ReadyInOrder(p, list, alone: isBrief && list != null && list->Link == null);
        p->LastFound = found;
        Trace(p, TraceEvent.Poll, found);
        if (found > 0)
        {
            Volatile.Write(ref s_events, s_events + found);
        }
        JudgeTurn(p, turn, Volatile.Read(ref s_events) - events);
        return found > 0;
    }

    /// <summary>The same on sysmon's thread, if nobody has for a while.</summary>
    private static bool PollIfNobodyDid(long now)
    {
        if (Volatile.Read(ref s_keeping) || now - LookedAt < PollAtLeastEveryNs || NetworkWaiters == 0)
        {
            return false;
        }
        s_lookedAt = now;
        Volatile.Write(ref s_looks, s_looks + 1);
        Goroutine* list = Netpoll.Poll(0);
        if (Traces)
        {
            TraceOutside(TraceEvent.Poll, list == null ? 0 : 1, 0);
        }
        SubmitAll(list);
        return list != null;
    }

    /// <summary>Makes each of a list of waiting goroutines runnable, where the caller holds no processor.
    /// </summary>
    private static void SubmitAll(Goroutine* list)
    {
        Goroutine* first = null;
        while (list != null)
        {
            Goroutine* next = list->Link;
            if (list->Kind == GoroutineKind.Thread || list->IsBubbled)
            {
                Ready(list);
            }
            else
            {
                list->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
                TraceReadyOutside(list);
                list->Link = first;
                first = list;
            }
            list = next;
        }
        if (first == null)
        {
            return;
        }
        s_shared.Lock.Enter();
        for (Goroutine* g = first; g != null; g = g->Link)
        {
            PushGlobal(g);
        }
        s_shared.Lock.Exit();
        Interlocked.MemoryBarrier(); // Pairs with the one in CheckOnceMore.
        WakeProcessor();
    }
}
