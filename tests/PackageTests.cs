// The packages as their users meet them: a fresh project, one PackageReference, PublishAot.

using System.IO.Compression;

namespace Weft.Tests;

internal sealed class PackageTests
{
    private const string ChannelProgram = """
        using Weft;

        return WeftHost.Run(() =>
        {
            var c = new Chan<int>();
            Go.Run(() => c.Send(42));
            System.Console.WriteLine(c.Receive());
            return 0;
        });
        """;

    // Without a pin, as `dotnet new console` makes it; the next one has it.
    [Test]
    public async Task AFreshProjectNeedsOnlyThePackageAndPublishAot()
    {
        using FreshProject project = new("fresh", ChannelProgram, pinned: false);

        ChildResult publish = project.Dotnet("publish", "--output", "published");
        await Assert.That(publish.ExitCode).IsEqualTo(0).Because(publish.ToString());

        ChildResult run = project.RunPublished();
        await Assert.That(run.Output).IsEqualTo("42\n").Because(run.ToString());
        await Assert.That(run.ExitCode).IsEqualTo(0);
    }

    // With them the program has a thread of .NET's that others have not.
    [Test]
    [Slow]
    public async Task AProgramWithEventSourcesHasCountersAndStillReportsADeadlock()
    {
        using FreshProject project = new("events", """
            using System.Collections.Concurrent;
            using System.Diagnostics.Tracing;
            using Weft;

            return WeftHost.Run(() =>
            {
                if (args is ["deadlock"])
                {
                    _ = new Chan<int>().Receive();
                }
                using Counters counters = new();
                using WeftMetrics metrics = new(events: false);
                for (int i = 0; i < 300 && counters.Names.Count < 7; i++)
                {
                    Go.Sleep(TimeSpan.FromMilliseconds(100));
                }
                Console.WriteLine(counters.Names.Count);
                return 0;
            });

            sealed class Counters : EventListener
            {
                public ConcurrentDictionary<string, bool> Names { get; } = new();

                protected override void OnEventSourceCreated(EventSource source)
                {
                    if (source.Name == "Weft")
                    {
                        EnableEvents(source, EventLevel.Verbose, EventKeywords.All,
                            new Dictionary<string, string?> { ["EventCounterIntervalSec"] = "0.1" });
                    }
                }

                protected override void OnEventWritten(EventWrittenEventArgs e)
                {
                    if (e.EventName == "EventCounters" && e.Payload is [IDictionary<string, object> values])
                    {
                        Names[(string)values["Name"]] = true;
                    }
                }
            }
            """, property: "<EventSourceSupport>true</EventSourceSupport>");

        ChildResult publish = project.Dotnet("publish", "--output", "published");
        await Assert.That(publish.ExitCode).IsEqualTo(0).Because(publish.ToString());

        await Assert.That(project.RunPublished().ToString()).StartsWith("exit code 0\n--- stdout\n7\n");
        ChildResult deadlock = project.RunPublished("deadlock");
        await Assert.That(deadlock.ExitCode).IsEqualTo(2);
        await Assert.That(deadlock.Error).Contains("all goroutines are asleep");
    }

