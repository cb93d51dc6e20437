// The execution trace and the flight recorder, read by PerfettoFile.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[NotOnJit("there are no traces; JitTests has the exception")]
internal sealed class TraceTests
{
    private const int Messages = 2_000;

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task EachRunIsASliceAndEachArrowEnds(int procs)
    {
        PerfettoFile file = null!;
        RuntimeStats before = default;
        RuntimeStats after = default;
        string? failure = Crew.Run(procs, crew =>
        {
            before = Go.Stats();
            file = Traced(PingPong);
            after = Go.Stats();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        long runs = file.Runs.Count();
        await Assert.That(runs).IsEqualTo(file.Figures["slices"]);
        await Assert.That(file.Arrows).IsEqualTo((int)file.Figures["arrows"]);
        await Assert.That(runs).IsLessThanOrEqualTo(after.Runs - before.Runs + procs); // Those that ran at the start.
        // With several processors some messages need no wait.
        int least = procs == 1 ? 2 * Messages : Messages / 2;
        await Assert.That(runs).IsGreaterThanOrEqualTo(least);
        await Assert.That(file.Arrows).IsGreaterThanOrEqualTo(least);
        await Assert.That(file.Runs.Count(run => run.Name.Contains(nameof(PingPong)))).IsGreaterThan(least / 4);
        await Assert.That(file.Instants.Any(i => i.Name == "events lost")).IsFalse();
    }

    // From the start to the end nothing is missing: all that Go.Stats has counted.
    [Test]
    public async Task WhatTheEnvironmentAsksForHasAllThatWasCounted()
    {
        string path = await TracedFromStartToEnd();
        PerfettoFile file = new(File.ReadAllBytes(path));
        File.Delete(path);

        await Assert.That(file.Faults).IsEmpty();
        await Assert.That(file.Runs.Count()).IsEqualTo((int)file.Figures["Runs"]);
        await Assert.That(file.Instants.Count(i => i.Name == "steal")).IsEqualTo((int)file.Figures["Steals"]);
        // A machine may look at the network in the moment between the end and the figures.
        await Assert.That(file.Instants.Count(i => i.Name == "network poll"))
            .IsBetween((int)file.Figures["Polls"] - 3, (int)file.Figures["Polls"]);
        await Assert.That(file.Tracks.Count(track => track.Thread != 0)).IsGreaterThanOrEqualTo(1);
    }

    // For a trace of another program: weft-tests --child ask-trace-processor FILE.
    [Test]
    public async Task PerfettosTraceProcessorFindsTheSame()
    {
        string? program = TraceProcessor.Executable;
        Skip.When(program is null, "there is no trace_processor_shell of Perfetto's; TRACE_PROCESSOR has its path");
        string path = await TracedFromStartToEnd();
        string wrong = TraceProcessor.Wrong(
            TraceProcessor.Ask(program!, path), new PerfettoFile(File.ReadAllBytes(path)));
        File.Delete(path);

        await Assert.That(wrong).IsEmpty();
    }

    private static async Task<string> TracedFromStartToEnd()
    {
        string path = Path.GetTempFileName();
        ChildResult child = ChildProcess.Run(
            "traced-start", [], new() { ["WEFT_TRACE"] = path, ["WEFT_MAXPROCS"] = "2" });

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        return path;
    }

    internal static int TracedProgram(string[] args) => WeftHost.Run(() =>
    {
        PingPong();
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        WaitGroup done = new();
        done.Go(() =>
        {
            using Conn conn = listener.Accept();
            _ = conn.Read(new byte[10]);
        });
        using Conn client = Net.Dial("tcp", listener.Address!.ToString()!);
        Go.Sleep(TimeSpan.FromMilliseconds(5));
        client.Write(new byte[10]);
        done.Wait();
    });

    [Test]
    [Arguments("/proc/nowhere/file")]
    [Arguments("/")]
    public async Task AFileThatCannotBeWrittenEndsTheProgramWithALine(string path)
    {
        ChildResult child = ChildProcess.Run("traced-start", [], new() { ["WEFT_TRACE"] = path });

        await Assert.That(child.ExitCode).IsEqualTo(2);
        await Assert.That(child.Error).StartsWith($"weft: fatal: WEFT_TRACE is '{path}'");
    }

    [Test]
    public async Task StatesSayWhatAGoroutineWaitsFor()
    {
        PerfettoFile file = null!;
        long id = 0;
        string? failure = Crew.Run(2, crew => file = Traced(() =>
        {
            Chan<int> channel = new();
            WaitGroup done = new();
            done.Go(() =>
            {
                id = OwnId();
                _ = channel.Receive();
                Go.Sleep(TimeSpan.FromMilliseconds(20));
                BlockingTests.Block(100);
            });
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            channel.Send(1);
            done.Wait();
        }));

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        Dictionary<string, long> times = file.StatesOf(id).GroupBy(slice => slice.Name)
            .ToDictionary(group => group.Key, group => group.Sum(slice => slice.End - slice.Begin));
        await Assert.That(string.Join(", ", times.Keys.Order()))
            .IsEqualTo("chan receive, in native code, runnable, running, sleep");
        await Assert.That(times["chan receive"]).IsGreaterThan(10_000_000);
        await Assert.That(times["sleep"]).IsGreaterThan(10_000_000);
        await Assert.That(times["in native code"]).IsGreaterThan(50_000_000);
        // Who made it runnable: the sender, a timer, nobody.
        PerfettoSlice[] runs = [.. file.Runs.Where(run => run.Values["goroutine"] == id && run.From is not null)];
        await Assert.That(runs.Length).IsEqualTo(3); // With the one that started it.
    }

    [Test]
    public async Task RegionsAndLinesAreTheGoroutines()
    {
        string text = new string('x', 237) + "äöü"; // Two bytes each: one fits.
        PerfettoFile file = null!;
        string? failure = Crew.Run(2, crew => file = Traced(() =>
        {
            using (Go.TraceRegion("outer"))
            {
                using (Go.TraceRegion("inner, äöü"))
                {
                    Go.Sleep(TimeSpan.FromMilliseconds(1));
                    Go.TraceLog(text);
                }
                Go.TraceLog("");
            }
            Thread thread = new(() =>
            {
                using (Go.TraceRegion("of a thread"))
                {
                    Go.TraceLog("line of a thread");
                }
            });
            thread.Start();
            thread.Join();
        }));

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        PerfettoSlice outer = file.Slices.Single(slice => slice.Name == "outer");
        PerfettoSlice inner = file.Slices.Single(slice => slice.Name == "inner, äöü");
        PerfettoSlice line = file.Instants.Single(i => i.Name.StartsWith("xxx"));
        await Assert.That(outer.Track.Name).EndsWith(": regions");
        await Assert.That(inner.Outer).IsEqualTo(outer);
        await Assert.That(inner.End - inner.Begin).IsGreaterThan(500_000);
        await Assert.That(line.Outer).IsEqualTo(inner);
        await Assert.That(line.Name).IsEqualTo(new string('x', 237) + "ä");
        PerfettoSlice ofThread = file.Slices.Single(slice => slice.Name == "of a thread");
        await Assert.That(ofThread.Track.Thread).IsNotEqualTo(0);
        await Assert.That(file.Instants.Single(i => i.Name == "line of a thread").Outer).IsEqualTo(ofThread);
    }

    [Test]
    public async Task CollectionsAreThere()
    {
        PerfettoFile file = null!;
        string? failure = Crew.Run(2, crew => file = Traced(() =>
        {
            for (int i = 0; i < 4; i++)
            {
                GC.Collect(1, GCCollectionMode.Forced, blocking: true);
            }
        }));

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        PerfettoSlice[] pauses = // What others ask for may serve for these, and has begun before the trace once.
            [.. file.Slices.Where(slice => slice.Depth == 0
                && slice.Name is "collection of generation 1" or "collection of generation 2")];
        await Assert.That(pauses.Length).IsGreaterThanOrEqualTo(3);
        await Assert.That(pauses.Min(pause => pause.End - pause.Begin)).IsGreaterThan(0);
    }

    // Where the system does not take its time from the processor's counter, on some virtual machines.
    [Test]
    public async Task TheyAreThereByTheSystemsClockToo()
    {
        ChildResult child = ChildProcess.Run("traced-collections", [], new() { ["WEFTDEBUG"] = "counter=0" });

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\nFalse\n\n--- stderr\n");
    }

    internal static int TracedCollections(string[] args) => WeftHost.Run(() =>
    {
        PerfettoFile file = Traced(() => GC.Collect());
        Console.WriteLine(Ticks.AreCounted);
        PerfettoSlice[] pauses = [.. file.Slices.Where(slice => slice.Name == "collection of generation 2")];
        return file.Faults.Count == 0 && pauses.Length > 0 && pauses.All(pause => pause.End > pause.Begin) ? 0 : 1;
    });

    // Somebody holds a lock and computes; who waits for it says so, and who let it go on is the culprit.
    [Test]
    public async Task AFlightRecordOfAStallNamesTheCulprit()
    {
        using MemoryStream stream = new();
        long waiter = 0;
        string? failure = Crew.Run(2, crew =>
        {
            using FlightRecorder recorder = Go.FlightRecorder();
            Mutex mutex = new();
            WaitGroup done = new();
            Chan<bool> isLocked = new();
            done.Go(() => Culprit(mutex, isLocked));
            _ = isLocked.Receive();
            done.Go(() =>
            {
                waiter = OwnId();
                mutex.Lock();
                mutex.Unlock();
            });
            done.Wait();
            recorder.WriteTo(stream, TimeSpan.FromSeconds(10));
        });
        PerfettoFile file = new(stream.ToArray());

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        PerfettoSlice stall = file.StatesOf(waiter).MaxBy(slice => slice.End - slice.Begin)!;
        await Assert.That(stall.Name).IsEqualTo("mutex");
        await Assert.That(stall.End - stall.Begin).IsGreaterThan(100_000_000);
        PerfettoSlice next = file.Runs.First(
            run => run.Values["goroutine"] == waiter && run.Begin >= stall.End && run.From is not null);
        await Assert.That(next.From!.Outer!.Name).Contains(nameof(Culprit));
    }

    // It still runs, and its beginning has been overwritten by what others did.
    [Test]
    [Slow]
    public async Task WhoRunsForLongIsInTheRecordHoweverMuchFollows()
    {
        using MemoryStream stream = new();
        string? failure = Crew.Run(2, crew =>
        {
            using FlightRecorder recorder = Go.FlightRecorder();
            bool end = false;
            WaitGroup hog = new();
            hog.Go(() => Hog(ref end));
            Go.Sleep(TimeSpan.FromMilliseconds(5));
            for (int i = 0; i < TraceRing.Slots * 3 / 2 / Messages / 4; i++)
            {
                PingPong();
            }
            recorder.WriteTo(stream);
            Volatile.Write(ref end, true);
            hog.Wait();
        });
        PerfettoFile file = new(stream.ToArray());

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        await Assert.That(file.Runs.Any(run => run.Name.Contains(nameof(Hog)) || run.Name.Contains("WhoRunsFor")))
            .IsTrue().Because(string.Join(' ', file.Runs.Select(run => run.Name).Distinct()));
    }

    [Test]
    public async Task ARecordIsNotLongerThanAsked()
    {
        using MemoryStream stream = new();
        string? failure = Crew.Run(2, crew =>
        {
            using FlightRecorder recorder = Go.FlightRecorder();
            Go.TraceLog("old");
            Go.Sleep(TimeSpan.FromSeconds(3));
            Go.TraceLog("new");
            recorder.WriteTo(stream, TimeSpan.FromSeconds(2.5)); // Where others keep this one waiting, too.
        });
        PerfettoFile file = new(stream.ToArray());

        await Assert.That(failure).IsNull();
        await Assert.That(file.Faults).IsEmpty();
        await Assert.That(file.Instants.Count(i => i.Name == "new")).IsEqualTo(1);
        await Assert.That(file.Instants.Any(i => i.Name == "old")).IsFalse();
    }

    [Test]
    public async Task NothingIsWrittenWhileNobodyLooks()
    {
        _ = Traced(PingPong);
        long before = Written();
        string? failure = Crew.Run(2, crew =>
        {
            PingPong();
            using (Go.TraceRegion("off"))
            {
                Go.TraceLog("off");
            }
        });
        long after = Written();

        await Assert.That(failure).IsNull();
        await Assert.That(Go.IsTracing).IsFalse();
        await Assert.That(after).IsEqualTo(before);
    }

    [Test]
    public async Task WrongUseIsToldAndHarmless()
    {
        await Assert.That(() => Go.StartTrace(null!)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.StartTrace(new MemoryStream([], writable: false))).Throws<ArgumentException>();
        Go.StopTrace(); // None.
        Go.StartTrace(Stream.Null);
        await Assert.That(() => Go.StartTrace(Stream.Null)).Throws<InvalidOperationException>();
        Go.StopTrace();
        Go.StartTrace(new FailingStream());
        IOException? failed = await Assert.That(Go.StopTrace).Throws<IOException>();
        await Assert.That(failed!.InnerException!.Message).IsEqualTo("full");
        Go.StartTrace(Stream.Null);
        Go.StopTrace();
        FlightRecorder recorder = Go.FlightRecorder();
        await Assert.That(() => recorder.WriteTo(Stream.Null, TimeSpan.Zero)).Throws<ArgumentOutOfRangeException>();
        recorder.Dispose();
        recorder.Dispose();
        await Assert.That(() => recorder.WriteTo(Stream.Null)).Throws<ObjectDisposedException>();
        await Assert.That(Go.IsTracing).IsFalse();
    }

    // The writer goes on while it is read: what the reader gets is whole, in order, and it knows what it missed.
    [Test]
    public async Task AReaderThatIsTooSlowLosesWholeEvents()
    {
        const int count = 3_000_000;
        (long read, long last, long lost, string? wrong) = ReadWhileWritten(count);

        await Assert.That(wrong).IsNull();
        await Assert.That(last).IsEqualTo(count);
        await Assert.That(read).IsLessThanOrEqualTo(count);
        await Assert.That(read == count).IsEqualTo(lost == 0);
    }

    private static unsafe (long Read, long Last, long Lost, string? Wrong) ReadWhileWritten(int count)
    {
        TraceRing* ring = TraceRing.Make();
        using TraceCursor cursor = new(ring, 1000, fromOldest: false);
        byte[] text = [.. Enumerable.Range(0, 100).Select(i => (byte)('a' + (i % 26)))];
        string expected = System.Text.Encoding.ASCII.GetString(text);
        bool ended = false;
        Thread writer = new(() =>
        {
            for (long i = 1; i <= count; i++)
            {
                if (i % 3 == 0)
                {
                    TraceRing.Write(ring, TraceEvent.Log, i, text);
                }
                else
                {
                    TraceRing.Write(ring, TraceEvent.Run, i, 7);
                }
            }
            Volatile.Write(ref ended, true);
        });
        writer.Start();
        long last = 0;
        long read = 0;
        long lost = 0;
        string? wrong = null;
        bool ends;
        do
        {
            ends = Volatile.Read(ref ended);
            cursor.LookAgain();
            while (cursor.TryPeek(out TraceRecord record))
            {
                lost += cursor.TakeLost();
                wrong ??= record.Number > last ? null : $"{record.Number} after {last}";
                last = record.Number;
                read++;
                if (record.What == TraceEvent.Log)
                {
                    string got = cursor.SkipText(record.Reason);
                    if (got.Length == 0)
                    {
                        read--; // Overwritten just then.
                        continue;
                    }
                    wrong ??= got == expected && last % 3 == 0 ? null : $"{last}: {got}";
                }
                else
                {
                    wrong ??= record is { What: TraceEvent.Run, Reason: 7 } && last % 3 != 0 ? null : $"{last}?";
                    cursor.Skip();
                }
            }
            Thread.Sleep(1); // Long enough to be overtaken.
        }
        while (!ends);
        writer.Join();
        return (read, last, lost, wrong);
    }

    [Test]
    public async Task TicksAreTheMonotonicClocks()
    {
        TickClock clock = TickClock.Start();
        Thread.Sleep(20);
        clock.Sync();
        Thread.Sleep(20);
        long ticks = Ticks.Now();
        long ns = Os.NowNs();
        clock.Sync();

        await Assert.That(Math.Abs(clock.ToNs(ticks) - ns)).IsLessThan(2_000_000);
    }

    private static PerfettoFile Traced(Action action)
    {
        using MemoryStream stream = new();
        Go.StartTrace(stream);
        action();
        Go.StopTrace();
        return new PerfettoFile(stream.ToArray());
    }

    private static void PingPong()
    {
        Chan<int> there = new();
        Chan<int> back = new();
        WaitGroup done = new();
        done.Go(() =>
        {
            for (int i = 0; i < Messages; i++)
            {
                back.Send(there.Receive());
            }
        });
        for (int i = 0; i < Messages; i++)
        {
            there.Send(i);
            _ = back.Receive();
        }
        done.Wait();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Culprit(Mutex mutex, Chan<bool> isLocked)
    {
        mutex.Lock();
        isLocked.Send(true);
        long end = Os.NowNs() + 200_000_000;
        while (Os.NowNs() < end)
        {
            Go.Yield(); // Others are not kept from running: only the lock is.
        }
        mutex.Unlock();
    }

    private static void Hog(ref bool end)
    {
        while (!Volatile.Read(ref end))
        {
        }
    }

    private static unsafe long OwnId() => Current.Goroutine()->Id;

    private static unsafe long Written()
    {
        long sum = 0;
        for (int i = 0; i < Scheduler.RingCount; i++)
        {
            TraceRing* ring = Scheduler.Ring(i);
            sum += ring == null ? 0 : ring->Head;
        }
        return sum;
    }

    private sealed class FailingStream : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer) => throw new IOException("full");

        public override void Write(byte[] buffer, int offset, int count) => throw new IOException("full");
    }
}
