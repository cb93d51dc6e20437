using System.Diagnostics;

namespace Weft.Tests;

/// <summary>Fails a test that leaves goroutines behind. They may need a moment: a WaitGroup is at zero
/// before the goroutine that counted down last has ended.</summary>
internal static class LeakCheck
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(5);

    private static long s_before;

    [BeforeEvery(HookType.Test)]
    public static void Count(TestContext context) => s_before = Go.Count;

    [AfterEvery(HookType.Test)]
    public static void NothingIsLeft(TestContext context)
    {
        long start = Stopwatch.GetTimestamp();
        while (Go.Count != s_before)
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit)
            {
                Assert.Fail($"{Go.Count} goroutines exist; {s_before} did before the test");
            }
            Thread.Sleep(1);
        }
    }
}
