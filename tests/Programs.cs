// The child programs: what a test cannot do in its own process, because it ends it.
//
// A test runs one with ChildProcess.Run("name", …): that is this same executable, started as
// `weft-tests --child name …`, with no test framework in the way. To add one, write the function
// beside its test and register it here.

namespace Weft.Tests;

internal static class Programs
{
    private static readonly Dictionary<string, Func<string[], int>> s_programs = [];

    static Programs()
    {
        Register("exit-with", HarnessTests.ExitWith);
        Register("hang", HarnessTests.Hang);
        Register("crash", HarnessTests.Crash);
        Register("failed-start", InputTests.FailedStart);
        Register("failed-start-locks", LockStartTests.FailedStart);
        Register("threads-only", ChanMemoryTests.ThreadsOnly);
        Register("max-procs", InputTests.PrintMaxProcs);
        Register("descriptors", InputTests.OpenMany);
        Register("follow-affinity", ProcessorLimitTests.FollowAffinity);
        Register("storm", StormTests.Storm);
#if !WEFT_SMALL
        Register("page", DocTests.Program);
#endif
#if !WEFT_SMALL && !WEFT_CROSS
        Register("http-churn", HttpBadClientTests.ChurnMany);
#endif
#if WEFT_SMALL
        Register("server-storm", ServerGcTests.ServerStorm);
        Register("server-leaks", ServerGcTests.ServerLeaks);
#endif
        Register("traced-start", TraceTests.TracedProgram);
        Register("perf-labels", PerfTests.Program);
        Register("profile-many", ProfileTests.ProfileMany);
        Register("read-trace", PerfettoFile.Print);
        Register("ask-trace-processor", TraceProcessor.Program);
        Register("traced-collections", TraceTests.TracedCollections);
        Register("overflow", StackTests.Overflow);
        Register("overflow-fixed", StackTests.OverflowFixed);
        Register("fixed-deep", FixedStackTests.Deep);
        Register("fixed-limit", FixedStackTests.Limit);
        Register("growth", StackTests.Growth);
        Register("growth-storm", GrowthStorm.Program);
        Register("scope-catch", GoScopeTests.CatchesOnlyWhatWasThrown);
        Register("group-catch", ErrGroupTests.CatchesOnlyWhatWasThrown);
        Register("little-memory", StackTests.LittleMemory);
        Register("too-many-guards", StackTests.TooManyGuards);
        Register("pages-go-back", StackTests.PagesGoBack);
        Register("huge-pages-go-back", StackTests.HugePagesGoBack);
        Register("many-come-down", StackReturnTests.ManyComeDown);
        Register("unhandled", SchedulerTests.UnhandledChild);
        Register("host-42", SchedulerTests.Host42);
        Register("idle", BlockingTests.Idle);
        Register("idle-timer", SleepTests.IdleTimer);
        Register("sleepers", SleepTests.Sleepers);
        Register("many-threads", ThreadTests.ManyThreads);
        Register("few-threads", BlockingTests.FewThreads);
        Register("one-more-thread", BlockingTests.OneMoreThread);
        Register("dotnet-waits", DotNetWaitTests.Program);
        Register("look-ups", LookUpTests.Program);
        Register("fifos", BlockingTests.Fifos);
        Register("pipes-in-storm", BlockingTests.PipesInStorm);
        Register("console-input", ConsoleWaitTests.Program);
        Register("console-output", ConsoleWaitTests.PrintLines);
        Register("wakers", WakerTests.Program);
        Register("waits-storm", WaitHistoryTests.Storm);
        Register("socket-waits", SocketWaitTests.Program);
        Register("socket-outcomes", SocketOutcomes.Program);
        Register("signal-storm", PreemptionTests.SignalStorm);
        Register("statics-storm", PreemptionTests.StaticsStorm);
        Register("select-never", SelectTests.Never);
        Register("million", SchedulerTests.Million);
        Register("sleeper", PreemptionTests.Sleeper);
        Register("hogs", Hogs.Program);
        Register("collection-alarm", CollectionAlarm.Program);
        Register("gc-torture", GcTorture.Program);
        Register("gc-claim", GcClaim.Program);
        Register("stack-return", StackReturnTests.Program);
        Register("stack-return-busy", StackReturnTests.BusyProgram);
        Register("stack-stored", StackReturnTests.Stored);
        Register("gc-passed-by", GcPassedBy.Program);
        Register("gc-fault", GcFault.Program);
        Register("gc-shapes", GcShapes.Program);
        Register("gc-word-by-word", GcWordByWord.Program);
        Register("gc-demoted", GcDemoted.Program);
        Register("balance", PreemptionTests.BalanceRuns);
        Register("deadlock", ReportTests.Deadlock);
        Register("dump", ReportTests.Dump);
        Register("dump-groups", ReportTests.DumpGroups);
        Register("quit", ReportTests.Quit);
        Register("quit-and-end", ReportTests.QuitAndEnd);
        Register("traced", ReportTests.Traced);
        Register("net-idle", PollTests.Idle);
        Register("net-dump", PollTests.Dump);
        Register("net-stdin", PollTests.CopyInput);
        Register("net-no-descriptors", NetCloseTests.NoDescriptors);
        Register("net-clients", NetStreamTests.Clients);
        Register("start-storm", StartStorm.Program);
        Register("late-signals", LateSignalTests.Program);
        Register("async-void", AsyncTests.AsyncVoid);
    }

    /// <summary>Runs the program of that name and returns its exit code.</summary>
    internal static int Run(string name, string[] args)
    {
        if (!s_programs.TryGetValue(name, out Func<string[], int>? program))
        {
            Console.Error.WriteLine($"no child program is named '{name}'; see tests/Programs.cs");
            return 127;
        }

        return program(args);
    }

    private static void Register(string name, Func<string[], int> program) =>
        s_programs.Add(name, program);
}
