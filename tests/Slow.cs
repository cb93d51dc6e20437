// `./build.sh test` has to end in the time that somebody waits for it, ten minutes on two cores. What takes long
// and seldom fails alone is left out there, and only there:
//
//   ./build.sh test            the normal build's tests, but for these
//   ./build.sh test all        all, in both builds, the models, and each build of .NET; as .ci/run does
//   ./build.sh test Class      what is named, slow or not, in both builds

namespace Weft.Tests;

/// <summary>A test that `./build.sh test` leaves out.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
internal sealed class SlowAttribute() : SkipAttribute("takes long: ./build.sh test all runs it")
{
    private static readonly bool s_areLeftOut =
        Environment.GetEnvironmentVariable("WEFT_TESTS_QUICK") is not null;

    public override Task<bool> ShouldSkip(TestRegisteredContext context) => Task.FromResult(s_areLeftOut);
}
