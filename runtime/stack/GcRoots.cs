// What the collector must know about stacks it cannot see. It walks the stack that each thread is on,
// precisely; a parked goroutine and the system stack under a running one are on no thread. After the
// runtime's own scan the assembly calls Report, once for marking and once for relocating:
//
//   marking      each word of a parked stack, conservatively: interior and pinned, so it is never rewritten
//   both         object references that live in native memory: precisely, so they are rewritten
//
// "Parked" is decided by one word, the saved sp (core/Context.cs).
//
// While leaks are looked for, the goroutines that may be leaked are left to LeakScan.
//
// Report runs inside the collection, on the collector's thread, every managed thread stopped: raw code.
// Locks: none; the world stands still.

namespace Weft.Runtime;

internal static unsafe class GcRoots
{
    private const int ScanThreadNumber = 0x08;
    private const int ScanThreadCount = 0x0c;
    private const int ScanPromotion = 0x18;
    private const nint Conservative = 3; // GC_CALL_INTERIOR | GC_CALL_PINNED
    private const nint Precise = 0;

    private static delegate*<void> s_atNextMarking;
    private static nint* s_heapLow;
    private static nint* s_heapHigh;
    private static volatile nint s_machines; // Machine*, pushed by exchange.

    /// <summary>All machines there ever were, linked by AllLink.</summary>
    internal static Machine* Machines => (Machine*)s_machines;

    internal static void Initialize()
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        s_heapLow = (nint*)addresses[RuntimeThread.HeapLow];
        s_heapHigh = (nint*)addresses[RuntimeThread.HeapHigh];
    }

    /// <summary>Adds a machine for good: its system stack is scanned from now on.</summary>
    internal static void Register(Machine* m)
    {
        nint old;
        do
        {
            old = s_machines;
            m->AllLink = (Machine*)old;
        }
        while (Interlocked.CompareExchange(ref s_machines, (nint)m, old) != old);
    }

    /// <summary>What to call, once, when a collection has stopped the world next: a raw function.</summary>
    internal static void AtNextMarking(delegate*<void> function) => s_atNextMarking = function;

    internal static void Report(nint report, byte* scan, int generation)
    {
        bool promotion = scan[ScanPromotion] != 0;
        int number = *(int*)(scan + ScanThreadNumber);
        int count = Math.Max(1, *(int*)(scan + ScanThreadCount));
        bool deciding = LeakScan.Begin(report, (nint)scan, promotion, generation);

        if (number == 0)
        {
            if (promotion && s_atNextMarking != null)
            {
                s_atNextMarking();
                s_atNextMarking = null;
            }
            Machine* collecting = Current.Machine();
            if (collecting != null)
            {
                // Its goroutine stops at the end: one that collects in a loop keeps sysmon from ever looking.
                collecting->StopAsked = 1;
            }
            for (Machine* m = (Machine*)s_machines; m != null; m = m->AllLink)
            {
                ReportContext(&m->Context, m->StackHigh, promotion, report, (nint)scan);
            }
        }
        nint carved = GoroutinePages.Carved;
        long now = promotion ? Os.NowNs() : 0;
        int returns = 0;
        for (nint slot = number; slot < carved; slot += count) // Server GC: each thread its share.
        {
            if (!GoroutinePages.IsPresent(slot))
            {
                continue;
            }
            Goroutine* g = GoroutinePages.At(slot);
            if (g->State == GoroutineState.Dead)
            {
                continue;
            }
            if (promotion && returns < StackReturn.MostAtOnce && StackReturn.IsDue(g, now))
            {
                returns++;
                StackReturn.Move(g); // Before its words are reported where they are.
            }
            if (deciding && LeakScan.TryDefer(g))
            {
                continue;
            }
            ReportGoroutine(g, promotion, report, (nint)scan);
        }
    }

    /// <summary>What g refers to. The world stands still.</summary>
    internal static void ReportGoroutine(Goroutine* g, bool promotion, nint report, nint scan)
    {
        nint* slots = Goroutine.ObjectSlots(g);
        for (int i = 0; i < Goroutine.ObjectSlotCount; i++)
        {
            ReportPrecise(slots + i, report, scan);
        }
        ReportContext(&g->Context, g->StackHigh, promotion, report, scan);
    }

    private static void ReportContext(Context* context, nint top, bool promotion, nint report, nint scan)
    {
        nint sp = context->SavedSp;
        if (sp == 0)
        {
            return;
        }
        ReportPrecise(&context->Statics, report, scan);
        ReportPrecise(&context->InlinedStatics, report, scan);
        if (!promotion)
        {
            return;
        }
        nint low = *s_heapLow;
        nint high = *s_heapHigh;
        for (nint* word = (nint*)sp; word < (nint*)top; word++)
        {
            if (*word >= low && *word < high)
            {
                _ = Switch.Call(report, (nint)word, scan, Conservative);
            }
        }
    }

    private static void ReportPrecise(nint* slot, nint report, nint scan)
    {
        if (*slot != 0)
        {
            _ = Switch.Call(report, (nint)slot, scan, Precise);
        }
    }
}
