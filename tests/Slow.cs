// `./build.sh test` has to end in the time that somebody waits for it, ten minutes on two cores. What takes long
// and seldom fails alone is left out there:
//
//   ./build.sh test            the normal build's tests, but for these
//   ./build.sh test all        all, in both builds, the models, and each build of .NET; as .ci/run does
//   ./build.sh test Class      what is named, slow or not, in both builds

namespace Weft.Tests;

internal static class Slow
{
    /// <summary>For build.sh.</summary>
    internal const string Variable = "WEFT_TESTS_ALL";

    /// <summary>Whether they run.</summary>
    internal static bool Runs { get; set; } = Environment.GetEnvironmentVariable(Variable) is "1";
}

/// <summary>A test that is left out by default.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Method)]
internal sealed class SlowAttribute() : SkipAttribute("takes long: ./build.sh test all runs it")
{
    public override Task<bool> ShouldSkip(TestRegisteredContext context) => Task.FromResult(!Slow.Runs);
}
