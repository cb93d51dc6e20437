// What the collector must know about stacks it cannot see. It walks the stack that each thread is on,
// precisely; a parked goroutine and the system stack under a running one are on no thread. After the
// runtime's own scan the assembly calls Report, once for marking and once for relocating:
//
//   both         each word of a parked goroutine that holds a reference, control block and stack: changed
//                where the object moves (FrameWalk, and StackShapes, which remembers walks)
//   marking      where a stack cannot be walked, and of system stacks, each word that could be a reference:
//                interior and pinned, so it is never rewritten
//
// "Parked" is decided by one word, the saved sp (core/Context.cs).
//
// Ages. A goroutine all of whose objects are older than the generation that is collected has nothing to say:
// what it refers to stays, and stays where it is. So each gets an age when it is looked at (core/GcAges.cs),
// and the next collection passes by those that are too old for it, 64 at a time, without a look at their
// memory.
//
//   marking      the generations its objects are of now. If nothing moves they do not become younger: what is
//                swept stays in its region, which is of the same generation afterwards, or of the next
//   relocating   the generations its objects will be of, where they have moved to: the collector may have put
//                a pinned one, and what lies around it, into a younger generation
//
// Only of one that waits, for something that ends without anybody writing to its frames or that asks for the
// age to be forgotten first (IsSettled). Dead ones have an age as well, and cost nothing.
//
// While leaks are looked for, the goroutines that may be leaked are left to LeakScan.
//
// WEFTDEBUG: gcprecise=0, gcages=0 turn either off; gcverify=1 looks at those that are passed by, and ends
// the process where one refers to something younger than its age says.
//
// Rejected: to remember what each refers to. It would be a table of eight words a goroutine, which has to be
// updated like the stacks.
//
// Report runs inside the collection, on the collector's thread, every managed thread stopped: raw code. A
// fault in there would leave the world stopped: FaultHandler asks IsReporting, and ends the process.
// Locks: none; the world stands still.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Weft.Runtime;

internal static unsafe class GcRoots
{
    internal const int ScanThreadNumber = 0x08;
    private const int ScanThreadCount = 0x0c;
    internal const int ScanPromotion = 0x18;
    private const nint Conservative = 1 | Pinned; // GC_CALL_INTERIOR
    private const nint Pinned = 2; // GC_CALL_PINNED
    private const nint Precise = 0;
    private const int SlotsAtOnce = 64; // That a thread of the server collector takes, in turn: a cache line.
    private const int MostReporting = 1024;

    private static delegate*<void> s_atNextMarking;
    private static volatile nint s_machines; // Machine*, pushed by exchange.
    private static nint* s_reporting;
    private static int s_reportingEnd;
    private static bool s_hasAges;
    private static bool s_verifies;
    private static string? s_whyNotPrecise;

    /// <summary>All machines there ever were, linked by AllLink.</summary>
    internal static Machine* Machines => (Machine*)s_machines;

    /// <summary>How many goroutines were looked at in collections. For tests.</summary>
    internal static long Visits { get; private set; }

    /// <summary>How many of those word by word. For tests.</summary>
    internal static long WordByWord { get; private set; }

    internal static void Initialize(GcSettings settings)
    {
        Regions.Initialize();
        StackShapes.Initialize();
        s_reporting = (nint*)AddressSpace.Need(MostReporting * sizeof(nint));
        FrameWalk.Load();
        s_whyNotPrecise = settings.IsPrecise ? FrameWalk.FindMismatch(FrameWalk.Table) : null;
        FrameWalk.IsOn = settings.IsPrecise && s_whyNotPrecise == null;
        s_hasAges = settings.HasAges && Regions.IsKnown;
        s_verifies = settings.Verifies;
        StackShapes.Verifies = settings.Verifies;
    }

