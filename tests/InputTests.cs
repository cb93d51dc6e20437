// What the public functions refuse, and what they say about a caller that is no goroutine.

using System.Globalization;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class InputTests
{
    // As a shell gives it, for programs that call select.
    [Test]
    public async Task TheSoftLimitOfDescriptorsIsRaised()
    {
        ChildResult child = ChildProcess.Execute(
            "sh", ["-c", "ulimit -Sn 200; exec \"$0\" --child descriptors", Environment.ProcessPath!]);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
    }

    internal static int OpenMany(string[] args) => WeftHost.Run(() =>
    {
        List<FileStream> files = [.. Enumerable.Range(0, 300).Select(_ => File.OpenRead("/dev/null"))];
        files.ForEach(file => file.Dispose());
    });

    [Test]
    [Arguments(0)]
    [Arguments(-1)]
    [Arguments(1025)]
    [Arguments(int.MinValue)]
    [Arguments(int.MaxValue)]
    public async Task MaxProcsIsFrom1To1024(int value)
    {
        int before = Go.MaxProcs;
        await Assert.That(() => Go.MaxProcs = value).Throws<ArgumentOutOfRangeException>();
        await Assert.That(Go.MaxProcs).IsEqualTo(before);
    }

    [Test]
    public async Task MaxProcsIsWhatWasSet()
    {
        int before = Go.MaxProcs;
        int[] values = [1, 2, 3, 1, 4, 1024, 1];
        List<int> got = [];
        foreach (int value in values)
        {
            Go.MaxProcs = value;
            got.Add(Go.MaxProcs);
        }
        string? failure = Crew.Run(1, crew =>
        {
            foreach (int value in values)
            {
                Go.MaxProcs = value;
                crew.Equal(Go.MaxProcs, value, "set by a goroutine");
            }
            crew.Throws<ArgumentOutOfRangeException>(() => Go.MaxProcs = 0, "0 in a goroutine");
        });
        Go.MaxProcs = before;

        await Assert.That(got.SequenceEqual(values)).IsTrue();
        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments("0")]
    [Arguments("1025")]
    [Arguments("-1")]
    [Arguments("two")]
    public async Task AMaxProcsOfTheEnvironmentThatIsNoneIsNamed(string value)
    {
        ChildResult child = ChildProcess.Run("max-procs", [], new() { ["WEFT_MAXPROCS"] = value });

        await Assert.That(child.ExitCode).IsEqualTo(2);
        await Assert.That(child.Error).IsEqualTo(
            $"weft: fatal: WEFT_MAXPROCS is '{value}': it must be a number from 1 to 1024.\n");
    }

    [Test]
    [Arguments("WEFT_GUARD", "on", "mprotect, or not set")]
    [Arguments("WEFT_ASYNCPREEMPT", "two\nlines", "0 or 1, or not set")]
    [Arguments("WEFTDEBUG", "schedtrace=often", "schedtrace=MILLISECONDS")]
    [Arguments("WEFTDEBUG", "gctrace=1", "schedtrace=MILLISECONDS")]
    public async Task AVariableOfTheEnvironmentThatMeansNothingIsOneLine(
        string variable, string value, string allowed)
    {
        ChildResult child = ChildProcess.Run("max-procs", [], new() { [variable] = value });

        await Assert.That(child.ExitCode).IsEqualTo(2);
        await Assert.That(child.Error).StartsWith($"weft: fatal: {variable} ");
        await Assert.That(child.Error).Contains(value.Replace('\n', '?')).And.Contains(allowed);
        await Assert.That(child.Error.Split('\n').Length).IsEqualTo(2);
    }

    [Test]
    public async Task WhereWeftCannotRunOneLineSaysWhy()
    {
        await Assert.That(Startup.WhyNotHere(4096, false, 11)).IsNull();
        await Assert.That(Startup.WhyNotHere(4096, true, 10)).IsNull();
        await Assert.That(Startup.WhyNotHere(16_384, false, 10)).Contains("16384");
        await Assert.That(Startup.WhyNotHere(65_536, false, 10)).Contains("65536");
        await Assert.That(Startup.WhyNotHere(4096, true, 11)).Contains("signs return addresses");
    }

    [Test]
    public async Task TheMaxProcsOfTheEnvironmentIsUsed()
    {
        ChildResult child = ChildProcess.Run("max-procs", [], new() { ["WEFT_MAXPROCS"] = "7" });

        await Assert.That(child.Output).IsEqualTo("7\n");
    }

    [Test]
    public async Task WithoutTheEnvironmentMaxProcsIsTheNumberOfProcessors()
    {
        ChildResult child = ChildProcess.Run("max-procs", [], new() { ["WEFT_MAXPROCS"] = "" });

        await Assert.That(child.Output).IsEqualTo(
            Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture) + "\n");
    }

    internal static int PrintMaxProcs(string[] args)
    {
        Console.WriteLine(Go.MaxProcs);
        return 0;
    }

    // Each waits until no more than its number of processors is in use; another may have raised it since.
    [Test]
    public async Task SeveralMaySetMaxProcsAtOnce()
    {
        int before = Go.MaxProcs;
        bool stop = false;
        WaitGroup busy = new();
        for (int i = 0; i < 8; i++)
        {
            busy.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    Go.Yield();
                }
            });
        }
        Barrier round = new(2);
        Thread[] setters = [.. Enumerable.Range(0, 2).Select(id => new Thread(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                round.SignalAndWait();
                Go.MaxProcs = id == 0 ? 1 : 4;
            }
        })
        {
            IsBackground = true,
        })];
        Array.ForEach(setters, thread => thread.Start());
        bool ended = setters.All(thread => thread.Join(TimeSpan.FromSeconds(20)));
        Volatile.Write(ref stop, true);
        busy.Wait();
        Go.MaxProcs = before;

        await Assert.That(ended).IsTrue();
    }

    // The runtime starts when the first thread has to wait; that it does not must not jam the channel.
    [Test]
    [Arguments("chan")]
    [Arguments("group")]
    public async Task AStartThatFailsLeavesWhatWasWaitedForUsable(string what)
    {
        ChildResult child = ChildProcess.Run(
            "failed-start", [what], new() { ["WEFT_MAXPROCS"] = "none" }, TimeSpan.FromSeconds(10));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    internal static int FailedStart(string[] args)
    {
        Startup.OwnsProcess = false; // So that it fails, as it may for lack of memory.
        Chan<int> chan = new();
        WaitGroup group = new();
        group.Add();
        for (int i = 0; i < 2; i++)
        {
            try
            {
                if (args[0] == "chan")
                {
                    _ = chan.Receive();
                }
                else
                {
                    group.Wait();
                }
                return 1;
            }
            catch (ArgumentException)
            {
                // As it should be, and the second time too.
            }
        }
        chan.Close();
        group.Done();
        return 0;
    }

    [Test]
    [Arguments(65535L)]
    [Arguments(0L)]
    [Arguments(-1L)]
    [Arguments((1L << 30) + 1)]
    [Arguments(long.MaxValue)]
    [Arguments(long.MinValue)]
    public async Task MaxStackIsFrom64KilobytesTo1Gigabyte(long value)
    {
        long before = Go.MaxStack;
        await Assert.That(() => Go.MaxStack = value).Throws<ArgumentOutOfRangeException>();
        await Assert.That(Go.MaxStack).IsEqualTo(before);
    }

    [Test]
    [Arguments(65536L, 65536L)]
    [Arguments(65537L, 131072L)]
    [Arguments(100_000_000L, 134_217_728L)]
    [Arguments(1L << 30, 1L << 30)]
    public async Task MaxStackIsRoundedUpToAPowerOfTwo(long value, long rounded)
    {
        long before = Go.MaxStack;
        Go.MaxStack = value;
        long got = Go.MaxStack;
        Go.MaxStack = before;

        await Assert.That(got).IsEqualTo(rounded);
        await Assert.That(Go.MaxStack).IsEqualTo(before);
    }

    [Test]
    [Arguments(65535L)]
    [Arguments(0L)]
    [Arguments(-1L)]
    [Arguments((1L << 30) + 1)]
    [Arguments(long.MaxValue)]
    public async Task AFixedStackIsFrom64KilobytesTo1Gigabyte(long bytes)
    {
        await Assert.That(() => StackOptions.Fixed(bytes)).Throws<ArgumentOutOfRangeException>();
    }

    [Test]
    [Arguments(65536L)]
    [Arguments(65537L)]
    [Arguments(256 * 1024L)]
    [Arguments(1L << 30)]
    public async Task AGoroutineRunsOnAFixedStackOfThatSize(long bytes)
    {
        long size = 0;
        WaitGroup done = new();
        done.Add();
        Go.Run(
            () =>
            {
                size = StackSize();
                done.Done();
            },
            StackOptions.Fixed(bytes));
        done.Wait();

        await Assert.That(size).IsGreaterThanOrEqualTo(bytes);
        await Assert.That(size).IsLessThan(2 * bytes);
    }

    [Test]
    public async Task StackOptionsSayWhatTheyAre()
    {
        await Assert.That(StackOptions.Movable.IsFixed).IsFalse();
        await Assert.That(StackOptions.Movable.Bytes).IsEqualTo(0);
        await Assert.That(StackOptions.Movable).IsEqualTo(default);
        await Assert.That(StackOptions.Fixed().IsFixed).IsTrue();
        await Assert.That(StackOptions.Fixed().Bytes).IsEqualTo(256 * 1024);
        await Assert.That(StackOptions.Fixed(65536)).IsEqualTo(StackOptions.Fixed(65536));
    }

    private static unsafe long StackSize()
    {
        Goroutine* g = Current.Goroutine();
        return g->StackHigh - g->StackLow;
    }

    [Test]
    public async Task NoFunctionMayBeNull()
    {
        long before = Go.Count;
        await Assert.That(() => Go.Run(null!)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.Run((Action)null!, StackOptions.Movable)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.Run((Action)null!, StackOptions.Fixed())).Throws<ArgumentNullException>();
        await Assert.That(() => Go.Run((Action<int>)null!, 1)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.Run((Action<string>)null!, "")).Throws<ArgumentNullException>();
        await Assert.That(() => Go.Run((Action<Guid[]>)null!, [])).Throws<ArgumentNullException>();
        await Assert.That(() => new WaitGroup().Go(null!)).Throws<ArgumentNullException>();
        await Assert.That(() => WeftHost.Run((Action)null!)).Throws<ArgumentNullException>();
        await Assert.That(() => WeftHost.Run((Func<int>)null!)).Throws<ArgumentNullException>();
        await Assert.That(Go.Count).IsEqualTo(before);
    }

    [Test]
    public async Task AGoroutineMayRefuseNullToo()
    {
        string? failure = Crew.Run(2, crew =>
        {
            crew.Throws<ArgumentNullException>(() => Go.Run(null!), "Go.Run");
            crew.Throws<ArgumentNullException>(() => Go.Run((Action<int>)null!, 1), "Go.Run with a state");
            crew.Throws<ArgumentNullException>(() => new WaitGroup().Go(null!), "WaitGroup.Go");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ANullStateIsPassedOn()
    {
        string? got = "before";
        WaitGroup done = new();
        done.Add();
        Go.Run<string?>(
            state =>
            {
                got = state;
                done.Done();
            },
            null);
        done.Wait();

        await Assert.That(got).IsNull();
    }

    [Test]
    public async Task ExitIsForGoroutinesOnly()
    {
        await Assert.That(Go.Exit).Throws<InvalidOperationException>();
    }

    [Test]
    public async Task AThreadIsNoGoroutine()
    {
        Go.Yield();
        await Assert.That(Go.Id).IsEqualTo(0);
        await Assert.That(Go.IsGoroutine).IsFalse();
    }

    [Test]
    public async Task AThreadThatHasWaitedIsStillNoGoroutine()
    {
        Chan<int> chan = new();
        Go.Run(() => chan.Send(1));
        int got = chan.Receive();

        await Assert.That(got).IsEqualTo(1);
        await Assert.That(Go.Id).IsEqualTo(0);
        await Assert.That(Go.IsGoroutine).IsFalse();
    }

    [Test]
    public async Task EachGoroutineHasANumberOfItsOwn()
    {
        const int Goroutines = 1000;
        long[] ids = new long[2 * Goroutines];
        WaitGroup done = new();
        string? failure = Crew.Run(4, crew =>
        {
            for (int i = 0; i < Goroutines; i++)
            {
                int index = i;
                crew.Go(() =>
                {
                    ids[index] = Go.Id;
                    Go.Yield();
                    crew.Equal(Go.Id, ids[index], "the number after a yield");
                    crew.Expect(Go.IsGoroutine, "no goroutine");
                });
            }
        });
        for (int i = Goroutines; i < 2 * Goroutines; i++)
        {
            int index = i;
            done.Go(() => ids[index] = Go.Id);
        }
        done.Wait();

        await Assert.That(failure).IsNull();
        await Assert.That(ids.Min()).IsGreaterThan(0);
        await Assert.That(ids.Distinct().Count()).IsEqualTo(ids.Length);
    }

    [Test]
    public async Task CountIsTheNumberOfGoroutinesThatExist()
    {
        long before = Go.Count;
        string? failure = Crew.Run(2, crew =>
        {
            Chan<int> gate = new();
            for (int i = 0; i < 100; i++)
            {
                crew.GoAndPark(ParkReason.ChanReceive, () => _ = gate.Receive());
            }
            crew.Until(() => Go.Count == before + 1 + 100, "the count of those who wait");
            gate.Close();
            crew.Until(() => Go.Count == before + 1, "all to end");
        });

        await Assert.That(failure).IsNull();
    }

    // Many spawn from threads while processors are retired, which moves numbers between counters.
    [Test]
    public async Task TheCountStaysRightWhileProcessorsComeAndGo()
    {
        long before = Go.Count;
        int procs = Go.MaxProcs;
        bool stop = false;
        Thread[] spawners = [.. Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            WaitGroup done = new();
            while (!Volatile.Read(ref stop))
            {
                for (int i = 0; i < 50; i++)
                {
                    done.Go(() => done.Go(Go.Yield));
                }
                done.Wait();
            }
        }))];
        Array.ForEach(spawners, thread => thread.Start());
        for (int i = 0; i < 300; i++)
        {
            Go.MaxProcs = 1 + (i % 5);
        }
        Volatile.Write(ref stop, true);
        Array.ForEach(spawners, thread => thread.Join());
        Go.MaxProcs = procs;
        SpinWait.SpinUntil(() => Go.Count == before, TimeSpan.FromSeconds(2));

        await Assert.That(Go.Count).IsEqualTo(before);
    }

    [Test]
    public async Task TheHostRefusesAGoroutine()
    {
        string? failure = Crew.Run(2, crew =>
        {
            crew.Throws<InvalidOperationException>(() => WeftHost.Run(() => 1), "a host in a goroutine");
            crew.Throws<InvalidOperationException>(() => WeftHost.Run(() => { }), "the other form");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheHostMayRunTwiceAndNestOnThreads()
    {
        int procs = Go.MaxProcs;
        Go.MaxProcs = 2; // The join blocks one of them.
        int inner = 0;
        int outer = WeftHost.Run(() =>
        {
            Thread thread = new(() => inner = WeftHost.Run(() => 5));
            thread.Start();
            thread.Join();
            return 6;
        });
        int nothing = WeftHost.Run(() => { });
        Go.MaxProcs = procs;

        await Assert.That((inner, outer, nothing)).IsEqualTo((5, 6, 0));
    }
}
