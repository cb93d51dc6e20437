// Which generation an address of the heap belongs to. .NET's heap consists of regions of one size, each of
// one generation, and the collector has a byte for each:
//
//   bits 0, 1    the generation that it belongs to
//   bits 6, 7    the one it will belong to after this collection: while references are updated
//
// Large and pinned objects have regions of their own, and count as the oldest generation. There would be no
// such map where the heap had segments instead: IsKnown is false then. A NativeAOT program is linked with its
// collector, which has regions in .NET 10 and 11, and takes no other (DOTNET_GCName is not looked at).
//
// The map is committed only as far as the heap has ever reached. A reference lies there; a word of a stack
// that is taken for one may not, and to look it up would be a fault in the middle of a collection.
//
// Raw code. Locks: none; the world stands still.

using System.Runtime;

namespace Weft.Runtime;

internal static unsafe class Regions
{
    private const int Map = 0;
    private const int Shift = 1;
    private const int Covered = 2;
    private const int OfServer = 3; // The server collector's follow.
    private const int PlanShift = 6;
    private const int GenerationMask = 3;

    private static nint* s_words;
    private static nint* s_low;
    private static nint* s_high;

    /// <summary>Whether the program's heap has such a map.</summary>
    internal static bool IsKnown => s_words != null && s_words[Map] != 0 && *(nint*)s_words[Map] != 0;

    internal static void Initialize()
    {
        nint* addresses = Switch.Layout() + RuntimeThread.FirstAddress;
        s_words = addresses + RuntimeThread.RegionWords + (GCSettings.IsServerGC ? OfServer : 0);
        s_low = (nint*)addresses[RuntimeThread.HeapLow];
        s_high = (nint*)addresses[RuntimeThread.HeapHigh];
    }

    /// <summary>Whether the address is one of the heap's, perhaps of a part of it that is not in
    /// use.</summary>
    internal static bool IsInHeap(nint address) => address >= *s_low && address < *s_high;

    /// <summary>Whether the map has it.</summary>
    internal static bool IsCovered(nint address) => address < *(nint*)s_words[Covered];

    /// <summary>The generation that a covered address belongs to. With a generation that is being collected,
    /// while references are updated: the one that it will belong to.</summary>
    internal static int GenerationOf(nint address, int planned)
    {
        int shift = *(byte*)s_words[Shift];
        int entry = (*(byte**)s_words[Map])[(nint)((nuint)address >> shift)];
        int now = entry & GenerationMask;
        int generation = now > planned ? now : entry >> PlanShift;
        return generation < Collector.OldestGeneration ? generation : Collector.OldestGeneration;
    }
}
