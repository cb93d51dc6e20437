// What collections do with parked goroutines. The tortures (GcTorture.cs) are short here; for long ones run the
// child programs, with WEFTDEBUG=gcverify=1 or without, and with homes=1, 8 or 64: nearly all stacks are stored
// then while they wait (stack/StackStore.cs).
//
// Safeguards of stack/FrameWalk.cs, StackShapes.cs, GcRoots.cs and core/GcAges.cs, taken out one at a time, and
// what fails then:
//
//   walk      native frames, registered frames,          WhatIsNotWalkedIsFound: callback (by its count alone:
//             an exception in flight                     the walk would be right), reflection, catch
//             what stopped in assembly                   WhatAParkedGoroutineHoldsIsThere
//             each register's place, each two swapped    EachRegisterIsFoundWhereTheSwitchPushesIt
//             what is the stand-in's                     AStackIsWalkedAsTheTableSays
//   shape     rbp; places of byrefs to the own stack     AShapeIsForStacksAlike: buffers, byrefs
//             a return address                           WhoRefersToOldObjectsIsPassedBy
//             no words below a frame                     WhatIsNotWalkedIsFound: dispatch
//             most frames, references, bytes, misses     SomeStacksHaveNoShape
//   age       forgotten at hand-over, and while claimed  WhatAPeerWritesToAParkedFrameIsSeen
//             forgotten when it runs; only who waits     WhatAParkedGoroutineHoldsIsThere
//             of where objects move to                   AnAgeFollowsAnObjectThatBecomesYounger
//             of all words, in either pass               WhatIsNotWalkedIsFound: dispatch
//             no look-up beyond the collector's map      WhatIsNotWalkedIsFound: beyond, dispatch
//   fault     asked at all; in LeakScan.Decide; ended    AFaultInACollectionEndsTheProcess
//             by the number of the thread                EachThreadIsToldWhetherItReports
//
// Not seen, as the code around them has the same effect: a Waiting goroutine without a saved sp, and one that
// stands for a thread, have no age (ReportGoroutine says that it knows none); a learned chain lies on the stack,
// and its flags fit; what is pinned is not reported once more while references are updated.

