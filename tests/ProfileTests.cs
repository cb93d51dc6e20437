// Go.WriteProfile, read by PprofFile, and by Go's own tool where there is one.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Weft.Tests;

[NotOnJit("profiles need NativeAOT; JitTests has the exception")]
internal sealed class ProfileTests
{
    [Test]
    public async Task GoroutinesAreCountedByStack()
    {
        const int count = 40;
        PprofFile file = null!;
        string? failure = Crew.Run(2, crew => file = WhileParked(count, () => PprofFile.Of(GoProfile.Goroutines)));

        await Assert.That(failure).IsNull();
        await Assert.That(string.Join(' ', file.Types)).IsEqualTo("goroutine/count");
        PprofSample[] parked = [.. file.Samples.Where(sample => sample.Has(nameof(ParkHere)))];
        await Assert.That(parked.Length).IsBetween(1, 3); // By the ways there are inside of Weft, not shown.
        await Assert.That(parked.Sum(sample => sample.Values[0])).IsEqualTo(count);
        await Assert.That(parked.All(sample => sample.Labels["state"] == "chan receive")).IsTrue();
        await Assert.That(file.Samples.SelectMany(sample => sample.Stack).Any(name => name.StartsWith("Weft.Runtime.")))
            .IsFalse();
    }

    [Test]
    public async Task ABlockProfileHasTheWaiters()
    {
        long count = 0;
        long delay = 0;
        string? failure = Crew.Run(2, crew =>
        {
            PprofSample before = Sum(PprofFile.Of(GoProfile.Block), nameof(ParkHere));
            Go.BlockProfileRate = 1;
            _ = WhileParked(3, () =>
            {
                Go.Sleep(TimeSpan.FromMilliseconds(50));
                return 0;
            });
            Go.BlockProfileRate = 0;
            _ = WhileParked(3, () => 0); // Not counted.
            PprofSample after = Sum(PprofFile.Of(GoProfile.Block), nameof(ParkHere));
            count = after.Values[0] - before.Values[0];
            delay = after.Values[1] - before.Values[1];
        });

        await Assert.That(failure).IsNull();
        await Assert.That(count).IsEqualTo(3);
        await Assert.That(delay).IsBetween(3 * 45_000_000L, 3 * 60_000_000_000L);
    }

    // Waits that are shorter than the rate are drawn by chance, for as much as they stand for.
    [Test]
    public async Task ShortWaitsAreDrawnByChance()
    {
        const int waits = 600;
        long actual = 0;
        long told = 0;
        string? failure = Crew.Run(1, crew =>
        {
            long before = Sum(PprofFile.Of(GoProfile.Block), nameof(WaitOften)).Values[1];
            Go.BlockProfileRate = 10_000_000;
            Chan<int> channel = new();
            WaitGroup done = new();
            done.Go(() => actual = WaitOften(channel, waits));
            for (int i = 0; i < waits; i++)
            {
                Go.Sleep(TimeSpan.FromMicroseconds(500));
                channel.Send(i);
            }
            done.Wait();
            Go.BlockProfileRate = 0;
            told = Sum(PprofFile.Of(GoProfile.Block), nameof(WaitOften)).Values[1] - before;
        });

        await Assert.That(failure).IsNull();
        await Assert.That(told).IsBetween(actual / 3, actual * 3); // Some 40 draws.
    }

    [Test]
    public async Task AMutexProfileHasWhoUnlocks()
    {
        PprofSample before = null!;
        PprofSample after = null!;
        string? failure = Crew.Run(2, crew =>
        {
            before = Sum(PprofFile.Of(GoProfile.Mutex), nameof(HoldFor));
            Go.MutexProfileFraction = 1;
            Mutex mutex = new();
            Chan<bool> isLocked = new();
            WaitGroup done = new();
            done.Go(() => HoldFor(mutex, isLocked, TimeSpan.FromMilliseconds(80)));
            _ = isLocked.Receive();
            mutex.Lock();
            mutex.Unlock();
            done.Wait();
            Go.MutexProfileFraction = 0;
            after = Sum(PprofFile.Of(GoProfile.Mutex), nameof(HoldFor));
        });

        await Assert.That(failure).IsNull();
        await Assert.That(after.Values[0] - before.Values[0]).IsEqualTo(1);
        await Assert.That(after.Values[1] - before.Values[1]).IsBetween(50_000_000L, 60_000_000_000L);
    }

