// What collections do with parked goroutines. The tortures (GcTorture.cs) are short here; for long ones run the
// child programs, with WEFTDEBUG=gcverify=1 or without.

using System.Globalization;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class CollectionTests
{
    private static readonly Dictionary<string, string> s_verifies = new() { ["WEFTDEBUG"] = "gcverify=1" };

    [Test]
    [Arguments("peers", 2, "0")]
    [Arguments("peers", 4, "1")]
    [Arguments("frames", 1, "1")]
    [Arguments("frames", 4, "0")]
    public async Task WhatAParkedGoroutineHoldsIsThere(string program, int procs, string concurrent)
    {
        ChildResult child = ChildProcess.Run(
            "gc-torture",
            [program, "500", "1", procs.ToString(CultureInfo.InvariantCulture), "signals"],
            new(s_verifies) { ["DOTNET_gcConcurrent"] = concurrent });

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
    public async Task AFaultInACollectionEndsTheProcess()
    {
        ChildResult child = ChildProcess.Run("gc-fault");

        await Assert.That(child.ExitCode).IsEqualTo(134).Because(child.ToString());
        await Assert.That(child.Error).StartsWith("weft: fatal: fault at 0x00000000000000").Because(child.Error);
        await Assert.That(child.Error).Contains(" in a collection");
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