using System.Globalization;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class CollectionTests
{
    private static readonly Dictionary<string, string> s_verifies = new() { ["WEFTDEBUG"] = "gcverify=1" };

    [Test]
    [Arguments("peers", 2, "0", "")]
    [Arguments("peers", 4, "1", "")]
    [Arguments("peers", 1, "0", ",homes=8")]
    [Arguments("peers", 2, "1", ",homes=1")]
    [Arguments("peers", 4, "0", ",homes=64")]
    [Arguments("frames", 1, "1", "")]
    [Arguments("frames", 4, "0", "")]
    [Arguments("frames", 2, "0", ",homes=1")]
    [Arguments("frames", 2, "1", ",idle=0")]
    public async Task WhatAParkedGoroutineHoldsIsThere(string program, int procs, string concurrent, string homes)
    {
        ChildResult child = ChildProcess.Run(
            "gc-torture",
            [program, "500", "1", procs.ToString(CultureInfo.InvariantCulture), "signals"],
            new() { ["DOTNET_gcConcurrent"] = concurrent, ["WEFTDEBUG"] = "gcverify=1" + homes });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("1")]
    [Arguments("4")]
    public async Task WhatAPeerWritesToAParkedFrameIsSeen(string procs)
    {
        ChildResult child = ChildProcess.Run("gc-claim", [], new(s_verifies) { ["WEFT_MAXPROCS"] = procs });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("dense", "")]
    [Arguments("sparse", "")]
    [Arguments("sparse", "gcverify=1")]
    public async Task WhoRefersToOldObjectsIsPassedBy(string heap, string setting)
    {
        ChildResult child = ChildProcess.Run("gc-passed-by", [heap], new() { ["WEFTDEBUG"] = setting });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("buffers", "")]
    [Arguments("buffers", "gcverify=1")]
    [Arguments("byrefs", "")]
    public async Task AShapeIsForStacksAlike(string stacks, string setting)
    {
        ChildResult child = ChildProcess.Run("gc-shapes", [stacks], new() { ["WEFTDEBUG"] = setting });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("callback", "")]
    [Arguments("reflection", "")]
    [Arguments("catch", "")]
    [Arguments("dispatch", "")]
    [Arguments("dispatch", "gcverify=1")]
    [Arguments("beyond", "gcprecise=0,gcages=1")]
    public async Task WhatIsNotWalkedIsFound(string stacks, string setting)
    {
        ChildResult child = ChildProcess.Run("gc-word-by-word", [stacks], new() { ["WEFTDEBUG"] = setting });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    public async Task AnAgeFollowsAnObjectThatBecomesYounger()
    {
        ChildResult child = ChildProcess.Run("gc-demoted");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("goroutine", "null", "0x00000000000000")]
    [Arguments("goroutine", "far", "0x00007ff000000000")]
    [Arguments("goroutine", "leaks", "0x00000000000000")]
    [Arguments("thread", "null", "0x00000000000000")]
    [Arguments("thread", "far", "0x00007ff000000000")]
    public async Task AFaultInACollectionEndsTheProcess(string who, string where, string address)
    {
        ChildResult child = ChildProcess.Run("gc-fault", [who, where]);

        await Assert.That(child.ExitCode).IsEqualTo(134).Because(child.ToString());
        await Assert.That(child.Output).IsEqualTo("caught\n");
        await Assert.That(child.Error).StartsWith($"weft: fatal: fault at {address}").Because(child.Error);
        await Assert.That(child.Error).Contains(" in a collection");
    }

    [Test]
    public async Task EachThreadIsToldWhetherItReports()
    {
        GcWalks.Reporting told = GcWalks.WhoReports();

        await Assert.That(told).IsEqualTo(new GcWalks.Reporting(false, true, false, true, false));
    }

    [Test]
    [Arguments("gcprecise=1,gcages=1", "precisely, by age")]
    [Arguments("gcverify=1,gcages=1", "precisely, by age, verified")]
    [Arguments("gcprecise=0", "word by word, by age")]
    [Arguments("gcages=0", "precisely, all of them")]
    [Arguments("gcprecise=0,gcages=0", "word by word, all of them")]
    public async Task WhatIsDoneIsSaidWhenAsked(string setting, string expected)
    {
        ChildResult child = ChildProcess.Run("max-procs", [], new() { ["WEFTDEBUG"] = setting });

        await Assert.That(child.ExitCode).IsEqualTo(0);
        await Assert.That(child.Error).IsEqualTo($"weft: collections: parked stacks are read {expected}\n");
    }

    [Test]
    public async Task AStackIsWalkedAsTheTableSays()
    {
        RuntimeThread.Load();
        FrameWalk.Load();

        await Assert.That(FrameWalk.FindMismatch(FrameWalk.Table)).IsNull();
    }

    [Test]
    public async Task AReferenceInARegisterIsFoundWhereTheSwitchPushesIt()
    {
        RuntimeThread.Load();
        FrameWalk.Load();

        FrameWalk.Look look = FrameWalk.Try(FrameWalk.Table);

        await Assert.That(look.InRegister).IsGreaterThanOrEqualTo(1);
        await Assert.That(look.ExposedFound).IsEqualTo(1);
        await Assert.That(look.CopyFound).IsEqualTo(1);
    }

    [Test]
    public async Task EachRegisterIsFoundWhereTheSwitchPushesIt()
    {
        HashSet<int> places = [];
        for (int count = 1; count <= GcWalks.MostObjects; count++)
        {
            places.UnionWith(GcWalks.PlacesOf(count));
        }

        await Assert.That(string.Join(" ", places.Order())).IsEqualTo("0 1 2 3 4");
    }

    [Test]
    public async Task SomeStacksHaveNoShape()
    {
        const int stacks = 1000;
        int frames = 0, few = 0, many = 0, learned = 0;
        bool shallow = false, deep = true;

        string? failure = Crew.Run(1, _ =>
        {
            frames = GcWalks.MostFramesOfAShape();
            few = GcWalks.ReferencesOfAShape(30);
            many = GcWalks.ReferencesOfAShape(45);
            learned = GcWalks.LearnedOf(stacks);
            shallow = GcWalks.HasShapeWithMore(0);
            deep = GcWalks.HasShapeWithMore(1 << 29);
        });

        await Assert.That(failure).IsNull();
        await Assert.That(frames).IsEqualTo(4096);
        await Assert.That(few).IsBetween(3000, 4096);
        await Assert.That(many).IsEqualTo(-1);
        await Assert.That(learned).IsBetween(64, stacks / 5); // All until so many, then one of 16.
        await Assert.That(shallow).IsTrue();
        await Assert.That(deep).IsFalse();
    }

    [Test]
    public async Task EachNumberOfTheIteratorThatIsChangedIsFound()
    {
        RuntimeThread.Load();
        FrameWalk.Load();
        List<string> missed = [];
        int count = Unsafe.SizeOf<IteratorTable>() / Unsafe.SizeOf<nint>();
        for (int field = 0; field < count; field++)
        {
            for (nint wrong = 0; wrong < 0x100; wrong += 8)
            {
                IteratorTable changed = FrameWalk.Table;
                ref nint entry = ref Unsafe.Add(ref Unsafe.As<IteratorTable, nint>(ref changed), field);
                if (entry != wrong)
                {
                    entry = wrong;
                    if (FrameWalk.FindMismatch(changed) is null)
                    {
                        missed.Add($"{field}: 0x{wrong:x}");
                    }
                }
            }
        }

        await Assert.That(missed).IsEmpty().Because(string.Join(", ", missed));
    }
}
