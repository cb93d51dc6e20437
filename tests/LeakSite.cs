// Goroutines that are started so that nothing of the start is left: no reference to what they wait on in the
// test, in its thread, or on a stack that lives. What the function makes is known to its goroutines only.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed unsafe class LeakSite
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private readonly List<Slot> _slots = [];
    private int _ended;

    private LeakSite()
    {
    }

    internal int Started => _slots.Count;

    /// <summary>How many have run their finally blocks.</summary>
    internal int Ended => Volatile.Read(ref _ended);

    /// <summary>Runs the function in a thread, and waits until that has ended and all that it started are
    /// parked. Not in a goroutine: one that has counted down may be interrupted before its end, and old words
    /// on its stack would keep alive what it made.</summary>
    internal static LeakSite Make(Action<LeakSite> make)
    {
        LeakSite site = new();
        Thread thread = new(() => make(site));
        thread.Start();
        thread.Join();
        Until(site.AreParked, "the goroutines to park");
        return site;
    }

    /// <summary>Starts one, in the function.</summary>
    internal void Go(Action action, StackOptions stack = default)
    {
        Slot slot = new();
        _slots.Add(slot);
        Weft.Go.Run(
            () =>
            {
                slot.Id = Weft.Go.Id;
                Volatile.Write(ref slot.Address, (nint)Current.Goroutine());
                try
                {
                    action();
                }
                finally
                {
                    Interlocked.Increment(ref _ended);
                }
            },
            stack);
    }

    /// <summary>Those of them that a search finds.</summary>
    internal List<LeakedGoroutine> Find(bool reclaim = false)
    {
        HashSet<long> ids = [.. _slots.Select(slot => slot.Id)];
        return [.. Weft.Go.FindLeaks(reclaim).Where(leak => ids.Contains(leak.Id))];
    }

    /// <summary>Ends the leaked ones, and waits until all have ended.</summary>
    internal void Reclaim()
    {
        _ = Weft.Go.FindLeaks(reclaim: true);
        UntilEnded();
    }

    internal void UntilEnded() => Until(() => Ended == Started, "the goroutines to end");

    /// <summary>What one waits on, which only itself knows.</summary>
    internal object WaitsOn(int index) => Goroutine.ParkObject((Goroutine*)_slots[index].Address)!;

    internal static void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit)
            {
                throw new TimeoutException($"waited for {what} until {s_limit.TotalSeconds} s");
            }
            Thread.Sleep(1);
        }
    }

    private bool AreParked() => _slots.TrueForAll(slot => slot.IsParked);

    /// <summary>One goroutine; written by itself.</summary>
    private sealed class Slot
    {
        internal long Id;
        internal nint Address;

        internal bool IsParked
        {
            get
            {
                Goroutine* g = (Goroutine*)Volatile.Read(ref Address);
                return g != null && g->State == GoroutineState.Waiting;
            }
        }
    }
}
