// The readers of an RWMutex, counted in as many places as there are processors, so that those on different
// ones write to different cache lines: two cores that add to the same word wait 50 to 100 ns for its line.
//
//   stripes   [ nobody writes here | count low | count low | ... ]      128 bytes each; an array of .NET's
//              first 128 bytes: length, which all read
//
// A reader adds to the stripe of the processor that it is on, and subtracts from that which it is on then:
// a count may be negative, and only the sum means anything.
//
// Which one: the processor's number; they are dense. A thread that is no machine uses its own number. Neither
// need be right or stay so, but for the one who takes back what he has just added.
//
// low: the least that has been looked into. A count below it may be one RUnlock too many, or a reader that
// has changed processors: RWMutex.Wait.cs.
//
// Rejected: Thread.GetCurrentProcessorId, which keeps what it knows in thread statics: those belong to the
// goroutine. A slot for each reader, or BRAVO's table: who leaves on another processor does not find his.

using System.Numerics;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

internal static unsafe class ReaderStripes
{
    internal const int Spacing = 16; // Of eight bytes: two lines, because cores fetch lines in pairs.
    private const int Least = 4;
    private const int Most = 128;

    internal static long[] Make()
    {
        uint count = (uint)Math.Clamp(Scheduler.MaxProcessors, Least, Most);
        return new long[((int)BitOperations.RoundUpToPowerOf2(count) + 1) * Spacing];
    }

    /// <summary>A number for where the caller runs. Before the start there are no processors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static int Here()
    {
        Machine* m = Current.IsStarted ? Current.Machine() : null;
        if (m == null)
        {
            return Environment.CurrentManagedThreadId;
        }
        Processor* p = m->Processor; // Null, or another's: the caller may have been interrupted.
        return p == null ? m->Id : p->Id;
    }

    /// <summary>The count for Here.</summary>
    internal static ref long Count(long[] stripes, int here) => ref stripes[Index(stripes, here)];

    /// <summary>Whether the count is less than it has been, when that was looked into last.</summary>
    internal static bool IsNewLow(long[] stripes, int here, long count) =>
        count < stripes[Index(stripes, here) + 1];

    internal static void SetLow(long[] stripes, int here, long count) =>
        stripes[Index(stripes, here) + 1] = count;

    /// <summary>Of counts that change meanwhile. RWMutex.cs says when it is right.</summary>
    internal static long Sum(long[] stripes)
    {
        long sum = 0;
        for (int i = Spacing; i < stripes.Length; i += Spacing)
        {
            sum += Volatile.Read(ref stripes[i]);
        }
        return sum;
    }

    /// <summary>Makes the counts zero, and returns their sum, which is nowhere until the caller has added it
    /// somewhere else.</summary>
    internal static long TakeAll(long[] stripes)
    {
        long sum = 0;
        for (int i = Spacing; i < stripes.Length; i += Spacing)
        {
            sum += Interlocked.Exchange(ref stripes[i], 0);
            stripes[i + 1] = 0;
        }
        return sum;
    }

    private static int Index(long[] stripes, int here) =>
        ((here & ((stripes.Length / Spacing) - 2)) + 1) * Spacing;
}
