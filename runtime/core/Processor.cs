// A processor: the right to run goroutines, and what belongs to whoever holds it. Go.MaxProcs of them may
// be held at a time.
//
//   Idle --acquired by a machine--> Held --released--> Idle        Idle --MaxProcs lowered--> Retired

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal enum ProcessorState
{
    Retired,
    Idle,
    Held,
}

/// <summary>Free ones of one size that a processor keeps: stack/StackStore.cs.</summary>
internal unsafe struct StackPlaces
{
    internal const int Sizes = 31;

    internal int Count;
    internal fixed int Grains[2 * Layout.StoredPerProcessor];
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Processor
{
    internal const int GlobalEvery = 61;

    /// <summary>Owner: the holder; thieves as RunQueue allows.</summary>
    internal RunQueue Queue;

    /// <summary>Scheduling rounds until the global queue is due. Owner; sysmon, to make it due.</summary>
    internal int RoundsToGlobal;

    /// <summary>Somebody in its queue has waited for what ran here: the global one comes a round later, once,
    /// if it is due. A word of its own: sysmon may write RoundsToGlobal at that moment. Owner.</summary>
    internal bool LocalFirst;

    /// <summary>The global queue was due, and the local one went first all the same. Owner.</summary>
    internal bool GlobalWaits;

    /// <summary>Whether the global queue goes first the next time it is taken from a native call. Sysmon.
    /// </summary>
    internal bool GlobalAfterNative;

    internal int Id;

    /// <summary>Guarded by the scheduler's lock.</summary>
    internal ProcessorState State;

    /// <summary>The machine that holds it. Written by that machine.</summary>
    internal Machine* Machine;

    /// <summary>What its machine's NativeCount was at sysmon's last look, and when it changed last, in ns.
    /// Sysmon.</summary>
    internal uint SeenNative;

    internal long SeenSince;

    /// <summary>The same for Runs: since when the goroutine that runs has run.</summary>
    internal long SeenRuns;

    internal long RunsSince;

    /// <summary>When its machine's loop last resumed a goroutine that had been stopped in the middle, in ns.
    /// Owner.</summary>
    internal long SliceSince;

    /// <summary>When sysmon last asked what runs here to stop, in ns. Sysmon.</summary>
    internal long AskedAt;

    /// <summary>The RunsSince that its machine's alarm is set for. Sysmon.</summary>
    internal long AlarmSetFor;

    /// <summary>When the earliest timer of its heap is due, in ns; long.MaxValue if it has none. Written
    /// under the heap's lock, read by anybody: see time/TimerHeap.cs.</summary>
    internal long NextTimer;

    /// <summary>Those who began to wait for a descriptor while it was held, less those that were taken out
    /// while it was. Only the sum over all processors means something. Owner, as all up to Link; read by
    /// anybody.</summary>
    internal long NetworkWaiters;

    /// <summary>When it was last used to look at the network, in ns.</summary>
    internal long LastLook;

    /// <summary>How often.</summary>
    internal long Looks;

    /// <summary>The core is not shared before this time, in ns: see Scheduler.CoreSharing.cs.</summary>
    internal long NextTurnAt;

    /// <summary>How many events the last look found.</summary>
    internal int LastFound;

    /// <summary>How many looks follow a yield that nobody wanted without another one, and how many are
    /// left.</summary>
    internal int VainYields;

    internal int LooksToSkip;

    /// <summary>Yields that had nobody to let run, while a timer was set.</summary>
    internal uint LoneYields;

    /// <summary>The next idle one. Guarded by the scheduler's lock.</summary>
    internal Processor* Link;

    /// <summary>Dead goroutines to spawn from, the last one first; Layout.FreeGoroutinesPerProcessor and one
    /// more. Owner, as the next three.</summary>
    internal Goroutine** Free;

    internal int FreeCount;

    /// <summary>Homes for those that begin, the last one first; Layout.FreeHomesPerProcessor and one
    /// more.</summary>
    internal int* FreeHomes;

    internal int FreeHomeCount;

    /// <summary>Places in the store of stacks, for each of its sizes. Owner.</summary>
    internal StackPlaces* StackPlaces;

    /// <summary>Places of fixed stacks of the usual size to spawn from, the last one first, of each its
    /// address and how many bytes the system may have back; Layout.FixedStacksPerProcessor. Owner.</summary>
    internal nint* KeptStacks;

    internal int KeptStackCount;

    /// <summary>Spawned minus ended here; the sum over all processors is the number of goroutines.</summary>
    internal long Live;

    /// <summary>How many goroutines have been given this processor: another number is another time slice.
    /// And successful looks into other processors' queues. Owner; read by anybody.</summary>
    internal long Runs;

    /// <summary>Where to note what happens here, beside Runs, which changes then; null while nobody looks.
    /// Anybody.</summary>
    internal TraceRing* Trace;

    /// <summary>The same once it was needed; it stays.</summary>
    internal TraceRing* Ring;

    internal long Steals;

    /// <summary>Ids taken from the global counter in advance. Owner.</summary>
    internal long NextId;

    internal long LastId;

    /// <summary>State of the generator for choices that must only be varied. Owner.</summary>
    internal ulong Random;

    /// <summary>Whether it is time to look at the global queue before the local one, and at the ring
    /// before the goroutine that was made ready last: without it either could starve.</summary>
    internal readonly bool IsGlobalDue => RoundsToGlobal <= 0;

    internal uint NextRandom(uint bound)
    {
        Random ^= Random << 13;
        Random ^= Random >> 7;
        Random ^= Random << 17;
        return (uint)((Random >> 33) % bound);
    }
}
