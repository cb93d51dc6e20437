// The lock for a few instructions: it excludes, whoever wants it; who waits for it holds up no collection;
// and how long one stays away from it.

using Weft.Runtime;

namespace Weft.Tests;

internal sealed class ShortLockTests
{
    private sealed class Guarded
    {
        internal ShortLock Lock;
        internal int Count;

        internal void Add(int times)
        {
            for (int i = 0; i < times; i++)
            {
                Lock.Enter();
                Count++;
                Lock.Exit();
            }
        }
    }

    [Test]
    [Arguments(2)]
    [Arguments(16)]
    public async Task OneAtATimeHasIt(int procs)
    {
        const int Each = 50_000;
        Guarded guarded = new();
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < procs; i++)
            {
                crew.Go(() => guarded.Add(Each));
            }
            crew.Thread(() => guarded.Add(Each));
        });

        await Assert.That(failure).IsNull();
        await Assert.That(guarded.Count).IsEqualTo((procs + 1) * Each);
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task WhoWaitsForItHoldsUpNoCollection(bool asThread)
    {
        Guarded guarded = new();
        string? failure = Crew.Run(2, crew =>
        {
            guarded.Lock.Enter();
            int waiting = 0;
            crew.Start(asThread, () =>
            {
                Volatile.Write(ref waiting, 1);
                guarded.Add(1);
            });
            while (Volatile.Read(ref waiting) == 0)
            {
                Thread.SpinWait(1); // Not preempted with the lock: on the other processor it starts.
            }
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
            }
            crew.Equal(Volatile.Read(ref guarded.Count), 0, "what was done under a lock that another had");
            guarded.Lock.Exit();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(guarded.Count).IsEqualTo(1);
    }

    [Test]
    [Arguments(Backoff.FewestProcessors)]
    [Arguments(16)]
    public async Task LooksGetRarerUntilPatienceEnds(int processors)
    {
        List<string> wrong = [];
        int farthest = 0;
        for (int seed = 8; seed < 8_000; seed += 8)
        {
            Backoff backoff = new(seed, Backoff.NearestNs, processors);
            int waited = 0;
            int longest = 0;
            while (waited <= backoff.PatientNs)
            {
                int waits = backoff.NextNs();
                waited += waits;
                longest = Math.Max(longest, waits);
            }
            int later = Enumerable.Range(0, 100).Max(_ => backoff.NextNs());
            if (longest < 10 * Backoff.NearestNs || longest > backoff.FarthestNs || later > Backoff.NearestNs)
            {
                wrong.Add($"seed {seed}: the longest wait {longest} ns, later {later} ns");
            }
            farthest = Math.Max(farthest, longest);
        }

        await Assert.That(wrong).IsEmpty();
        await Assert.That(farthest).IsBetween(3_000 * processors, 3_200 * processors);
    }

    [Test]
    public async Task WhoBeginAtTheSameTimeLookAtOtherTimes()
    {
        Backoff first = new(0x7000_0010);
        Backoff second = new(0x7000_2010);
        int same = 0;
        for (int i = 0; i < 20; i++)
        {
            same += first.NextNs() == second.NextNs() ? 1 : 0;
        }

        await Assert.That(same).IsLessThan(5);
    }
}
