// The age of each goroutine, for the collector: a byte for each block of GoroutineTable.
//
//   0        not known: it is looked at in every collection
// 1 to 3   it is parked, and the youngest object that it refers to was of generation 0, 1, 2. A collection of
//            a younger generation only need not look at it
//   4        dead
//
// Only a collection sets one, with the world stopped (stack/GcRoots.cs); only running code clears it:
//
// when it leaves Waiting or Dead          Goroutine.Transition, after the state: who is Runnable gets no age
//   before a reference is written to its    Forget, by who has taken its waiter out of the queue: one whose
//   frame while it waits                    waiter is in no queue gets no age either
//
// In both, a collection in between finds the state changed, or the waiter gone, and the age still there: it
// may rely on it, because nothing has been written yet.
//
// The bytes of 64 goroutines share a cache line, so they are read before they are written.
// Locks: none.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class GcAges
{
    internal const byte Unknown = 0;
    internal const byte Dead = 4;

    private static nint s_biased; // The table, less the number of its first goroutine's place.

    /// <summary>For the table, zeros, whose first byte is of that goroutine.</summary>
    internal static void Initialize(nint table, Goroutine* first) => s_biased = table - Number(first);

    /// <summary>It is looked at in the next collection, and in all until it gets an age again.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Forget(Goroutine* g)
    {
        if (Jit.IsOn)
        {
            return; // No stacks for the collector to look at.
        }
        byte* age = (byte*)(s_biased + Number(g));
        if (*age != Unknown)
        {
            *age = Unknown;
        }
    }

    private static nint Number(Goroutine* g) => (nint)((nuint)g / (nuint)Goroutine.Size);
}
