// A thief that finds nothing but what is next on another processor leaves it there, and stays for a while.
//
//   victim    ready, park | run, ready, park | run, ready, park | ...     what is next waits for some 20 ns
//   thief     look ........ 5 us ......... look ........ 5 us ......... look
//
//   nobody began to run there between two looks    who runs there goes on computing: the thief takes it
//   others run one after another                   they hand over to each other; it looks again, ten times
//   nobody runs, or all compute                    it ends at once: its machine is of no use here
//   another thief stays, or looks                  the same: one is enough, and costs the victims least
//
// Two that hand over to each other are best left on one core: taken apart, each message moves a dozen cache
// lines between two, at up to 100 ns each. And while a thief stays nobody wakes one, by a system call that is
// dearer than thirty switches (rule 1 in Scheduler.cs).
//
// Between two looks it touches nothing that others write, but takes what comes to rings, the global queue and
// the network, as there is no keeper while nobody sleeps.
//
// Rejected: looking all the time (the victim loses the lines at each look). Taking what is next at once, and
// sleeping where there is nothing: a select of two took 204 ns on two cores, 154 so, and there were ten times
// as many system calls. A sleep of 3 us before it is taken, as Go's: a sleep is 50 us and more on Linux.
// Only where each processor has a core: else the victim may be one that the system does not run.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int LookEveryNs = 5_000;
    private const int MostLooks = 10;

    /// <summary>Fewer than so many in that time, and nobody is handed anything.</summary>
    private const int FewRuns = 2;

    /// <summary>Else the one that is waited for may be one that the system does not run.</summary>
    internal static bool HasCoreForEach => MaxProcessors <= Environment.ProcessorCount;

    /// <summary>On a spinning machine, which has looked everywhere. Null when there is still
    /// nothing.</summary>
    private static Goroutine* Linger(Processor* p)
    {
        for (int looks = 0; looks < MostLooks && Volatile.Read(ref s_shared.Spinning) == 1; looks++)
        {
            long before = RunsOfOthers(p);
            Processor* victim = FindNextElsewhere(p, out nint next);
            long runs = victim == null ? 0 : Volatile.Read(ref victim->Runs);
            Backoff.Pause(LookEveryNs);
            Goroutine* g = victim != null && Volatile.Read(ref victim->Runs) == runs
                ? victim->Queue.StealNext(next) : null;
            if (g != null)
            {
                Stolen(p, victim);
                return g;
            }
            g = StealOnce(p, takeNext: false);
            if (g != null)
            {
                return g;
            }
            if (PollNetwork(p))
            {
                return p->Queue.Pop();
            }
            if (RunsOfOthers(p) - before < FewRuns || Volatile.Read(ref s_shared.GlobalCount) > 0
                || TimersDue(p))
            {
                return null;
            }
        }
        return null;
    }

    /// <summary>How often goroutines were resumed, all in all.</summary>
    private static long RunsOfOthers(Processor* p)
    {
        long sum = 0;
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            Processor* other = s_shared.Processors[i];
            sum += other == p ? 0 : Volatile.Read(ref other->Runs);
        }
        return sum;
    }

    /// <summary>One of those that have somebody who is next, or null.</summary>
    private static Processor* FindNextElsewhere(Processor* p, out nint next)
    {
        uint count = (uint)Volatile.Read(ref s_shared.ProcessorCount);
        StealOrder order = new(count, p->NextRandom(uint.MaxValue));
        for (; !order.Done; order.Advance())
        {
            Processor* other = s_shared.Processors[order.Position];
            next = other == p ? 0 : other->Queue.NextSeen;
            if (next != 0)
            {
                return other;
            }
        }
        next = 0;
        return null;
    }
}
