// The end of a time slice: when a goroutine has run for 10 ms and others wait, it is asked to stop.
//
//   sysmon        sees the same Processor.Runs, which every switch changes, for a millisecond: sets the
//                 machine's alarm for the slice's end
//   the alarm     SIGURG to the machine: its handler looks whether it is the same slice still, and whether
//                 anybody waits, and interrupts the goroutine (Scheduler.Preempt.cs); if it may not
//                 where it is, which is often a matter of nanoseconds: the goroutine is to stop where it next
//                 passes Weft (StopAsked), and the alarm comes again 20 us later. The distance grows with
//                 each try, and where signals are slow, so that the thread goes on (HACKING.md, trap ae)
//   sysmon        asks by itself, once a millisecond, where the slice has passed, because somebody came to
//                 wait only later, or because the goroutine could not be interrupted
//                 and sets StopAsked, without a signal, where a timer has been due for a millisecond: stops
//                 on the way cost no more than a switch
//
// The alarm is the kernel's timer, because sysmon itself may be late: a thread that wakes on a core that a
// goroutine keeps busy may wait for a tick, 4 ms.
//
// When a slice began: when its goroutine began to run, not when somebody came to wait. Exactly, if that had
// been stopped in the middle, as loops have; else sysmon's first look at it, at most 2 ms later where
// somebody waits or will soon.
//
// Rejected: a clock read at each switch (more than the switch costs); an interval timer for each machine
// (signals for programs that need none). Locks: the scheduler's, for making an alarm.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    internal const long SliceNs = 10_000_000;
    private const long AskAgainNs = 1_000_000;
    private const long AlarmAfterNs = 1_000_000; // Most goroutines run for less.
    private const long RetryNs = 20_000;
    private const int RetryPerCost = 2;
    private const int TriesToDouble = 128;

    /// <summary>Asks for preemption when the same goroutine has run on p for a time slice and others wait, or
    /// a timer does; once a millisecond from then on. On sysmon's thread.</summary>
    private static bool PreemptIfLong(Processor* p, Machine* m, long now, long last, bool timerDue)
    {
        long runs = Volatile.Read(ref p->Runs);
        if (runs != p->SeenRuns)
        {
            long since = Volatile.Read(ref p->SliceSince);
            p->RunsSince = since > last ? Math.Min(since, now) : now;
            Volatile.Write(ref p->SeenRuns, runs); // Pairs with the read in SliceHasEnded.
            return false;
        }
        bool wanted = IsWanted(p) || timerDue;
        long end = p->RunsSince + SliceNs;
        if (now < end)
        {
            if (s_preempts && now >= p->RunsSince + AlarmAfterNs && p->AlarmSetFor != p->RunsSince)
            {
                p->AlarmSetFor = p->RunsSince;
                SetAlarm(m, end);
            }
            s_nextLook = Math.Min(s_nextLook, end);
            return false;
        }
        if (!wanted)
        {
            s_nextLook = Math.Min(s_nextLook, Volatile.Read(ref p->NextTimer) + TimerGraceNs);
            return false;
        }
        bool ask = now >= p->AskedAt + AskAgainNs;
        if (ask)
        {
            p->AskedAt = now;
            AskToStop(m, now);
            if (Traces)
            {
                TraceOutside(TraceEvent.AskedToStop, p->Id, 0);
            }
            if (s_preempts && ((Volatile.Read(ref m->NativeCount) & 1) == 0 || s_sectionCount != 0))
            {
                Preempt(m); // In other native code a signal would do nothing but disturb it.
            }
        }
        s_nextLook = Math.Min(s_nextLook, p->AskedAt + AskAgainNs);
        return ask;
    }

    /// <summary>What m runs stops where it next passes Weft. In the signal handler too: raw code.</summary>
    private static void AskToStop(Machine* m, long now)
    {
        if (m->StopAsked == 0)
        {
            m->PreemptAskedAt = now;
            Volatile.Write(ref m->StopAsked, 1);
        }
    }

    /// <summary>Whether anybody waits for p but the goroutine that runs on it, timers apart. Raw
    /// code.</summary>
    private static bool IsWanted(Processor* p) =>
        !p->Queue.IsEmpty || Volatile.Read(ref s_shared.GlobalCount) > 0 || p->Id >= MaxProcessors;

    /// <summary>SIGURG for m at that time. Where the kernel gives no timer, sysmon's own look has to
    /// do.</summary>
    private static void SetAlarm(Machine* m, long end)
    {
        s_shared.Lock.Enter();
        if (m->SliceTimer == 0 && m->ThreadId != 0)
        {
            nint made = Os.CreateAlarm(m->ThreadId, Os.SignalUrgent, (nint)m);
            m->SliceTimer = made < 0 ? 0 : made + 1;
        }
        if (m->SliceTimer != 0)
        {
            m->AlarmAt = end;
            m->AlarmTries = 0;
            _ = Os.SetAlarm(m->SliceTimer - 1, end);
            m->SliceTimerIsSet = true;
        }
        s_shared.Lock.Exit();
    }

    /// <summary>m is in native code, and its processor gone: a signal would only end a wait there too soon.
    /// On sysmon's thread.</summary>
    private static void CancelAlarm(Machine* m)
    {
        if (!m->SliceTimerIsSet)
        {
            return;
        }
        s_shared.Lock.Enter();
        if (m->SliceTimer != 0)
        {
            _ = Os.SetAlarm(m->SliceTimer - 1, Os.NoAlarm);
        }
        m->SliceTimerIsSet = false;
        s_shared.Lock.Exit();
    }

    /// <summary>m's goroutine could not be interrupted where it was. In the signal handler, on m. Not in
    /// native code, whose processor is taken, and which signals may disturb.</summary>
    private static void TryAgainSoon(Machine* m)
    {
        if (m->SliceTimer != 0 && (m->NativeCount & 1) == 0)
        {
            int tries = ++m->AlarmTries;
            long distance = Math.Max(RetryNs, RetryPerCost * m->SignalCost);
            m->AlarmAt = Os.NowNs() + distance + (distance * tries / TriesToDouble);
            _ = Os.SetAlarm(m->SliceTimer - 1, m->AlarmAt);
        }
    }

    /// <summary>The alarm of m, which was set for AlarmAt, has come. What that took is what the signals cost,
    /// unless the thread had to wait for a core: so the estimate follows a single late one by little.
    /// In the signal handler.</summary>
    private static void MeasureSignal(Machine* m, long now)
    {
        long took = Math.Max(0, now - m->AlarmAt);
        m->SignalCost = Math.Min(took, (2 * m->SignalCost) + (RetryNs / RetryPerCost));
    }

    /// <summary>Whether m's slice, for which the alarm was set, is over and somebody waits. In the signal
    /// handler: raw code. Sysmon may write the two words meanwhile; a wrong answer costs a switch, or a
    /// millisecond.</summary>
    private static bool SliceHasEnded(Machine* m, long now)
    {
        Processor* p = m->Processor;
        return p != null
            && Volatile.Read(ref p->SeenRuns) == p->Runs // Pairs with the write in PreemptIfLong.
            && now >= p->RunsSince + SliceNs
            && (IsWanted(p) || Volatile.Read(ref p->NextTimer) <= now);
    }
}
