// Server GC: several threads of the collector report parked stacks, each its share. Only in the small
// build, which is linked with the server collector; the normal build has the workstation collector's library.

using System.Globalization;
using System.Runtime;

namespace Weft.Tests;

internal sealed class ServerGcTests
{
    internal static int ServerStorm(string[] args) =>
        GCSettings.IsServerGC ? StormTests.Storm(args) : 3;

    internal static int ServerLeaks(string[] args)
    {
        Go.Run(() => new Chan<int>().Receive());
        try
        {
            _ = Go.FindLeaks();
            return 4;
        }
        catch (PlatformNotSupportedException e)
        {
            Console.WriteLine(e.Message);
            return GCSettings.IsServerGC ? 0 : 3;
        }
    }

    // Its threads mark together; LeakScan would have to be one of them.
    [Test]
    public async Task LeaksAreNotLookedForUnderServerGc()
    {
        ChildResult child = ChildProcess.Run("server-leaks", [], new() { ["DOTNET_gcServer"] = "1" });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).Contains("ServerGarbageCollection");
    }

    [Test]
    [Arguments(2, "0")]
    [Arguments(4, "0")]
    [Arguments(4, "1")]
    public async Task NothingIsLostUnderServerGc(int procs, string concurrent)
    {
        ChildResult child = ChildProcess.Run(
            "server-storm",
            [procs.ToString(CultureInfo.InvariantCulture), "200"],
            new()
            {
                ["DOTNET_gcServer"] = "1",
                ["DOTNET_gcConcurrent"] = concurrent,
                ["DOTNET_GCHeapCount"] = "4",
                ["DOTNET_GCNoAffinitize"] = "1",
                ["WEFTDEBUG"] = "gcverify=1",
            },
            TimeSpan.FromMinutes(2));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }
}
