// The pauses of the last collections, which asm/pauses.c notes, in ticks (base/Ticks.cs).

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal struct Pause
{
    internal long Begin;
    internal long Stopped;
    internal long End;

    /// <summary>What is collected; -1 where a background collection only looks.</summary>
    internal long Generation;
}

/// <summary>The head of the table; Kept entries of Pause follow.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Pauses
{
    internal const int Kept = 1024;

    internal long Count;
    internal long Ticks;
    internal long ScanTicks;
    internal long Generation;
    internal long Source;

    internal static Pauses* All => Switch.Pauses();

    /// <summary>From now on pauses are noted, by the clock of Ticks. When that has been chosen.</summary>
    internal static void Start()
    {
        const long counter = 1;
        const long nanoseconds = 2;
        Volatile.Write(ref All->Source, Runtime.Ticks.AreCounted ? counter : nanoseconds);
    }

    /// <summary>The pause of that number, counted from 0; false when there have been too many
    /// since.</summary>
    internal static bool TryGet(long number, out Pause pause)
    {
        Pauses* all = All;
        pause = ((Pause*)(all + 1))[number & (Kept - 1)];
        Interlocked.MemoryBarrier(); // The entry, then the count: it may be written anew meanwhile.
        return number > Volatile.Read(ref all->Count) - Kept;
    }
}
