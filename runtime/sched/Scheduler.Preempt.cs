// Preemption: sysmon's signal stops a goroutine that has run for 10 ms while others wait.
//
//   sysmon    PreemptAsked = 1, tgkill(SIGURG); or the machine's alarm goes off (Scheduler.Slice.cs)
//   handler   on the signal stack: may this instruction be interrupted? Then push its address, and go on
//             at weft_preempt, which saves every register and switches to the machine's loop
//   loop      the goroutine goes to the end of the global queue
//
// Where it may not be interrupted it still stops soon: StopAsked is set as well, and asked for where code
// passes the assembly (asm/README.md: RhpPInvokeReturn, RhpReversePInvoke, stop_here). That needs no signal,
// and the conditions are the same, but for the instruction: there it is a call that comes back.
//
// Which instruction may be: one of managed code, on the goroutine's own stack, in no critical section of
// Weft's or of the runtime's. Where it may not, nothing happens; sysmon asks again. A register may hold an
// address in this thread's thread-local block: if the goroutine goes on in another thread, Migrate changes
// it.
//
// Rejected: refusing where there is such an address. It may be left over in a register that a loop never
// uses, and the loop would never be stopped.
//
// Never: native code (its processor is taken instead), with the raw C# that the collector calls inside a
// collection that the goroutine asked for; exception dispatch and what runs inside it, catch and finally
// blocks included: the runtime's own C# lies in the middle of steps that belong together there.
//
// All of the handler is raw code. Locks: none.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    // Of a preempted goroutine's stack: what weft_preempt saved, and where spilled registers may be.
    private const nint PreemptedPart = 8 * 1024;

    private const int DelaysKept = 4096;
    private const int ActionSize = 152;

    private static nint s_managedStart;
    private static nint s_managedEnd;
    private static nint s_preemptCode;
    private static nint s_preemptRoom;
    private static nint* s_hostHandler;
    private static long* s_delays;
    private static bool s_preempts;
    private static long s_preemptions;

    /// <summary>How often a goroutine was interrupted. For tests and the bench.</summary>
    internal static long Preemptions => Volatile.Read(ref s_preemptions);

    /// <summary>From asking to the goroutine's having left its stack, in ns: the last ones, in no order. For
    /// tests and the bench.</summary>
    internal static long[] PreemptionDelays() =>
        new Span<long>(s_delays, (int)Math.Min(Preemptions, DelaysKept)).ToArray();

    /// <summary>Installs the handler. Startup calls it once.</summary>
    internal static void InitializePreemption(bool enabled)
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        s_managedStart = addresses[RuntimeThread.ManagedCodeStart];
        s_managedEnd = addresses[RuntimeThread.ManagedCodeEnd];
        s_preemptCode = addresses[RuntimeThread.PreemptCode];
        nint vector = Os.VectorStateSize();
        *(nint*)addresses[RuntimeThread.VectorSize] = vector;
        s_preemptRoom = vector + SignalContext.GoOnRoom + 1024; // What aligns it, and the switch.
        s_hostHandler = (nint*)addresses[RuntimeThread.HostUrgentAction];
        s_delays = (long*)AddressSpace.Need(DelaysKept * sizeof(long));
        s_preempts = enabled;
        if (enabled)
        {
            nint result = Os.SetHandler(
                Os.SignalUrgent,
                (nint)(delegate*<int, nint, SignalContext*, void>)&OnUrgent,
                out *s_hostHandler);
            Check.Always(result == 0, "signals: cannot install the SIGURG handler"u8);
            s_hostHandler[ActionSize / sizeof(nint)] = 1; // Later handlers are put there, not installed.
        }
    }

    /// <summary>Asks the goroutine that m runs to stop. Any thread.</summary>
    internal static void Preempt(Machine* m)
    {
        AskToStop(m, Os.NowNs());
        Volatile.Write(ref m->PreemptAsked, 1);
        Os.SignalThread(m->ThreadId, Os.SignalUrgent);
    }

    /// <summary>Asks whatever runs on all processors. For tests.</summary>
    internal static void PreemptAll()
    {
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Machine* m = s_shared.Processors[i]->Machine;
            if (m != null)
            {
                Preempt(m);
            }
        }
    }

    private static void OnUrgent(int signal, nint info, SignalContext* context)
    {
        Machine* m = Current.Machine();
        if (m != null && m->PreemptAsked == 0 && Os.IsAlarm(info, (nint)m))
        {
            long now = Os.NowNs();
            MeasureSignal(m, now);
            if (!SliceHasEnded(m, now))
            {
                return;
            }
            AskToStop(m, now);
            m->PreemptAsked = 1;
        }
        if (m != null && m->PreemptAsked != 0)
        {
            bool late = m->PreemptAsked == Machine.PreemptAskedBefore;
            m->PreemptAsked = 0;
            if (late)
            {
                return;
            }
            Goroutine* g = Current.Goroutine(); // None: what it called runs on the system stack.
            if (g != null
                && ((MayPreempt(g, m, context) && Interrupt(g, context)) || InterruptNative(g, m, context)))
            {
                return;
            }
            TryAgainSoon(m);
            return;
        }
        nint host = *s_hostHandler;
        if (host is not (0 or 1))
        {
            _ = Switch.Call(host, signal, info, (nint)context);
        }
    }

    /// <summary>The goroutine goes on in weft_preempt. False when its stack has no room for that.</summary>
    private static bool Interrupt(Goroutine* g, SignalContext* context)
    {
        nint room = s_preemptRoom + SignalContext.RedZone;
        StackGrowth.ReserveBelow(g, context, room);
        if (context->Sp - room < g->StackLow)
        {
            return false;
        }
        return SignalContext.GoOnAt(context, s_preemptCode);
    }

    /// <summary>A goroutine that was interrupted has left its stack on m.</summary>
    private static void CountPreemption(Machine* m)
    {
        long number = Interlocked.Increment(ref s_preemptions) - 1;
        s_delays[number % DelaysKept] = Os.NowNs() - m->PreemptAskedAt;
    }

    private static bool MayPreempt(Goroutine* g, Machine* m, SignalContext* context)
    {
        nint ip = context->Ip;
        nint sp = context->Sp;
        return ip >= s_managedStart && ip < s_managedEnd
            && (m->NativeCount & 1) == 0 && g->NoPreempt == 0 && Switch.Critical() == 0
            && RuntimeThread.Field(m->Thread, RuntimeThread.Table.TransitionFrame) == 0
            && RuntimeThread.Field(m->Thread, RuntimeThread.Table.ExInfo) == 0
            && (RuntimeThread.Field(m->Thread, RuntimeThread.Table.Flags)
                & RuntimeThread.Table.NoCollection) == 0
            && !RuntimeThread.IsMakingStatics(m->Thread)
            && sp >= g->StackLow && sp < g->StackHigh;
    }
}
