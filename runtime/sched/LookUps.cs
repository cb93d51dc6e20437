// How many goroutines may look up names at the same time: asm/lookups.c holds the others back. The limit is
// Go's (net.concurrentThreadsLimit): 500, fewer where there are not that many descriptors, since each look-up
// needs one, and some name servers' clients say "no such host" where they get none.
// Locks: none.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static class LookUps
{
    internal const int Most = 500;
    private const int DescriptorsForOthers = 30;

    internal static void Initialize() => SetLimit(LimitFor(Os.DescriptorLimit()));

    /// <summary>The limit where a process may have so many descriptors open.</summary>
    internal static int LimitFor(long descriptors) =>
        descriptors > Most ? Most
        : descriptors > DescriptorsForOthers ? (int)descriptors - DescriptorsForOthers
        : Math.Max(1, (int)descriptors);

    /// <summary>At least 1. While nobody waits for a place.</summary>
    [DllImport("weft", EntryPoint = "weft_limit_lookups")]
    internal static extern void SetLimit(int limit);
}