    [Test]
    public async Task LeaksAreAProfileToo()
    {
        PprofFile file = null!;
        string? failure = Crew.Run(2, crew =>
        {
            Leak();
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            _ = WhileParked(2, () => file = PprofFile.Of(GoProfile.Leaks));
            _ = Go.FindLeaks(reclaim: true);
        });

        await Assert.That(failure).IsNull();
        await Assert.That(file.Samples.Where(s => s.Has(nameof(LeakHere))).Sum(s => s.Values[0])).IsEqualTo(1);
        await Assert.That(file.Samples.Any(s => s.Has(nameof(ParkHere)))).IsFalse();
    }

    [Test]
    public async Task GoToolPprofReadsThem()
    {
        ChildResult version;
        try
        {
            version = ChildProcess.Execute("go", ["version"]);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Skip.Test("there is no go");
            return;
        }
        string path = Path.GetTempFileName();
        string? failure = Crew.Run(2, crew => _ = WhileParked(7, () =>
        {
            using FileStream file = File.Create(path);
            Go.WriteProfile(GoProfile.Goroutines, file);
            return 0;
        }));
        ChildResult top = ChildProcess.Execute("go", ["tool", "pprof", "-top", "-cum", path]);
        File.Delete(path);

        await Assert.That(version.ExitCode).IsEqualTo(0);
        await Assert.That(failure).IsNull();
        await Assert.That(top.ExitCode).IsEqualTo(0).Because(top.ToString());
        await Assert.That(top.Output).Contains("Type: goroutine");
        string line = top.Output.Split('\n').Single(line => line.Contains(nameof(ParkHere)));
        await Assert.That(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3]).IsEqualTo("7").Because(top.Output);
    }

    [Test]
    public async Task ManyGoroutinesMakeASmallProfile()
    {
        // Under qemu a guard takes two mappings.
        ChildResult child = ChildProcess.Run("profile-many", [Qemu.IsHere ? "10000" : "100000"]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    // Parks so many; says how long their profile takes, in s, and how many bytes it has.
    internal static int ProfileMany(string[] args) => WeftHost.Run(() =>
    {
        int count = int.Parse(args[0], CultureInfo.InvariantCulture);
        return WhileParked(count, () =>
        {
            using MemoryStream stream = new();
            long start = Stopwatch.GetTimestamp();
            Go.WriteProfile(GoProfile.Goroutines, stream);
            TimeSpan time = Stopwatch.GetElapsedTime(start);
            PprofFile file = new(stream.ToArray());
            long found = file.Samples.Where(sample => sample.Has(nameof(ParkHere))).Sum(sample => sample.Values[0]);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{found} in {time.TotalSeconds:0.00} s, {stream.Length} bytes"));
            return found == count && stream.Length < 1_000_000 ? 0 : 1;
        });
    });

    [Test]
    public async Task WrongUseIsTold()
    {
        await Assert.That(() => Go.WriteProfile(GoProfile.Goroutines, null!)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.WriteProfile((GoProfile)9, Stream.Null)).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => Go.BlockProfileRate = -1).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => Go.MutexProfileFraction = -1).Throws<ArgumentOutOfRangeException>();
        await Assert.That(Go.BlockProfileRate).IsEqualTo(0);
    }

    private static T WhileParked<T>(int count, Func<T> action)
    {
        Chan<int> gate = new();
        WaitGroup done = new();
        int parked = 0;
        for (int i = 0; i < count; i++)
        {
            done.Go(() => ParkHere(gate, ref parked));
        }
        while (Volatile.Read(ref parked) < count)
        {
            Go.Yield();
        }
        Go.Sleep(TimeSpan.FromMilliseconds(20)); // Now they are.
        T result = action();
        gate.Close();
        done.Wait();
        return result;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ParkHere(Chan<int> gate, ref int parked)
    {
        Interlocked.Increment(ref parked);
        _ = gate.Receive(out _);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long WaitOften(Chan<int> channel, int count)
    {
        long sum = 0;
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            _ = channel.Receive();
            sum += Stopwatch.GetElapsedTime(start).Ticks * TimeSpan.NanosecondsPerTick;
        }
        return sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void HoldFor(Mutex mutex, Chan<bool> isLocked, TimeSpan time)
    {
        mutex.Lock();
        isLocked.Send(true);
        Go.Sleep(time);
        mutex.Unlock();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Leak()
    {
        Chan<int> nobody = new();
        Go.Run(() => LeakHere(nobody));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeakHere(Chan<int> nobody) => _ = nobody.Receive();

    private static PprofSample Sum(PprofFile file, string function)
    {
        PprofSample[] samples = [.. file.Samples.Where(sample => sample.Has(function))];
        return new PprofSample(
            [], [samples.Sum(sample => sample.Values[0]), samples.Sum(sample => sample.Values[1])], []);
    }
}
