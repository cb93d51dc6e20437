// The tests on the JIT, where goroutines are threads (Go.Mode): the same tests, in the program that
// `dotnet build` makes of this project. Without arguments it runs those classes that are about what programs
// see; the others are about stacks, processors, the collector, or run a published program.
//
// What differs in these classes says so itself, with the reason: [NotOnJit("…")]. The run lists them as
// skipped.

namespace Weft.Tests;

internal static class JitSuite
{
    // AspNetCoreTests is not in the small build.
    private static readonly string[] s_classes =
    [
        "AspNetCoreTests", nameof(AsyncTests), nameof(CancellationTests), nameof(ChanBridgeTests),
        nameof(ChanElementTests), nameof(ChanHistoryTests), nameof(ChanMemoryTests), nameof(ChanProgramTests),
        nameof(ChanTests), nameof(CondTests), nameof(ContextFlowTests), nameof(ContextTests), nameof(ErrGroupTests),
        nameof(GoScopeTests), nameof(JitTests), nameof(LockProgramTests), nameof(MetricsTests), nameof(MutexTests),
        nameof(NetCloseTests), nameof(NetDeadlineTests), nameof(NetStreamTests), nameof(NetTests), nameof(OnceTests),
        nameof(PipeTests), nameof(PowerSeriesTests), nameof(ReplayTests), nameof(RWMutexTests),
        nameof(SelectMemoryTests), nameof(SelectProgramTests), nameof(SelectTests), nameof(SemaphoreTests),
        nameof(SleepTests), nameof(TestingPageTests), nameof(TimeProviderTests), nameof(TimerReachTests),
        nameof(TimerTests), nameof(TokenTests), nameof(VirtualTimeTests), nameof(WaitGroupTests),
    ];

    /// <summary>For the test platform's filter.</summary>
    internal static string Filter => $"/*/*/{string.Join('|', s_classes.Select(name => $"({name})"))}/*";
}

/// <summary>A test that shows nothing on the JIT, or something else, and why.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
internal sealed class NotOnJitAttribute(string reason) : SkipAttribute("not on the JIT: " + reason)
{
    public override Task<bool> ShouldSkip(TestRegisteredContext context) =>
        Task.FromResult(Go.Mode == GoMode.Jit);
}

/// <summary>One that is about the JIT.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
internal sealed class OnlyOnJitAttribute() : SkipAttribute("on the JIT only")
{
    public override Task<bool> ShouldSkip(TestRegisteredContext context) =>
        Task.FromResult(Go.Mode != GoMode.Jit);
}
