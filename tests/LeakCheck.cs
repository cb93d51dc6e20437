using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

/// <summary>Fails a test that leaves goroutines or open descriptors behind. They may need a moment: a
/// WaitGroup is at zero before the goroutine that counted down last has ended.</summary>
internal static class LeakCheck
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    private static long s_before;
    private static int s_openBefore;

    [BeforeEvery(HookType.Test)]
    public static void Count(TestContext context)
    {
        s_before = Go.Count;
        s_openBefore = PollTable.OpenCount;
    }

    [AfterEvery(HookType.Test)]
    public static void NothingIsLeft(TestContext context)
    {
        long start = Stopwatch.GetTimestamp();
        while (Go.Count != s_before || PollTable.OpenCount != s_openBefore)
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit)
            {
                Assert.Fail(
                    $"{Go.Count} goroutines exist, {s_before} did before the test; "
                    + $"{PollTable.OpenCount} descriptors, {s_openBefore} did");
            }
            Thread.Sleep(1);
        }
    }
}