    /// <summary>What this process does, for WEFTDEBUG.</summary>
    internal static string Describe()
    {
        string precise = FrameWalk.IsOn ? "precisely"
            : s_whyNotPrecise == null ? "word by word" : $"word by word ({s_whyNotPrecise})";
        string ages = s_hasAges ? "by age" : Regions.IsKnown ? "all of them" : "all of them (no regions)";
        string verified = s_verifies ? ", verified" : "";
        return $"weft: collections: parked stacks are read {precise}, {ages}{verified}";
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

    /// <summary>Whether the calling thread is in the middle of a report. Raw code; in a signal handler.
    /// </summary>
    internal static bool IsReporting()
    {
        nint thread = Current.ThreadPointer();
        for (int i = 0; i < s_reportingEnd; i++)
        {
            if (s_reporting[i] == thread)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>From here to EndReport a fault of this thread ends the process.</summary>
    internal static void BeginReport(nint scan)
    {
        int at = *(int*)(scan + ScanThreadNumber) & (MostReporting - 1);
        s_reporting[at] = Current.ThreadPointer();
        int end = Math.Max(at + 1, *(int*)(scan + ScanThreadCount)); // The same for all that report now.
        if (end > s_reportingEnd)
        {
            s_reportingEnd = Math.Min(end, MostReporting);
        }
    }

    internal static void EndReport(nint scan) =>
        s_reporting[*(int*)(scan + ScanThreadNumber) & (MostReporting - 1)] = 0;

    internal static void Report(nint report, byte* scan, int generation)
    {
        long begun = Ticks.Now();
        BeginReport((nint)scan);
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
                if (m->Context.SavedSp != 0)
                {
                    ReportPrecise(&m->Context.Statics, report, (nint)scan);
                    ReportPrecise(&m->Context.InlinedStatics, report, (nint)scan);
                    if (promotion)
                    {
                        _ = ReportWords(m->Context.SavedSp, m->StackHigh, report, (nint)scan);
                    }
                }
            }
        }
        ReportGoroutines(number, count, promotion, report, scan, generation, deciding);
        if (number == 0)
        {
            Pauses.All->ScanTicks += Ticks.Now() - begun; // Others of the collector's threads work beside it.
        }
        EndReport((nint)scan);
    }

    private static void ReportGoroutines(
        int number, int count, bool promotion, nint report, byte* scan, int generation, bool deciding)
    {
        byte* ages = GoroutineTable.Ages;
        nint carved = GoroutineTable.Carved;
        int oldest = generation + 1; // Ages above this one are passed by.
        int visits = 0;
        if (promotion)
        {
            StackReturn.Run(number, count, generation); // Before its words are reported where they are.
        }
        if (s_verifies && promotion)
        {
            Verify(number, count, oldest, (nint)scan);
        }
        for (nint first = (nint)number * SlotsAtOnce; first < carved; first += (nint)count * SlotsAtOnce)
        {
            if (AreAbove(oldest, ages + first))
            {
                continue; // What lies behind the carved ones is never above.
            }
            nint end = Math.Min(first + SlotsAtOnce, carved);
            for (nint slot = first; slot < end; slot++)
            {
                if (ages[slot] > oldest)
                {
                    continue;
                }
                PrefetchAhead(ages, slot, carved);
                Goroutine* g = GoroutineTable.AliveAt(slot);
                if (g == null)
                {
                    ages[slot] = GcAges.Dead;
                    continue;
                }
                if (deciding && LeakScan.TryDefer(g))
                {
                    continue;
                }
                visits++;
                int youngest = ReportGoroutine(g, promotion, report, (nint)scan, promotion ? -1 : generation);
                ages[slot] = s_hasAges && IsSettled(g) ? (byte)(youngest + 1) : GcAges.Unknown;
            }
        }
        if (promotion)
        {
            Visits += visits; // Exact with one thread.
        }
    }

    /// <summary>Whether all ages of a cache line are above that one: numbers below 128. Without a
    /// branch.</summary>
    private static bool AreAbove(int age, byte* line)
    {
        sbyte* from = (sbyte*)line;
        int width = Vector128<sbyte>.Count;
        Vector128<sbyte> least = Vector128.Min(
            Vector128.Min(Vector128.Load(from), Vector128.Load(from + width)),
            Vector128.Min(Vector128.Load(from + (2 * width)), Vector128.Load(from + (3 * width))));
        return Vector128.GreaterThanAll(least, Vector128.Create((sbyte)age));
    }

    /// <summary>What is looked at next lies a page from what is looked at now: most of the time is spent
    /// waiting for memory.</summary>
    private static void PrefetchAhead(byte* ages, nint slot, nint carved)
    {
        const int far = 8;
        const int near = 4;
        if (!Sse.IsSupported || slot + far >= carved)
        {
            return;
        }
        if (ages[slot + far] < GcAges.Dead)
        {
            byte* g = (byte*)GoroutineTable.At(slot + far);
            Sse.Prefetch0(g);
            Sse.Prefetch0(g + Layout.CacheLine);
            Sse.Prefetch0(g + (2 * Layout.CacheLine));
        }
        if (ages[slot + near] < GcAges.Dead)
        {
            byte* sp = (byte*)Goroutine.FramesOf(GoroutineTable.At(slot + near));
            for (int line = 0; line < 5; line++)
            {
                Sse.Prefetch0(sp + (line * Layout.CacheLine));
            }
        }
    }

    /// <summary>Reports what g refers to; the youngest generation of it, or -1 where that is not known. The
    /// generation: see Regions.GenerationOf. The world stands still.</summary>
    internal static int ReportGoroutine(Goroutine* g, bool promotion, nint report, nint scan, int planned)
    {
        int youngest = Collector.OldestGeneration;
        nint* slots = Goroutine.ObjectSlots(g);
        for (int i = 0; i < Goroutine.ObjectSlotCount; i++)
        {
            youngest = Math.Min(youngest, ReportSlot(slots + i, Precise, report, scan, planned));
        }
        nint sp = g->Context.SavedSp;
        if (sp == 0)
        {
            return -1;
        }
        nint frames = Goroutine.FramesOf(g);
        youngest = Math.Min(youngest, ReportSlot(&g->Context.Statics, Precise, report, scan, planned));
        youngest = Math.Min(youngest, ReportSlot(&g->Context.InlinedStatics, Precise, report, scan, planned));
        if (IsWalked(g))
        {
            return Math.Min(youngest, ReportFrames(sp, g->StackHigh, frames, report, scan, planned));
        }
        if (!promotion)
        {
            return -1; // Nothing of the stack has moved; but the generations may be others by now.
        }
        WordByWord++;
        return Math.Min(youngest, ReportWords(frames, frames + (g->StackHigh - sp), report, scan));
    }

    /// <summary>Whether the frames of g, which is parked, are walked, not read word by word.</summary>
    private static bool IsWalked(Goroutine* g) =>
        g->Kind != GoroutineKind.Thread && FrameWalk.IsOn
        && FrameWalk.CanWalk(&g->Context, Goroutine.FramesOf(g));

    /// <summary>Reports a word if it holds an object of the heap's; its generation, or the oldest.</summary>
    private static int ReportSlot(nint* slot, nint flags, nint report, nint scan, int planned)
    {
        if (!Regions.IsInHeap(*slot))
        {
            return Collector.OldestGeneration;
        }
        if (report != 0)
        {
            _ = Switch.Call(report, (nint)slot, scan, flags);
        }
        // Where it is now, or has moved to. A word that is read as one may lie where nothing is yet.
        return s_hasAges && Regions.IsCovered(*slot) ? Regions.GenerationOf(*slot, planned) : 0;
    }

    private static int ReportFrames(nint sp, nint top, nint frames, nint report, nint scan, int planned)
    {
        StackShapes.Cache* cache = StackShapes.Of(*(int*)(scan + ScanThreadNumber));
        StackShapes.Shape* shape = StackShapes.Find(cache, sp, top, frames, scan);
        if (shape == null && frames == sp)
        {
            return ReportWalk(sp, top, report, scan, planned);
        }
        return shape != null
            ? ReportShape(shape, frames, report, scan, planned)
            : ReportStored(sp, top, frames, report, scan, planned);
    }

    private static int ReportShape(
        StackShapes.Shape* shape, nint frames, nint report, nint scan, int planned)
    {
        int youngest = Collector.OldestGeneration;
        int count = shape->SlotCount;
        for (int i = 0; i < count; i++)
        {
            nint* slot = StackShapes.SlotAt(shape, i, frames, out nint flags);
            youngest = Math.Min(youngest, ReportSlot(slot, flags, report, scan, planned));
        }
        return youngest;
    }

    /// <summary>One that is stored, and whose shape is not to be remembered: it is learned for this once. It
    /// has none where the runtime looks for the method of an interface call: then it is read word by word, as
    /// is found out in either pass.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ReportStored(nint sp, nint top, nint frames, nint report, nint scan, int planned)
    {
        byte* memory = stackalloc byte[StackShapes.MostOfStored];
        StackShapes.Shape* shape = (StackShapes.Shape*)memory;
        if (StackShapes.LearnStored(shape, sp, top, frames, scan))
        {
            return ReportShape(shape, frames, report, scan, planned);
        }
        return planned >= 0 ? -1 : ReportWords(frames, frames + (top - sp), report, scan);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ReportWalk(nint sp, nint top, nint report, nint scan, int planned)
    {
        FrameWalk.Walk walk;
        FrameWalk.Begin(&walk, sp, top, isBounded: true);
        walk.Function = report;
        walk.Planned = planned;
        walk.Youngest = Collector.OldestGeneration;
        FrameWalk.Run(&walk, &OnWalk, scan);
        return walk.Youngest;
    }

    private static void OnWalk(nint* word, nint scan, uint flags)
    {
        FrameWalk.Walk* walk = FrameWalk.Of(scan);
        if (!FrameWalk.IsOwn(walk, word))
        {
            bool stays = walk->Planned >= 0 && ((nint)flags & Pinned) != 0; // Perhaps no reference at all.
            nint report = stays ? 0 : walk->Function;
            int generation = ReportSlot(word, (nint)flags, report, scan, walk->Planned);
            walk->Youngest = Math.Min(walk->Youngest, generation);
        }
    }

    /// <summary>Reports each word that could be a reference; the youngest generation of them.</summary>
    private static int ReportWords(nint sp, nint top, nint report, nint scan)
    {
        int youngest = Collector.OldestGeneration;
        for (nint* word = (nint*)sp; word < (nint*)top; word++)
        {
            youngest = Math.Min(youngest, ReportSlot(word, Conservative, report, scan, planned: -1));
        }
        return youngest;
    }

    private static void ReportPrecise(nint* slot, nint report, nint scan)
    {
        if (*slot != 0)
        {
            _ = Switch.Call(report, (nint)slot, scan, Precise);
        }
    }

    /// <summary>Whether nobody writes a reference to its frames or its control block before the age is
    /// forgotten: it waits, and who lets it go on has to make it Runnable first; a peer that gives it an
    /// element takes its waiter out of the queue first.</summary>
    internal static bool IsSettled(Goroutine* g)
    {
        if (g->State != GoroutineState.Waiting || g->Context.SavedSp == 0 || g->Kind == GoroutineKind.Thread)
        {
            return false;
        }
        switch (g->Reason)
        {
            case ParkReason.ChanSend:
            case ParkReason.ChanReceive:
                return Goroutine.WaiterOf(g)->IsQueued;

            case ParkReason.Network:
            case ParkReason.WaitGroup:
            case ParkReason.Select: // Elements lie in its cases, which are objects.
            case ParkReason.Sleep:
            case ParkReason.Mutex:
            case ParkReason.RWMutex:
            case ParkReason.Cond:
            case ParkReason.Semaphore:
            case ParkReason.Never:
            case ParkReason.DotNetWait:
                return true;

            default:
                return false;
        }
    }

    /// <summary>Looks at those that are passed by: each of the ages has to be true.</summary>
    private static void Verify(int number, int count, int oldest, nint scan)
    {
        byte* ages = GoroutineTable.Ages;
        nint carved = GoroutineTable.Carved;
        for (nint slot = number; slot < carved; slot += count)
        {
            byte age = ages[slot];
            if (age <= oldest)
            {
                continue;
            }
            Goroutine* g = GoroutineTable.At(slot);
            GoroutineState state = ages[slot] == GcAges.Dead ? GoroutineState.Dead : g->State;
            if (age == GcAges.Dead)
            {
                // Runnable: about to forget it. Nothing is in its slots yet.
                bool isDead = state is GoroutineState.Dead or GoroutineState.Runnable;
                Check.Always(isDead, "collection: a goroutine has the age of a dead one"u8);
                continue;
            }
            // Runnable: the same, it has not run yet.
            bool isParked = state is GoroutineState.Waiting or GoroutineState.Runnable;
            int youngest = isParked ? ReportGoroutine(g, promotion: true, report: 0, scan, planned: -1) : -1;
            // Read word by word: one may be stale, and lead into a region that is another generation's now.
            bool isCertain = !isParked || g->Context.SavedSp == 0 || IsWalked(g);
            if (isCertain && youngest + 1 < age)
            {
                Fail(g, age, youngest);
            }
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)] // The line is no part of the other's frame.
    private static void Fail(Goroutine* g, int age, int youngest)
    {
        Fatal.Line line = new();
        line.Add("collection: goroutine "u8);
        line.Add(g->Id);
        line.Add(" refers to generation "u8);
        line.Add(youngest);
        line.Add(", its age says "u8);
        line.Add(age - 1);
        line.Add("; state "u8);
        line.Add((int)g->State);
        line.Add(", reason "u8);
        line.Add((int)g->Reason);
        line.Throw();
    }
}
