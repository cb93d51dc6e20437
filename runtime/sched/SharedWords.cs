// What all machines write, each on cache lines of its own, and what they read at each switch and each
// wake-up, on others: it would else leave their caches whenever one of them wakes another.
//
//   Spinning             read by whoever makes one ready; written when a machine begins or ends to look
//   IdleProcessorCount   read by the same; written when a processor becomes idle or is taken
//   Lock, GlobalCount    the scheduler's lock; how many are in the global queue, which is read without it
//   the rest             hardly ever written
//
// A line here is two of 64 bytes, as processors fetch them in pairs; one is left in front of the first and
// behind the last, where other statics may lie.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Explicit, Size = 6 * Line)]
internal unsafe struct SharedWords
{
    private const int Line = 128;

    [FieldOffset(Line)]
    internal int Spinning;

    [FieldOffset(2 * Line)]
    internal int IdleProcessorCount;

    [FieldOffset(3 * Line)]
    internal ShortLock Lock;

    /// <summary>Of all three parts of the global queue. Written under the lock.</summary>
    [FieldOffset((3 * Line) + sizeof(int))]
    internal int GlobalCount;

    [FieldOffset(4 * Line)]
    internal Processor** Processors;

    [FieldOffset((4 * Line) + sizeof(long))]
    internal int ProcessorCount;

    /// <summary>How many of them may be held.</summary>
    [FieldOffset((4 * Line) + sizeof(long) + sizeof(int))]
    internal int MaxProcessors;

    [FieldOffset((4 * Line) + (2 * sizeof(long)))]
    internal int Started;

    /// <summary>1 while the scheduler notes events: Scheduler.Events.cs.</summary>
    [FieldOffset((4 * Line) + (2 * sizeof(long)) + sizeof(int))]
    internal int Tracing;

    /// <summary>1 while waits are counted by stack: ContentionProfile.cs. Beside MaxProcessors, which each
    /// park reads.</summary>
    [FieldOffset((4 * Line) + (3 * sizeof(long)))]
    internal int Profiling;
}
