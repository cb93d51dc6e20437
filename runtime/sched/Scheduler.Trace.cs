// WEFTDEBUG=schedtrace=MS[,scheddetail=1]: a line about the scheduler on standard error, every so many
// milliseconds. Go: GODEBUG, with the same names.
//
//   SCHED 1004ms: gomaxprocs=2 idleprocs=1 threads=5 spinningthreads=0 idlethreads=3 runqueue=0 [4 0]
//
// threads counts sysmon too. In brackets the length of each processor's queue; with scheddetail a line for
// each processor, machine and goroutine instead. Written by sysmon, piece by piece, without stopping
// anybody: what is printed may not fit together.

using System.Globalization;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private static long s_tracePeriodNs;
    private static bool s_traceDetail;
    private static long s_traceStart;
    private static long s_traceNext;

    /// <summary>Reads the value of WEFTDEBUG; what it says about collections. Throws ArgumentException if it
    /// cannot be understood.</summary>
    internal static GcSettings InitializeTrace(string? settings)
    {
        long period = 0;
        bool detail = false;
        bool waits = true;
        bool each = false;
        int? precise = null;
        int? ages = null;
        bool verifies = false;
        foreach (string setting in (settings ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] parts = setting.Split('=', 2);
            bool understood = parts.Length == 2
                && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int value)
                && (parts[0], value) switch
                {
                    ("schedtrace", _) => (period = value) >= 0,
                    ("scheddetail", 0 or 1) => (detail = value == 1) || true,
                    ("dumpeach", 0 or 1) => (each = value == 1) || true,
                    ("dotnetwaits", 0 or 1) => (waits = value == 1) || true,
                    ("gcprecise", 0 or 1) => (precise = value).HasValue,
                    ("gcages", 0 or 1) => (ages = value).HasValue,
                    ("homes", > 0) => (Homes.OwnPages = value) > 0,
                    ("idle", _) => (StackReturn.IdleNs = value * 1_000_000L) >= 0,
                    ("counter", 0 or 1) => (Ticks.MayCount = value == 1) || true,
                    ("gcverify", 0 or 1) => (verifies = value == 1) || true,
                    _ => false,
                };
            if (!understood)
            {
                throw new ArgumentException(
                    $"WEFTDEBUG has '{setting}': it takes schedtrace=MILLISECONDS, scheddetail=1, "
                    + "dumpeach=1, dotnetwaits=0, counter=0, gcprecise=0, gcages=0, gcverify=1, homes=NUMBER "
                    + "and idle=MILLISECONDS, with commas between them.");
            }
        }
        s_tracePeriodNs = period * 1_000_000;
        s_traceDetail = detail;
        DotNetWait.IsOn = waits;
        StackDump.IsEachWanted = each;
        s_traceStart = Os.NowNs();
        s_traceNext = s_traceStart + s_tracePeriodNs;
        return GcSettings.Of(precise, ages, verifies);
    }

    /// <summary>When the next line is due.</summary>
    private static long NextTrace() => s_tracePeriodNs == 0 ? long.MaxValue : s_traceNext;

    private static void TraceIfDue()
    {
        if (s_tracePeriodNs == 0 || CoarseNow < s_traceNext)
        {
            return;
        }
        s_traceNext += s_tracePeriodNs;
        using StringWriter text = new(CultureInfo.InvariantCulture);
        Trace(text);
        Fatal.Write(text.ToString());
    }

    private static void Trace(StringWriter text)
    {
        int machines = Volatile.Read(ref s_machineCount);
        text.Write($"SCHED {(CoarseNow - s_traceStart) / 1_000_000}ms: gomaxprocs={MaxProcessors}");
        text.Write($" idleprocs={Volatile.Read(ref s_shared.IdleProcessorCount)} threads={machines + 1}");
        text.Write($" spinningthreads={Volatile.Read(ref s_shared.Spinning)}");
        text.Write($" idlethreads={Volatile.Read(ref s_idleMachineCount)}");
        text.Write($" runqueue={Volatile.Read(ref s_shared.GlobalCount)}");
        if (s_traceDetail)
        {
            text.Write('\n');
            TraceDetail(text);
            return;
        }
        text.Write(" [");
        for (int i = 0; i < MaxProcessors; i++)
        {
            text.Write($"{(i == 0 ? "" : " ")}{s_shared.Processors[i]->Queue.CountOfAll}");
        }
        text.Write("]\n");
    }

    private static void TraceDetail(StringWriter text)
    {
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Processor* p = s_shared.Processors[i];
            Machine* m = p->Machine;
            text.Write($"  P{i}: status={p->State} m={(m == null ? "nil" : m->Id)}");
            text.Write($" runqsize={p->Queue.CountOfAll} gfreecnt={p->FreeCount}\n");
        }
        for (Machine* m = GcRoots.Machines; m != null; m = m->AllLink)
        {
            if (m->ThreadId == 0)
            {
                continue; // Its thread has ended.
            }
            Processor* p = m->Processor;
            Goroutine* locked = m->Locked;
            text.Write($"  M{m->Id}: p={(p == null ? "nil" : p->Id)} thread={m->ThreadId}");
            text.Write($" spinning={m->IsSpinning} native={(m->NativeCount & 1) != 0}");
            text.Write($" lockedg={(locked == null ? "nil" : locked->Id)}\n");
        }
        for (nint number = 0; number < GoroutineTable.Carved; number++)
        {
            Goroutine* g = GoroutineTable.AliveAt(number);
            if (g == null || g->Kind == GoroutineKind.Thread)
            {
                continue;
            }
            Machine* m = g->State == GoroutineState.Running ? g->Machine : null;
            Machine* locked = g->Locked != 0 ? g->Machine : null;
            text.Write($"  G{g->Id}: status={g->State}({g->Reason}) m={(m == null ? "nil" : m->Id)}");
            text.Write($" lockedm={(locked == null ? "nil" : locked->Id)}\n");
        }
    }
}
