// Sharing cores with those who make the events: what a machine does before it looks at the network.
//
//   yield    lets a thread that waits for just this core have its turn; half a microsecond if none does
//   nap      leaves the core for 150 us, so that the kernel can move a thread to it from another
//
// Where clients share the cores with the server, one client and one machine can keep each other running, each
// on a core of its own, until the kernel's clock ticks, 4 ms later: the machine finds something at each look,
// the client is answered at once. All other clients wait that long. A yield does not end this, as they wait
// on the client's core. A nap does: the kernel fills a core that is idle with who waits for another.
//
// Naps are for this case only: many wait on descriptors, the last look found several events, and somebody
// had a turn on a core of ours not long ago. Where nobody has, yields become rarer too. Who spins does not
// nap, as nobody else is woken for new work meanwhile; nor does who has a timer to run.
//
// Where somebody else takes the core for its whole time slice, each look would cost a slice. So a turn that
// was long and brought little is the last one for as long as it takes to make up for it. After a nap that is
// less: who slept keeps its claim to the core, and who yielded has given it up.
//
// Rejected: short turns for all machines (the kernel takes the core away in the middle of work too); fewer
// machines while others want the cores (nobody knows for how long).
// Locks: none. s_sharedUntil is a hint that anybody writes.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long ShortTurnNs = 50_000;
    private const long WorthOfEventNs = 60_000; // Making and serving one takes less.
    private const int YieldsSkippedFor = 32;    // Turns of the length lost: 3 % at most are lost.
    private const int NapsSkippedFor = 1;       // Half at most: what a neighbour that computes may ask for.

    private const long SharedTurnNs = 20_000;   // Else nobody waited for the core, or another machine did.
    private const int MostLooksSkipped = 16;
    private const long SharedForNs = 20_000_000;

    private const int ManyWaiters = 16;
    private const long NapNs = 100_000;
    private const long NapSlackNs = 70_000;     // The system's is 50 us.

    private static long s_sharedUntil;

    /// <summary>Others' turn on this core.</summary>
    private struct Turn
    {
        /// <summary>When it ended, in ns: now.</summary>
        internal long End;

        /// <summary>How long it was, in ns, without what a nap takes anyway.</summary>
        internal long Length;

        /// <summary>How many such turns long there is no other one, if it brought too little.</summary>
        internal int SkippedFor;
    }

    /// <summary>Lets others have the core, if that promises anything.</summary>
    private static Turn ShareCore(Processor* p, long now)
    {
        Turn turn = new() { End = now };
        if (now < p->NextTurnAt)
        {
            return turn;
        }
        if (p->LastFound > 1 && now < Volatile.Read(ref s_sharedUntil) && !p->Machine->IsSpinning
            && Volatile.Read(ref p->NextTimer) - now > NapNs + NapSlackNs
            && NetworkWaiters > ManyWaiters)
        {
            Os.Nap(NapNs);
            turn.End = Os.NowNs();
            turn.Length = Math.Max(0, turn.End - now - NapNs - NapSlackNs);
            turn.SkippedFor = NapsSkippedFor;
        }
        else if (--p->LooksToSkip < 0)
        {
            Os.SchedYield();
            turn.End = Os.NowNs();
            turn.Length = turn.End - now;
            turn.SkippedFor = YieldsSkippedFor;
            bool inVain = turn.Length < SharedTurnNs;
            p->VainYields = inVain ? Math.Min(MostLooksSkipped, (2 * p->VainYields) + 1) : 0;
            p->LooksToSkip = p->VainYields;
        }
        if (turn.Length > SharedTurnNs)
        {
            Volatile.Write(ref s_sharedUntil, turn.End + SharedForNs);
        }
        return turn;
    }

    /// <summary>After the look. What other machines found in the turn counts too: then it was one of them
    /// that had it.</summary>
    private static void JudgeTurn(Processor* p, Turn turn, long found)
    {
        if (turn.Length > ShortTurnNs + (found * WorthOfEventNs))
        {
            p->NextTurnAt = turn.End + (turn.SkippedFor * turn.Length);
        }
    }
}
