// libweft as C programs meet it: installed under a prefix, then the cases of native/tests/run.sh, which says what
// each does. Skipped where a program that a case needs is missing.

namespace Weft.Tests;

internal sealed class NativeTests
{
    private const int Skipped = 77;

    private static readonly Lazy<string> s_prefix = new(Install);

    [Test]
    [Arguments("hello.c")]
    [Arguments("sieve.c")]
    [Arguments("pipeline.c")]
    [Arguments("select.c")]
    [Arguments("echo.c")]
    [Arguments("pool.c")]
    [Arguments("chat.c")]
    [Arguments("deadlines.c")]
    [Arguments("fetch.c")]
    [Arguments("supervise.c")]
    [Arguments("cpp.cpp")]
    public Task ASampleIsBuiltThroughPkgConfigAndRuns(string source) => Passes("sample", source);

    [Test]
    public Task TlsIsOpenSslsOwnFunctionsAndAWait() => Passes("tls");

    [Test]
    [Slow]
    [MethodDataSource(nameof(Cookbook))]
    public Task AProgramOfTheCookbookPrintsWhatItSays(string file) => Passes("cookbook", file);

    public static IEnumerable<string> Cookbook() =>
        Directory.GetFiles(Path.Combine(Repository.Root(), "native", "examples", "cookbook"))
            .Select(Path.GetFileName).OfType<string>().Order();

    [Test]
    [Slow]
    public Task AllSamplesAreBuiltThroughCMakeAndRun() => Passes("cmake_samples");

    [Test]
    [Slow]
    public Task AllSamplesRunCleanUnderTheSanitizers() => Passes("sanitizers");

    [Test]
    public Task AHostMarkedForShadowStacksRunsWithoutThem() => Passes("shadow_stacks");

    [Test]
    public Task TheStaticLibraryIsAllThatAProgramNeeds() => Passes("static");

    [Test]
    [Slow]
    [Arguments("-static")]
    [Arguments("-static-pie")]
    [Arguments("weft-static")]
    public Task AProgramMayBeLinkedWithoutLibraries(string how) => Passes("linking", how);

    [Test]
    public Task AProgramWithoutATableOfFramesIsToldSo() => Passes("no_frame_table");

    [Test]
    public Task LldLinksTheArchive() => Passes("lld");

    [Test]
    public Task LldKeepsWhatTheArchiveNeeds() => Passes("lld", "-Wl,--gc-sections");

    [Test]
    public Task PkgConfigSaysWhereTheLibraryIsFound() => Passes("rpath");

    [Test]
    public Task AnotherCLibraryIsOneErrorThatSaysSo() => Passes("musl");

    [Test]
    public Task FunctionsHaveNamesForPerf() => Passes("names");

    [Test]
    [Arguments("1", "0")]
    [Arguments("2", "0")]
    [Arguments("4", "0")]
    [Arguments("1", "3")]
    [Arguments("2", "3")]
    [Arguments("4", "3")]
    public Task EveryFunctionDoesWhatItsHeaderSays(string processors, string load) =>
        Passes("api", processors, load);

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task EachWaitCanEndAndEachEndIsLearntOf(string processors) => Passes("ends", processors);

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task TheNetworkHasAddressesDeadlinesDatagramsAndLines(string processors) => Passes("net", processors);

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task FilesBlockNobodyProcessesAreWaitedForSignalsAreReceived(string processors) =>
        Passes("processes", processors);

    [Test]
    public Task AnyFunctionMayBeTheFirstThatIsCalled() => Passes("first");

    [Test]
    public Task NamesAndSizesAreThoseOfTheCommittedList() => Passes("abi");

    [Test]
    public Task EveryFunctionHasAManualPageThatAproposFinds() => Passes("manual");

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task ThreadsAndGoroutinesOnTheSameChannelsLoseNothing(string processors) =>
        Passes("mixed", "1", processors);

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task CxxExceptionsBelongToTheirGoroutine(string processors) => Passes("exceptions", processors);