    [Test]
    public async Task TheSameProgramRunsOnTheJit()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult run = project.Dotnet("run");
        await Assert.That(run.Output).IsEqualTo("42\n").Because(run.ToString());
        await Assert.That(run.ExitCode).IsEqualTo(0);
        // Once, and nothing else.
        await Assert.That(run.Error.TrimEnd()).StartsWith("weft: on the JIT").And.DoesNotContain("\n");
    }

    // The others need packages of test frameworks: tests/templates.sh tries all of them.
    [Test]
    [Slow]
    public async Task AProjectFromATemplateSaysTheSameInBothModes()
    {
        _ = FreshProject.Packed("Weft.Templates");
        ChildResult child = ChildProcess.Execute(
            Path.Combine(Repository.Root(), "tests", "templates.sh"), ["console"],
            timeout: TimeSpan.FromMinutes(5));

        await Assert.That(child.ToString()).StartsWith("exit code 0\n--- stdout\nok   Hello\nok   Hello\n");
    }

    // The ends of a process, in a project without PublishAot: what `dotnet new console` makes.
    [Test]
    [Slow]
    public async Task OnTheJitAProcessEndsAsUnderNativeAot()
    {
        using FreshProject project = new("ends", """
            using Weft;

            return WeftHost.Run(() =>
            {
                Chan<int> nobody = new();
                Go.Run(() =>
                {
                    Go.Sleep(TimeSpan.FromMilliseconds(50));
                    if (args[0] == "throws")
                    {
                        throw new FormatException("not caught");
                    }
                });
                if (args[0] == "exit")
                {
                    return 7; // The goroutine is not waited for.
                }
                nobody.Receive();
                return 0;
            });
            """, publishAot: false);

        ChildResult build = project.Dotnet("build");
        await Assert.That(build.ExitCode).IsEqualTo(0).Because(build.ToString());
        ChildResult exit = project.Dotnet("run", "--no-build", "exit");
        await Assert.That(exit.ExitCode).IsEqualTo(7).Because(exit.ToString());
        ChildResult throws = project.Dotnet("run", "--no-build", "throws");
        await Assert.That(throws.ExitCode).IsEqualTo(134).Because(throws.ToString());
        await Assert.That(throws.Error).Contains("goroutine 2: unhandled exception").And.Contains("not caught");
        ChildResult deadlock = project.Dotnet("run", "--no-build", "deadlock");
        await Assert.That(deadlock.ExitCode).IsEqualTo(2).Because(deadlock.ToString());
        await Assert.That(deadlock.Error).Contains("all goroutines are asleep: deadlock")
            .And.Contains("goroutine 1 [chan receive");
    }

    [Test]
    [Slow]
    public async Task PublishingWithoutPublishAotIsAnErrorThatSaysSo()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult publish = project.Dotnet("publish", "-p:PublishAot=false");
        await Assert.That(publish.ExitCode).IsNotEqualTo(0).Because(publish.ToString());
        await Assert.That(publish.Output).Contains("error WEFT001").And.Contains("fresh.csproj");
    }

    [Test]
    [Slow]
    public async Task AnUnsupportedVersionIsNamedBesideTheSupportedOnes()
    {
        using FreshProject project = new("fresh", ChannelProgram);

        ChildResult publish = project.Dotnet("publish", "-p:WeftSupportedDotNet=12");
        await Assert.That(publish.ExitCode).IsNotEqualTo(0).Because(publish.ToString());
        await Assert.That(publish.Output)
            .Contains("error WEFT003").And.Contains("supported: .NET 12");
    }

    // The check alone: to publish takes ten seconds.
    [Test]
    [Slow]
    public async Task APatchThatWasNeverTriedIsAWarningThatCanBeSilenced()
    {
        using FreshProject project = new("fresh", ChannelProgram);
        string[] check =
        [
            "-restore", "-t:ResolveFrameworkReferences;WeftCheckTarget", "-p:RuntimeIdentifier=linux-x64",
            "-p:WeftTriedDotNet=10.0.1",
        ];

        ChildResult warned = project.Dotnet("msbuild", check);
        await Assert.That(warned.ExitCode).IsEqualTo(0).Because(warned.ToString());
        await Assert.That(warned.Output).Contains("warning WEFT004").And.Contains(FreshProject.Pin());

        ChildResult quiet = project.Dotnet("msbuild", [.. check, "-p:NoWarn=WEFT004"]);
        await Assert.That(quiet.ExitCode).IsEqualTo(0).Because(quiet.ToString());
        await Assert.That(quiet.Output).DoesNotContain("WEFT004");
    }

    [Test]
    public async Task ThePackageForAspNetCoreAsksForTheWeftThatItWasPackedWith()
    {
        using ZipArchive package = ZipFile.OpenRead(FreshProject.Packed("Weft.AspNetCore"));
        using StreamReader nuspec = new(package.GetEntry("Weft.AspNetCore.nuspec")!.Open());

        string text = await nuspec.ReadToEndAsync();
        string version = FreshProject.Version(FreshProject.Packed("Weft"));
        // Its analyzers too: what is left out by default is told by the attribute.
        await Assert.That(text).Contains($"<dependency id=\"Weft\" version=\"{version}\" exclude=\"Build\" />")
            .And.Contains("<frameworkReference name=\"Microsoft.AspNetCore.App\"");
    }
}
