// The storm of GcStorm.cs at several numbers of processors and modes of the collector, each in a child
// process, because the mode is fixed at start. Arguments of a child: processors, collections, runs, and
// "blocking" for native code that blocks in between.

using System.Globalization;

namespace Weft.Tests;

internal sealed class StormTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    internal static int Storm(string[] args)
    {
        int procs = int.Parse(args[0], CultureInfo.InvariantCulture);
        int collections = int.Parse(args[1], CultureInfo.InvariantCulture);
        int runs = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 1;
        bool blocks = args.Length > 3 && args[3] == "blocking";
        for (int run = 1; run <= runs; run++)
        {
            string? failure = GcStorm.Run(procs, collections, blocks, out long steps, out int done);
            Console.WriteLine($"run {run}: {failure ?? "right"}, {steps} steps, {done} collections");
            if (failure is not null)
            {
                return 1;
            }
        }
        return 0;
    }

    // Some with one build, some with the other: together they take long.
    [Test]
#if WEFT_SMALL
    [Arguments(2, "0")]
    [Arguments(4, "1")]
#else
    [Arguments(1, "0")]
    [Arguments(4, "0")]
    [Arguments(2, "1")]
#endif
    public async Task NothingIsLostInAThousandCollections(int procs, string concurrent)
    {
        ChildResult child = ChildProcess.Run(
            "storm",
            [procs.ToString(CultureInfo.InvariantCulture), "1000"],
            new() { ["DOTNET_gcConcurrent"] = concurrent, ["WEFTDEBUG"] = "gcverify=1" },
            s_limit);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("0")]
    [Arguments("1")]
    public async Task NothingIsLostWithGuardsByProtection(string concurrent)
    {
        ChildResult child = ChildProcess.Run(
            "storm",
            ["2", "200"],
            new() { ["DOTNET_gcConcurrent"] = concurrent, ["WEFT_GUARD"] = "mprotect" },
            s_limit);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    // The programs of Go's test/chan, and what each operation promises, once more (StormAround.cs).
    [Test]
    [Arguments("ChanTests", 40)]
    [Arguments("ChanElementTests", 10)]
    [Arguments("SelectTests", 40)]
    [Arguments("PowerSeriesTests", 3)]
    public Task ChannelsKeepTheirPromisesInAStorm(string tests, int least) =>
        ChildTests.Pass(tests, least, new() { [StormAround.Variable] = "1" });
}
