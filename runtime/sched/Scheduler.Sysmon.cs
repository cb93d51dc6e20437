// Sysmon: a thread without a processor that looks after the others'. Go: sysmon.
//
//   20 us, and after a millisecond without anything to do twice as long each time, up to 10 ms, but not past
//   the end of a time slice, nor past a timer of a processor that does not switch; up to 2 ms where somebody
//   waits for a processor, or will before long
//   all processors idle: asleep until one is taken. An idle program uses no CPU.
//
// It takes processors from machines that have been in one native call since the last look. Where nobody waits
// for a processor, or the call has said that it does not block (asm/sockets.c: its thread has lost its core,
// and another would want the same), it leaves them theirs for 10 ms: coming back would cost them more. And it
// asks goroutines to stop that have run for 10 ms while others wait (Scheduler.Slice.cs), and looks at the
// network if nobody has for 10 ms (Scheduler.Netpoll.cs). And it gives memory of goroutines that have ended
// back to the system, a megabyte every 5 ms, every millisecond while all are idle (stack/Homes.cs,
// stack/FixedStacks.cs); of those that wait, by a collection, where there is none otherwise
// (stack/StackReturn.cs). And it looks, twenty times a second while anything runs, at the handlers of signals
// (stack/LateHandlers.cs) and at what libraries are loaded (stack/CxxExceptions.cs), and once a second how
// many processors the process may use (Scheduler.FollowLimit.cs).

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long ShortestNapNs = 20_000;
    private const long LongestNapNs = 10_000_000;
    private const long NapBesideWaitersNs = 2_000_000;
    private const int RoundsBeforeLonger = 50;
    private const long ReturnEveryNs = 5_000_000;
    private const long ReturnEveryIdleNs = 1_000_000;
    private const long StacksEveryNs = 1_100_000_000; // A bit more than what a stack has to wait.
    private const long StacksShareOfTime = 20; // It collects in a twentieth of the time at most.
    private const long ShortPauseNs = 5_000_000;
    private const long NsToLookAtOne = 500; // In a collection, roughly: a stack not looked at before.
    private const long ProcessEveryNs = 50_000_000;
    private const long StallNs = 100_000_000;
    private const long TimerGraceNs = 1_000_000; // A processor that switches finds its timers by itself.

    private static int* s_sysmonAsleep;
    private static long s_nextLook;
    private static long s_lastReturn;
    private static long s_lastLookAtProcess;
    private static long s_nextLookAtStacks;
    private static int s_collectionsSeen;
    private static bool s_stacksReturn; // The last collection for it let some come down.

    /// <summary>How long native code may keep a processor that others wait for, if it has not announced that
    /// it blocks. Zero for C#, whose native calls are short or block; a time slice where the goroutines are
    /// native code themselves. Set before the start.</summary>
    internal static long NativeGraceNs { get; set; }

    /// <summary>The time as of sysmon's last look, in ns: at most a look's distance old while anything runs.
    /// </summary>
    internal static long CoarseNow => CoarseTime.Now;

    /// <summary>Starts the thread. Startup calls it once.</summary>
    private static void StartSysmon()
    {
        s_sysmonAsleep = (int*)AddressSpace.Need(Os.PageSize);
        CoarseTime.Now = Os.NowNs();
        nint error = Os.StartThread(&SysmonMain, 0);
        if (error < 0)
        {
            throw new InsufficientMemoryException(
                $"The system refuses a thread, error {-error}: see ulimit -u and ulimit -v.");
        }
    }

    [UnmanagedCallersOnly]
    private static nint SysmonMain(nint argument)
    {
        Os.NameThread("weft sysmon"u8);
        Os.PreferShortTurns(); // Else it waits up to 4 ms, a tick, on a core that a goroutine keeps busy.
        long nap = ShortestNapNs;
        long last = CoarseNow;
        int idleRounds = 0;
        while (true)
        {
            if (idleRounds > RoundsBeforeLonger)
            {
                nap = Math.Min(nap * 2, LongestNapNs);
            }
            Os.Sleep(Math.Min(nap, Math.Max(ShortestNapNs, s_nextLook - CoarseNow)));
            CoarseTime.Now = Os.NowNs();
            TraceIfDue();
            QuitReport.BeginIfAsked();
            if (SleepWhileAllAreIdle())
            {
                idleRounds = 0;
                nap = ShortestNapNs;
            }
            ReturnPagesIfDue(ReturnEveryNs);
            _ = CollectForStacksIfDue(allAreIdle: false);
            LookAtProcessIfDue();
            FollowLimitIfDue();
            bool acted = LookAtProcessors(CoarseNow, last);
            acted |= PollIfNobodyDid(CoarseNow);
            last = CoarseNow;
            if (acted)
            {
                idleRounds = 0;
                nap = ShortestNapNs;
            }
            else
            {
                idleRounds++;
            }
        }
    }

    /// <summary>True when it has slept.</summary>
    private static bool SleepWhileAllAreIdle()
    {
        s_shared.Lock.Enter();
        bool sleep = s_shared.IdleProcessorCount == s_shared.MaxProcessors;
        if (sleep)
        {
            *s_sysmonAsleep = 1; // PopIdle clears it, under the same lock.
        }
        s_shared.Lock.Exit();
        if (!sleep)
        {
            return false;
        }
        Interlocked.MemoryBarrier(); // Before what was asked for is read: pairs with RouseSysmon.
        QuitReport.BeginIfAsked();
        long delay = FirstDeadlockCheckNs;
        long checkAt = CoarseNow + delay;
        long stallAt = CoarseNow + StallNs;
        bool looksAtStacks = true;
        while (Volatile.Read(ref *s_sysmonAsleep) != 0)
        {
            long until = Math.Min(DetectsDeadlocks ? checkAt : long.MaxValue, NextTrace());
            until = Math.Min(until, NextReturn(ReturnEveryIdleNs));
            until = looksAtStacks ? Math.Min(until, s_nextLookAtStacks) : until;
            until = Volatile.Read(ref s_shortOfThreads) ? Math.Min(until, stallAt) : until;
            long limit = until == long.MaxValue ? Os.NoLimit : Math.Max(0, until - Os.NowNs());
            if (Os.WaitOnAddress(s_sysmonAsleep, 1, limit))
            {
                continue;
            }
            CoarseTime.Now = Os.NowNs();
            TraceIfDue();
            ReturnPagesIfDue(ReturnEveryIdleNs);
            looksAtStacks = looksAtStacks && CollectForStacksIfDue(allAreIdle: true);
            if (CoarseNow >= stallAt)
            {
                LetOneMoreRunIfShort();
                stallAt = CoarseNow + StallNs;
            }
            if (DetectsDeadlocks && CoarseNow >= checkAt)
            {
                ReportDeadlock();
                delay = Math.Min(2 * delay, LastDeadlockCheckNs);
                checkAt = CoarseNow + delay;
            }
        }
        return true;
    }

    /// <summary>When the next pages go back to the system.</summary>
    private static long NextReturn(long every) =>
        Homes.HasTooMany || GoroutineTable.HasTooMany || StackStore.HasTooMany || FixedStacks.HasTooMany
            ? s_lastReturn + every : long.MaxValue;

    /// <summary>What the rest of the process does without asking: it installs handlers, and loads
    /// libraries.</summary>
    private static void LookAtProcessIfDue()
    {
        if (CoarseNow >= s_lastLookAtProcess + ProcessEveryNs)
        {
            s_lastLookAtProcess = CoarseNow;
            _ = LateHandlers.Move();
            CxxExceptions.LookIfLoaded();
        }
    }

    private static void ReturnPagesIfDue(long every)
    {
        if (CoarseNow >= NextReturn(every))
        {
            s_lastReturn = CoarseNow;
            Homes.ReturnSome();
            GoroutineTable.ReturnSome();
            StackStore.ReturnSome();
            FixedStacks.ReturnSome();
        }
    }

    /// <summary>Collects, where the process does not, and stacks of goroutines that wait would come down by
    /// that (StackReturn.cs). False where there was nothing to do, nor will be before something
    /// runs.</summary>
    private static bool CollectForStacksIfDue(bool allAreIdle)
    {
        if (CoarseNow < s_nextLookAtStacks)
        {
            return true;
        }
        s_nextLookAtStacks = CoarseNow + StacksEveryNs;
        int collections = GC.CollectionCount(0);
        bool collects = collections != s_collectionsSeen;
        s_collectionsSeen = collections;
        if (collects)
        {
            return true;
        }
        if (!StackReturn.WouldReturn(s_stacksReturn ? 1 : Layout.StacksToCollectFor, CoarseNow))
        {
            s_stacksReturn = false;
            return false;
        }
        if (!MayPause(allAreIdle))
        {
            return true;
        }
        long returns = StackReturn.Returns;
        if (Traces)
        {
            TraceOutside(TraceEvent.CollectForStacks, 0, 0);
        }
        long begun = Os.NowNs();
        GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        s_collectionsSeen = GC.CollectionCount(0);
        long now = Os.NowNs();
        s_stacksReturn = StackReturn.Returns > returns;
        long pause = s_stacksReturn ? (now - begun) * StacksShareOfTime : long.MaxValue;
        s_nextLookAtStacks = now + Math.Min(pause, StacksEveryNs);
        return true;
    }

    /// <summary>Whether nobody is kept waiting by a collection: it is short, or nothing runs, and it will be
    /// over before the next timer is due. The first one beside a million that wait takes half a
    /// second.</summary>
    private static bool MayPause(bool allAreIdle)
    {
        long pause = GoroutineTable.CountOfUnknownAge * NsToLookAtOne;
        return pause < ShortPauseNs || (allAreIdle && EarliestTimer() - CoarseNow > 2 * pause);
    }

    /// <summary>Makes sysmon look at what was asked of it, which the caller has written. Raw code, in a
    /// signal handler too. It may go back to sleep, as all may be idle still.</summary>
    internal static void RouseSysmon()
    {
        Interlocked.MemoryBarrier(); // Pairs with the one in SleepWhileAllAreIdle.
        Volatile.Write(ref *s_sysmonAsleep, 0);
        Os.WakeAddress(s_sysmonAsleep, 1);
    }

    /// <summary>Under the lock, by who makes a processor busy.</summary>
    private static void WakeSysmon()
    {
        if (*s_sysmonAsleep != 0)
        {
            *s_sysmonAsleep = 0;
            CoarseTime.Now = Os.NowNs();
            Os.WakeAddress(s_sysmonAsleep, 1);
        }
    }

    /// <summary>True when there was something to do. The last look was at that time.</summary>
    private static bool LookAtProcessors(long now, long last)
    {
        bool acted = false;
        bool late = false;
        s_nextLook = long.MaxValue;
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Processor* p = s_shared.Processors[i];
            // The structs stay: a stale one does no harm. Pairs with Hold.
            Machine* m = (Machine*)Volatile.Read(ref *(nint*)&p->Machine);
            if (m == null || p->State != ProcessorState.Held)
            {
                continue;
            }
            uint count = Volatile.Read(ref m->NativeCount);
            bool timerDue = Volatile.Read(ref p->NextTimer) <= now - TimerGraceNs;
            if (timerDue && p->RoundsToGlobal != 0)
            {
                p->RoundsToGlobal = 0; // The next switch goes to the loop, which runs timers.
                AskToStop(m, now);
                acted = true;
            }
            if (IsWanted(p) || Volatile.Read(ref p->NextTimer) < now + LongestNapNs)
            {
                s_nextLook = Math.Min(s_nextLook, now + NapBesideWaitersNs);
            }
            late |= Volatile.Read(ref p->NextTimer) <= now - (2 * TimerGraceNs);
            acted |= PreemptIfLong(p, m, now, last, timerDue);
            if (count != p->SeenNative)
            {
                p->SeenNative = count;
                p->SeenSince = now;
                continue;
            }
            if ((count & 1) == 0)
            {
                continue;
            }
            bool wanted = !p->Queue.IsEmpty || Volatile.Read(ref s_shared.GlobalCount) > 0
                || Volatile.Read(ref s_shared.IdleProcessorCount) + Volatile.Read(ref s_shared.Spinning) == 0
                || p->Id >= MaxProcessors || timerDue;
            long grace = !wanted || count == m->ShortCount ? SliceNs
                : count == m->BlockingCount ? 0 : NativeGraceNs;
            if (now - p->SeenSince >= grace)
            {
                acted |= TakeFromNative(p, m, count);
            }
        }
        if (late)
        {
            LetAnybodyRunTimers(now);
        }
        return acted;
    }

    /// <summary>A processor did not run its timers although it was asked to: it computes, or its thread has
    /// no core, where there are more processors than cores. Whoever comes to its loop first runs
    /// them.</summary>
    private static void LetAnybodyRunTimers(long now)
    {
        Volatile.Write(ref s_timersLate, true);
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Machine* m = s_shared.Processors[i]->Machine;
            if (m != null)
            {
                AskToStop(m, now);
            }
        }
    }
}
