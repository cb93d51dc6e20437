// The end of a time slice: when a goroutine has run for 10 ms and others wait, it is asked to stop.
//
//   sysmon        sees the same RoundsToGlobal, which every switch changes, for a millisecond: sets the
//                 machine's alarm for the slice's end
//   the alarm     SIGURG to the machine: its handler looks whether it is the same slice still, and whether
//                 anybody waits, and interrupts the goroutine (Scheduler.Preempt.cs); if it may not
//                 where it is, which is often a matter of nanoseconds: the alarm again, 50 us later, and
//                 twice as long each time: a signal may cost more than that (HACKING.md, trap ae)
//   sysmon        asks by itself, once a millisecond, where the slice has passed, because somebody came to
//                 wait only later, or because the goroutine could not be interrupted
//
// The alarm is the kernel's timer, because sysmon itself may be late: a thread that wakes on a core that a
// goroutine keeps busy may wait for a tick, 4 ms.
//
// When a slice began: exactly, if it is that of a goroutine which had been interrupted, as loops have; else
// sysmon's first look at it.
//
// Rejected: a clock read at each switch (more than the switch costs); an interval timer for each machine
// (signals for programs that need none). Locks: s_lock, for making an alarm.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    internal const long SliceNs = 10_000_000;
    private const long AskAgainNs = 1_000_000;
    private const long AlarmAfterNs = 1_000_000; // Most goroutines run for less.
    private const long RetryNs = 50_000;
    private const int MostDoublings = 8; // 12.8 ms.

    /// <summary>Asks for preemption when the same goroutine has run on p for a time slice and others wait, or
    /// a timer does; once a millisecond from then on. On sysmon's thread.</summary>
    private static bool PreemptIfLong(Processor* p, Machine* m, long now, long last, bool timerDue)
    {
        int rounds = Volatile.Read(ref p->RoundsToGlobal);
        if (rounds != p->SeenRounds)
        {
            long since = Volatile.Read(ref p->SliceSince);
            p->RoundsSince = since > last ? Math.Min(since, now) : now;
            Volatile.Write(ref p->SeenRounds, rounds); // Pairs with the read in SliceHasEnded.
            return false;
        }
        bool wanted = IsWanted(p) || timerDue;
        long end = p->RoundsSince + SliceNs;
        if (now < end)
        {
            if (s_preempts && now >= p->RoundsSince + AlarmAfterNs && p->AlarmSetFor != p->RoundsSince)
            {
                p->AlarmSetFor = p->RoundsSince;
                m->Retries = 0;
                SetAlarm(m, end);
            }
            s_nextLook = Math.Min(s_nextLook, end);
            return false;
        }
        if (!s_preempts || !wanted)
        {
            s_nextLook = wanted ? s_nextLook
                : Math.Min(s_nextLook, Volatile.Read(ref p->NextTimer) + TimerGraceNs);
            return false;
        }
        bool ask = now >= p->AskedAt + AskAgainNs;
        if (ask)
        {
            p->AskedAt = now;
            Preempt(m);
        }
        s_nextLook = Math.Min(s_nextLook, p->AskedAt + AskAgainNs);
        return ask;
    }

    /// <summary>Whether anybody waits for p but the goroutine that runs on it, timers apart. Raw
    /// code.</summary>
    private static bool IsWanted(Processor* p) =>
        !p->Queue.IsEmpty || Volatile.Read(ref s_globalCount) > 0 || p->Id >= MaxProcessors;

    /// <summary>SIGURG for m at that time. Where the kernel gives no timer, sysmon's own look has to
    /// do.</summary>
    private static void SetAlarm(Machine* m, long end)
    {
        s_lock.Enter();
        if (m->SliceTimer == 0 && m->ThreadId != 0)
        {
            nint made = Os.CreateAlarm(m->ThreadId, Os.SignalUrgent, (nint)m);
            m->SliceTimer = made < 0 ? 0 : made + 1;
        }
        if (m->SliceTimer != 0)
        {
            _ = Os.SetAlarm(m->SliceTimer - 1, end);
            m->SliceTimerIsSet = true;
        }
        s_lock.Exit();
    }

    /// <summary>m is in native code, and its processor gone: a signal would only end a wait there too soon.
    /// On sysmon's thread.</summary>
    private static void CancelAlarm(Machine* m)
    {
        if (!m->SliceTimerIsSet)
        {
            return;
        }
        s_lock.Enter();
        if (m->SliceTimer != 0)
        {
            _ = Os.SetAlarm(m->SliceTimer - 1, Os.NoAlarm);
        }
        m->SliceTimerIsSet = false;
        s_lock.Exit();
    }

    /// <summary>m's goroutine could not be interrupted where it was. In the signal handler, on m. Not in
    /// native code, whose processor is taken, and which signals may disturb.</summary>
    private static void TryAgainSoon(Machine* m)
    {
        if (m->SliceTimer != 0 && (m->NativeCount & 1) == 0)
        {
            long delay = RetryNs << Math.Min(m->Retries++, MostDoublings);
            _ = Os.SetAlarm(m->SliceTimer - 1, Os.NowNs() + delay);
        }
    }

    /// <summary>Whether m's slice, for which the alarm was set, is over and somebody waits. In the signal
    /// handler: raw code. Sysmon may write the two words meanwhile; a wrong answer costs a switch, or a
    /// millisecond.</summary>
    private static bool SliceHasEnded(Machine* m, long now)
    {
        Processor* p = m->Processor;
        return p != null
            && Volatile.Read(ref p->SeenRounds) == p->RoundsToGlobal // Pairs with the write in PreemptIfLong.
            && now >= p->RoundsSince + SliceNs
            && (IsWanted(p) || Volatile.Read(ref p->NextTimer) <= now);
    }
}