    [Test]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task TheFaceOfCxxDoesWhatItsHeaderSays(string processors) => Passes("hpp", processors);

    [Test]
    public Task TheFaceOfCxxHasAllThatTheOneOfCHas() => Passes("hpp_whole");

    [Test]
    [Arguments("go")]
    [Arguments("task")]
    [Arguments("scope")]
    [Arguments("timer")]
    public Task ACxxExceptionThatNobodyTakesEndsTheProgram(string where) => Passes("hpp_lost", where);

    [Test]
    [Slow]
    public Task TheFaceOfCxxRunsCleanUnderTheSanitizers() => Passes("hpp_sanitizers");

    [Test]
    public Task AnOlderCxxIsOneErrorThatSaysSo() => Passes("old_cxx");

    [Test]
    public Task AWrongSettingEndsAProgramWithOneLine() => Passes("setting");

    [Test]
    public Task CxxExceptionsOfALibraryThatIsLoadedLaterToo() => Passes("late_exceptions");

    [Test]
    public Task HandlersWithoutASignalStackWorkOrAreNamed() => Passes("signals");

    [Test]
    public Task AHostMayLoadItAtRunTimeAndASecondCopyIsRefused() => Passes("host");

    [Test]
    public Task AHostWithLittleAddressSpaceIsToldSo() => Passes("memory");

    [Test]
    [Slow]
    public Task WhatAGoroutineCostsDoesNotGrowWithTheirNumber() => Passes("many");

    [Test]
    public Task PythonMayLoadIt() => Passes("python");

    [Test]
    [Slow]
    [Arguments("1")]
    [Arguments("2")]
    [Arguments("4")]
    public Task TheModuleForPythonKeepsGoroutinesOnTheirThreads(string processors) =>
        Passes("python_module", processors);

    [Test]
    [Slow]
    public Task TheCrateForRustPassesItsTests() => Passes("rust");

    [Test]
    public Task AGoroutineThatComputesOrBlocksHoldsNobodyUp() => Passes("handoff");

    [Test]
    public Task AFullStackOfAGoroutineSaysSo() => Passes("overflow");

    [Test]
    [Arguments("codes")]
    [Arguments("threads")]
    [Arguments("movable")]
    public Task WhatMustNotBeDoneIsACodeOrAMessage(string what) => Passes("misuse", what);

    [Test]
    [Arguments("lock")]
    [Arguments("ends")]
    [Arguments("main_ends")]
    [Arguments("too_late")]
    [Arguments("exits")]
    public Task AThreadStaysAGoroutinesAndMayCallWhileItEnds(string what) => Passes("threads", what);

    [Test]
    public Task ErrnoIsThatOfTheThreadWhereTheCallWas() => Passes("errno");

    [Test]
    public Task MovableStacksGrowAndRegisteredCodeIsInterrupted() => Passes("stacks");

    [Test]
    public Task GdbShowsGoroutinesAndTheirStacks() => Passes("debugger");

    [Test]
    public Task ACoreFileHasTheGoroutinesAndNotTheReservation() => Passes("core");

    private static async Task Passes(params string[] arguments)
    {
        string script = Path.Combine(Repository.Root(), "native", "tests", "run.sh");
        ChildResult result = ChildProcess.Execute(
            "sh", [script, s_prefix.Value, .. arguments], timeout: TimeSpan.FromMinutes(2));
        Skip.When(result.ExitCode == Skipped, "a program that this test needs is missing");
        await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
    }

    /// <summary>Under out/, anew for each run of the tests.</summary>
    private static string Install()
    {
        string root = Repository.Root();
        string prefix = Path.Combine(root, "out", "native-tests");
        if (Directory.Exists(prefix))
        {
            Directory.Delete(prefix, recursive: true);
        }
        ChildResult install = ChildProcess.Execute(
            "sh", ["build.sh", "install", prefix], root, timeout: TimeSpan.FromMinutes(5));
        if (install.ExitCode != 0)
        {
            Assert.Fail(install.ToString());
        }
        return prefix;
    }
}
