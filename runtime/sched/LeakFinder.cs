// Looks for goroutines that wait for ever, and ends them. stack/LeakScan.cs decides, in a collection; here is
// what comes before and after it, in ordinary code:
//
//   1. a collection, and the finalizers of what is dead: they may wake somebody, or let go of something
//   2. the collection that decides, with a record of each leaked goroutine's stack
//   3. if they are to be reclaimed: first all are taken out of their queues, then all are made ready. So none
//      of them runs, and reaches another's channel in a finally block, while a queue is still taken for one
//      that nobody uses. Each goes on with the exception of Go.Exit
//   4. names for the frames
//
// Between 2 and 3 nothing can happen to a leaked goroutine: only leaked goroutines know what it waits on.
// Still each queue is asked, under its lock.
//
// Rejected: to unwind one that native code called back. No exception may pass the native frames.
// Locks: StackDump.Gate, an ordinary one.

namespace Weft.Runtime;

/// <summary>A leaked goroutine, as LeakFinder reports it.</summary>
internal readonly record struct Leak(
    long Id, string Reason, TimeSpan Waited, string Frames, bool IsReclaimed);

internal static unsafe class LeakFinder
{
    internal static bool IsSupported => Collector.IsSupported();

    /// <summary>All goroutines that are leaked now. The function is LeakScan's.</summary>
    internal static List<Leak> Find(delegate*<Goroutine*, bool> selectIsReachable, bool reclaim)
    {
        List<Leak> leaks = [];
        WithRecords(selectIsReachable, () =>
        {
            HashSet<nint> abandoned = reclaim ? AbandonAll() : [];
            foreach (nint g in abandoned)
            {
                Scheduler.Ready((Goroutine*)g);
            }
            leaks = Name(abandoned);
        });
        return leaks;
    }

    /// <summary>Tells a record of the stack of each, a StackRecord*.</summary>
    internal static void ForEach(delegate*<Goroutine*, bool> selectIsReachable, Action<nint> tell) =>
        WithRecords(selectIsReachable, () =>
        {
            for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
            {
                tell((nint)record);
            }
        });

    private static void WithRecords(delegate*<Goroutine*, bool> selectIsReachable, Action action)
    {
        lock (StackDump.Gate)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            StackRecords.Reserve();
            try
            {
                LeakScan.Arm(selectIsReachable, &StackRecords.Add);
                do
                {
                    GC.Collect(Collector.OldestGeneration, GCCollectionMode.Forced, blocking: true);
                }
                while (LeakScan.IsArmed);
                action();
            }
            finally
            {
                StackRecords.Release();
            }
        }
    }

    private static HashSet<nint> AbandonAll()
    {
        HashSet<nint> abandoned = [];
        for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
        {
            Goroutine* g = record->Of;
            if (g->Id == record->Id && g->State == GoroutineState.Waiting && g->Reason == record->Reason
                && g->Context.NativeDepth <= 0 && TakeOut(g))
            {
                g->Abandoned = true;
                _ = abandoned.Add((nint)g);
            }
        }
        return abandoned;
    }

    private static bool TakeOut(Goroutine* g) =>
        g->Reason == ParkReason.Never || (Goroutine.ParkObject(g) is IParkPlace place && place.Abandon(g));

    private static List<Leak> Name(HashSet<nint> abandoned)
    {
        List<Leak> leaks = [];
        Dictionary<nint, string> names = [];
        for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
        {
            leaks.Add(new Leak(
                record->Id,
                StackDump.Describe(record->State, record->Reason),
                StackDump.Since(record->WaitSince),
                StackDump.Frames(record, names),
                abandoned.Contains((nint)record->Of)));
        }
        return leaks;
    }
}
