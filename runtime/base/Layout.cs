// Sizes that more than one file relies on. WEFT_SMALL, a test build, makes them tiny, so that tests reach
// the edges of queues and pools with a handful of goroutines.

namespace Weft.Runtime;

internal static class Layout
{
    internal const int CacheLine = 64;

    /// <summary>The first size that a stack grows to, and the smallest that is not the first page.</summary>
    internal const nint SmallestLargeStack = 64 * 1024;

    /// <summary>The address space of a fixed stack, unless the caller says otherwise.</summary>
    internal const nint FixedStackDefault = 256 * 1024;

    /// <summary>What a stack may grow to, unless Go.MaxStack says otherwise.</summary>
    internal const nint MaxStackDefault = 256 * 1024 * 1024;

    /// <summary>The largest value of Go.MaxStack, and the largest fixed stack.</summary>
    internal const nint MaxStackLimit = 1024 * 1024 * 1024;

    /// <summary>How many machines there may be, unless Go.MaxThreads says otherwise.</summary>
    internal const int MaxMachinesDefault = 10_000;

    /// <summary>The same on the JIT, where goroutines are threads: 15,000 have worked there, and with 20,000
    /// its runtime ends the process.</summary>
    internal const int MaxThreadsOnJit = 12_000;

    /// <summary>The largest value of Go.MaxProcs.</summary>
    internal const int MaxProcessors = 1024;

#if WEFT_SMALL
    internal const int RunQueueSize = 4;
    internal const int FreeGoroutinesPerProcessor = 2;
    internal const int FreeHomesPerProcessor = 1;
    internal const int FixedStacksKept = 2;
    internal const int FixedStacksPerProcessor = 2;
    internal const int GrownStacksKept = 2;
    internal const int FreePagesKept = 64;
    internal const int FreeBlocksKept = 64;
    internal const int HomesPerChunk = 16;
    internal const int HomesLimit = 2;
    internal const int ColumnsPerChunk = 2;
    internal const int StoredPerProcessor = 2;
    internal const int StoreChunk = 64 * 1024;
    internal const int BlocksPerChunk = 16; // One page.
    internal const int EventsPerPoll = 2;
    internal const int TimersPerChunk = 256;
    internal const long IdleBeforeShrinkNs = 0;
    internal const int ReturnLooks = 64;
    internal const int ReturnLooksFull = 1024;
    internal const int ManyHomes = 0;
    internal const int StacksToCollectFor = 1;
    internal const int MeetingsBeforeStripes = 0;
    internal const bool RandomChoice = true;
#else
    internal const int RunQueueSize = 256;
    internal const int FreeGoroutinesPerProcessor = 128;
    internal const int FreeHomesPerProcessor = 64;
    internal const int FixedStacksKept = 256;
    internal const int FixedStacksPerProcessor = 72;
    internal const int GrownStacksKept = 1024;
    internal const int FreePagesKept = 8 * 1024;
    internal const int FreeBlocksKept = 64 * 1024;
    internal const int HomesPerChunk = 256;
    internal const int HomesLimit = 16 * 1024;
    internal const int ColumnsPerChunk = 32;
    internal const int StoredPerProcessor = 32;
    internal const int StoreChunk = Os.HugePageSize;
    internal const int BlocksPerChunk = Os.HugePageSize / 256; // One huge page.
    internal const int EventsPerPoll = 128;
    internal const int TimersPerChunk = Os.HugePageSize / 16; // One huge page.
    internal const long IdleBeforeShrinkNs = 1_000_000_000;
    internal const int ReturnLooks = 256;
    internal const int ReturnLooksFull = 1024;
    internal const int ManyHomes = 1024;
    internal const int StacksToCollectFor = 64;
    internal const int MeetingsBeforeStripes = 100;
    internal const bool RandomChoice = false;
#endif
}
