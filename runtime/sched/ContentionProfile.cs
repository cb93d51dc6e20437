// Where goroutines wait for each other, by stack: the block profile and the mutex profile. Go: the package
// runtime/pprof, SetBlockProfileRate and SetMutexProfileFraction.
//
//   block    who has waited for a channel, a select, a lock or a group: for how long, by the waiter's stack,
//            when it goes on. A wait as long as the rate is counted; a shorter one by chance, for as much
//   mutex    who has waited for a Mutex or an RWMutex: for how long, by the stack of who made it runnable,
// one
//            of so many
//
// While either is on, each wait reads the clock twice, and none goes by the short way of TryParkAndUnlock.
// Off, it is a read of a word beside MaxProcessors.
//
// Stacks are kept in tables of a fixed size, from the first use on; what has no room is counted without a
// stack. They only grow: a profile is the difference of two, or all since the start, as in Go.
//
// Locks: s_lock, a leaf; for a few hundred ns.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

/// <summary>A stack and what was counted there.</summary>
internal unsafe struct ContentionSample
{
    internal const int MostFrames = 32;

    internal ulong Hash;
    internal double Count;
    internal double Ns;
    internal int FrameCount;
    internal fixed long Frames[MostFrames];
}

internal static unsafe class ContentionProfile
{
    internal const int Block = 0;
    internal const int Mutexes = 1;

    private const int Samples = 4096; // A power of two.
    private const int MostTries = 32;

    private static ShortLock s_lock;
    private static ContentionSample* s_samples; // Of both, one behind the other; the first has no stack.
    private static long s_blockRate;
    private static long s_mutexFraction;
    private static ulong s_random = 0x9e3779b97f4a7c15;

    /// <summary>In ns; 0 where it is off.</summary>
    internal static long BlockRate
    {
        get => Volatile.Read(ref s_blockRate);
        set => Set(ref s_blockRate, value);
    }

    /// <summary>Of so many waits one is counted; 0 where it is off.</summary>
    internal static long MutexFraction
    {
        get => Volatile.Read(ref s_mutexFraction);
        set => Set(ref s_mutexFraction, value);
    }

    private static void Set(ref long word, long value)
    {
        s_lock.Enter();
        if (value != 0 && s_samples == null)
        {
            s_samples = (ContentionSample*)Os.Reserve(2 * Samples * sizeof(ContentionSample));
            if ((nint)s_samples <= 0)
            {
                s_samples = null;
                value = 0;
            }
        }
        Volatile.Write(ref word, value);
        Scheduler.SetProfiling(s_blockRate != 0 || s_mutexFraction != 0);
        s_lock.Exit();
        if (s_samples == null && value != 0)
        {
            throw new InsufficientMemoryException("No memory for a profile.");
        }
    }

    /// <summary>g, the calling goroutine, has waited since its WaitSince.</summary>
    internal static void HasWaited(Goroutine* g, ParkReason reason)
    {
        long rate = BlockRate;
        if (rate == 0 || g->Kind == GoroutineKind.Thread || !IsCounted(reason))
        {
            return;
        }
        double ns = Os.NowNs() - g->WaitSince;
        double count = 1;
        if (ns < rate)
        {
            if (ns <= 0 || Random(rate) >= ns)
            {
                return;
            }
            count = rate / ns;
            ns = rate;
        }
        Add(Block, g, count, ns);
    }

    /// <summary>Somebody is about to make g ready.</summary>
    internal static void Wakes(Goroutine* g)
    {
        long fraction = MutexFraction;
        if (fraction == 0 || g->Reason is not (ParkReason.Mutex or ParkReason.RWMutex)
            || (fraction > 1 && Random(fraction) != 0))
        {
            return;
        }
        long ns = Math.Max(0, Os.NowNs() - g->WaitSince);
        Add(Mutexes, Current.Goroutine(), fraction, (double)ns * fraction);
    }

    /// <summary>All that was counted, in a copy. Not on a goroutine's small stack alone: it is
    /// large.</summary>
    internal static ContentionSample[] All(int table)
    {
        if (s_samples == null)
        {
            return [];
        }
        ContentionSample[] all = new ContentionSample[Samples];
        int count = 0;
        for (int i = 0; i < Samples; i++)
        {
            s_lock.Enter();
            all[count] = s_samples[(table * Samples) + i];
            s_lock.Exit();
            count += all[count].Count > 0 ? 1 : 0;
        }
        return all[..count];
    }

    private static bool IsCounted(ParkReason reason) => reason is
        ParkReason.ChanSend or ParkReason.ChanReceive or ParkReason.Select or ParkReason.WaitGroup
        or ParkReason.Mutex or ParkReason.RWMutex or ParkReason.Cond or ParkReason.Semaphore
        or ParkReason.DotNetWait;

    /// <summary>Adds to the stack of g, which calls; without one where a thread does.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Add(int table, Goroutine* g, double count, double ns)
    {
        ContentionSample sample = default;
        if (g != null)
        {
            Switch.AsParked((nint)(delegate*<nint, ContentionSample*, void>)&Walk, &sample);
        }
        ulong hash = 0;
        for (int i = 0; i < sample.FrameCount; i++)
        {
            hash = (hash ^ (ulong)sample.Frames[i]) * 0x9e3779b97f4a7c15;
            hash ^= hash >> 29;
        }
        sample.Hash = sample.FrameCount == 0 ? 0 : hash | 1;
        s_lock.Enter();
        ContentionSample* into = Find(s_samples + (table * Samples), &sample);
        into->Count += count;
        into->Ns += ns;
        s_lock.Exit();
    }

    /// <summary>Under the lock.</summary>
    private static ContentionSample* Find(ContentionSample* table, ContentionSample* sample)
    {
        for (int i = 0; i < MostTries && sample->Hash != 0; i++)
        {
            ContentionSample* at = table + 1 + (int)((sample->Hash + (ulong)i) % (Samples - 1));
            if (at->Hash == 0)
            {
                *at = *sample;
            }
            if (at->Hash == sample->Hash)
            {
                return at;
            }
        }
        return table;
    }

    /// <summary>Raw code.</summary>
    private static void Walk(nint sp, ContentionSample* sample)
    {
        Goroutine* g = Current.Goroutine();
        nint frame = *(nint*)(sp + Arch.SavedFramePointer);
        sample->Frames[0] = *(nint*)(sp + Arch.SavedReturn);
        int count = 1;
        while (count < ContentionSample.MostFrames && frame >= g->StackLow
            && frame <= g->StackHigh - (2 * sizeof(nint)) && (frame & 7) == 0)
        {
            sample->Frames[count++] = ((nint*)frame)[1];
            nint next = *(nint*)frame;
            if (next <= frame)
            {
                break;
            }
            frame = next;
        }
        sample->FrameCount = count;
    }

    private static long Random(long bound)
    {
        ulong x = s_random; // Not exact where two draw at once.
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        s_random = x;
        return (long)((x >> 1) % (ulong)bound);
    }
}
