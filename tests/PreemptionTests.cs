// Loops that call nothing: they are interrupted, so that others run, and go on as if nothing had been.

using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Mono.Unix.Native;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class PreemptionTests
{
    private static readonly TimeSpan s_enough = TimeSpan.FromMilliseconds(300);

    [Test]
    public async Task WhoCollectsIsNotInterruptedInsideTheCollection()
    {
        ChildResult child = ChildProcess.Run("collection-alarm", timeout: TimeSpan.FromSeconds(20));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [Test]
    [Arguments("counting")]
    [Arguments("generic")]
    [Arguments("structs")]
    [Arguments("linq")]
    [Arguments("vectors")]
    public async Task ALoopLetsOthersRunOnTheOnlyProcessor(string kind)
    {
        int ticks = 0;
        long before = Scheduler.Preemptions;
        string? failure = Crew.Run(1, crew =>
        {
            Flag stop = new();
            crew.Go(() => crew.Expect(Loop(kind, stop), "the result of the loop"));
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < s_enough)
            {
                ticks++;
                Go.Yield();
            }
            stop.Set = true;
        });

        await Assert.That(failure).IsNull();
        // Each time slice of the loop takes 10 ms at least: 30 in that time.
        await Assert.That(ticks).IsGreaterThan(3);
        await Assert.That(Scheduler.Preemptions - before).IsGreaterThan(3);
    }

    private sealed class Flag
    {
        internal volatile bool Set;
    }

    /// <summary>Loops until the flag is set. False when a result came out wrong.</summary>
    private static bool Loop(string kind, Flag stop) => kind switch
    {
        "counting" => Count(stop),
        "generic" => Sum<long>(stop) && Sum<double>(stop),
        "structs" => Copy(stop),
        "linq" => Linq(stop),
        "vectors" => Vectors(stop),
        _ => false,
    };

    private static bool Count(Flag stop)
    {
        long i = 0;
        while (!stop.Set)
        {
            i++;
        }
        return i > 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool Sum<T>(Flag stop)
        where T : INumber<T>
    {
        T[] numbers = [.. Enumerable.Range(1, 1000).Select(T.CreateChecked)];
        bool right = true;
        do
        {
            T sum = T.Zero;
            foreach (T number in numbers)
            {
                sum += number;
            }
            right &= sum == T.CreateChecked(500500);
        }
        while (!stop.Set);
        return right;
    }

    private record struct Wide(long A, long B, string C, double D, long E, string F);

    private static bool Copy(Flag stop)
    {
        Wide[] from = new Wide[100];
        Wide[] to = new Wide[100];
        for (int i = 0; i < from.Length; i++)
        {
            from[i] = new Wide(i, -i, "c" + i, i / 2.0, i * i, "f" + i);
        }
        bool right = true;
        while (!stop.Set)
        {
            for (int i = 0; i < from.Length; i++)
            {
                Wide one = from[i];
                to[to.Length - 1 - i] = one;
                right &= to[to.Length - 1 - i] == one;
            }
        }
        return right;
    }

    private static bool Linq(Flag stop)
    {
        int[] numbers = [.. Enumerable.Range(0, 2000)];
        bool right = true;
        while (!stop.Set)
        {
            right &= numbers.Where(n => n % 3 == 0).Select(n => (long)n * n).Sum() == LinqSum(numbers);
        }
        return right;
    }

    private static long LinqSum(int[] numbers)
    {
        long sum = 0;
        foreach (int n in numbers)
        {
            sum += n % 3 == 0 ? (long)n * n : 0;
        }
        return sum;
    }

    // A generator in each lane of the widest vectors there are: one lost bit changes all that follows.
    private static bool Vectors(Flag stop)
    {
        Vector512<ulong> wide = Vector512.Create(1UL, 2, 3, 4, 5, 6, 7, 8);
        ulong[] lanes = [1, 2, 3, 4, 5, 6, 7, 8];
        double real = 1;
        double realAgain = 1;
        while (!stop.Set)
        {
            for (int i = 0; i < 10_000; i++)
            {
                wide ^= wide << 13;
                wide ^= wide >> 7;
                wide ^= wide << 17;
                real = Math.FusedMultiplyAdd(real, 1.0000001, 0.25);
            }
            for (int lane = 0; lane < lanes.Length; lane++)
            {
                ulong x = lanes[lane];
                for (int i = 0; i < 10_000; i++)
                {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                }
                lanes[lane] = x;
            }
            for (int i = 0; i < 10_000; i++)
            {
                realAgain = Math.FusedMultiplyAdd(realAgain, 1.0000001, 0.25);
            }
            for (int lane = 0; lane < lanes.Length; lane++)
            {
                if (wide[lane] != lanes[lane])
                {
                    return false;
                }
            }
            if (real != realAgain)
            {
                return false;
            }
            real = realAgain = 1;
        }
        return true;
    }

    /// <summary>Arguments: the kind of loop, seconds. Prints how late a goroutine wakes that sleeps a
    /// millisecond at a time beside the loop, on one processor.</summary>
    internal static int Sleeper(string[] args)
    {
        Go.MaxProcs = 1;
        double seconds = double.Parse(args[1], CultureInfo.InvariantCulture);
        return WeftHost.Run(() =>
        {
            Flag stop = new();
            bool right = false;
            WaitGroup done = new();
            done.Go(() => right = Loop(args[0], stop));
            List<double> late = [];
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                long before = Stopwatch.GetTimestamp();
                Thread.Sleep(1);
                late.Add(Stopwatch.GetElapsedTime(before).TotalMilliseconds - 1);
            }
            stop.Set = true;
            done.Wait();
            late.Sort();
            Console.WriteLine(
                $"{args[0]}: {late.Count} sleeps, late by p50 {late[late.Count / 2]:F2} ms,"
                + $" p99 {late[late.Count * 99 / 100]:F2} ms, most {late[^1]:F2} ms;"
                + $" the loop's result is {(right ? "right" : "wrong")}");
            return right ? 0 : 1;
        });
    }

    [Test]
    public async Task ASleeperIsNotLateBesideALoop()
    {
        List<double> late = [];
        string? failure = Crew.Run(1, crew =>
        {
            Flag stop = new();
            crew.Go(() => Count(stop));
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(2))
            {
                long before = Stopwatch.GetTimestamp();
                Thread.Sleep(1);
                late.Add(Stopwatch.GetElapsedTime(before).TotalMilliseconds - 1);
            }
            stop.Set = true;
        });

        await Assert.That(failure).IsNull();
        late.Sort();
        double median = late[late.Count / 2];
        // The slice is 10 ms; generous, because the machine may be busy.
        await Assert.That(median).IsLessThan(50);
    }

    // The owner of a lock is interrupted, and two thousand want it: each of those that tries costs a thread, so
    // the owner must not come last.
    [Test]
    public async Task TheOwnerOfALockGoesOnBeforeAllOthersBlockInIt()
    {
        int machines = 0;
        int entered = 0;
        string? failure = Crew.Run(1, crew =>
        {
            object gate = new();
            int before = Scheduler.MachineCount;
            crew.Go(() =>
            {
                lock (gate)
                {
                    long start = Stopwatch.GetTimestamp();
                    while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromMilliseconds(35))
                    {
                    }
                    machines = Scheduler.MachineCount - before;
                }
            });
            for (int i = 0; i < 2000; i++)
            {
                crew.Go(() =>
                {
                    lock (gate)
                    {
                        entered++;
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(entered).IsEqualTo(2000);
        await Assert.That(machines).IsLessThan(200);
    }

    // The owner of a lock is interrupted while everybody else wants it.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ALockWhoseOwnerIsInterruptedIsReleased(int procs)
    {
        long counted = 0;
        object gate = new();
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 8; i++)
            {
                crew.Go(() =>
                {
                    for (int round = 0; round < 5; round++)
                    {
                        lock (gate)
                        {
                            long start = Stopwatch.GetTimestamp();
                            while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < 15)
                            {
                                counted++;
                            }
                        }
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(counted).IsGreaterThan(0);
    }

    // Signals as fast as they go, at goroutines that allocate, lock, throw, format and grow their stacks.
    [Test]
    [Slow]
    [Arguments(2, "computing")]
    [Arguments(4, "computing")]
    [Arguments(2, "blocking")]
    [Arguments(4, "blocking")]
    public async Task TheStormPassesUnderSignals(int procs, string kind)
    {
        ChildResult child = ChildProcess.Run(
            "signal-storm", [$"{procs}", "200", kind == "blocking" ? "1" : "3", kind]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.Output + child.Error);
    }

    /// <summary>Arguments: processors, collections, runs, computing or blocking, and, for a storm that goes on
    /// that long, seconds. Prints how many preemptions there were and how long they took.</summary>
    internal static int SignalStorm(string[] args)
    {
        double seconds = args.Length > 4 ? double.Parse(args[4], CultureInfo.InvariantCulture) : 0;
        using SignalSender sender = new();
        long start = Stopwatch.GetTimestamp();
        int result;
        do
        {
            result = StormTests.Storm(args);
        }
        while (result == 0 && Stopwatch.GetElapsedTime(start).TotalSeconds < seconds);

        long[] delays = Scheduler.PreemptionDelays();
        Array.Sort(delays);
        long median = delays.Length == 0 ? 0 : delays[delays.Length / 2];
        Console.WriteLine($"preemptions: {Scheduler.Preemptions}, p50 from signal to switch {median} ns");
        return result;
    }

    /// <summary>Sends the signal to all machines as fast as it goes, until disposed.</summary>
    internal sealed class SignalSender : IDisposable
    {
        private readonly Thread _thread;
        private bool _stop;

        internal SignalSender()
        {
            _ = Go.MaxProcs; // The runtime is up.
            _thread = new Thread(Send) { IsBackground = true };
            _thread.Start();
        }

        private void Send()
        {
            while (!Volatile.Read(ref _stop))
            {
                Scheduler.PreemptAll();
                if (Qemu.IsHere)
                {
                    Thread.Sleep(1); // A signal takes longer there than what lies between two.
                }
                Thread.SpinWait(200);
            }
        }

        public void Dispose()
        {
            Volatile.Write(ref _stop, true);
            _thread.Join();
        }
    }

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public Task FirstUseOfThreadStaticsMayBeInterruptedAnywhere(int procs) =>
        StormIsRight("statics-storm", procs, "1.5");

    private static async Task StormIsRight(string storm, int procs, string seconds)
    {
        ChildResult child = ChildProcess.Run(storm, [procs.ToString(CultureInfo.InvariantCulture), seconds]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    [ThreadStatic]
    private static int t_own;

    internal static int StaticsStorm(string[] args)
    {
        Go.MaxProcs = int.Parse(args[0], CultureInfo.InvariantCulture);
        TimeSpan limit = TimeSpan.FromSeconds(double.Parse(args[1], CultureInfo.InvariantCulture));
        using SignalSender sender = new();
        long start = Stopwatch.GetTimestamp();
        int wrong = 0;
        int uses = 0;
        while (Stopwatch.GetElapsedTime(start) < limit)
        {
            WaitGroup group = new();
            for (int i = 1; i <= 100; i++)
            {
                int id = i;
                group.Go(() =>
                {
                    t_own = id; // The first use: it makes the goroutine's thread statics.
                    for (int k = 0; k < 3; k++)
                    {
                        wrong += t_own == id ? 0 : 1;
                        Go.Yield();
                    }
                });
            }
            group.Wait();
            uses += 100;
        }
        Console.WriteLine($"{uses} first uses, {wrong} wrong values");
        return wrong == 0 ? 0 : 1;
    }

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public Task StacksGrowWhereverTheyAreInterrupted(int procs) =>
        StormIsRight("growth-storm", procs, "2");

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public Task StartsMayBeInterruptedAnywhere(int procs) => StormIsRight("start-storm", procs, "2");

    // There a signal takes many times as long as the distance between two alarms.
    [Test]
    [Slow]
    public async Task ProgressGoesOnUnderATracer()
    {
        Skip.When(Qemu.IsHere, "qemu: what is traced would be qemu");
        Skip.Unless(File.Exists("/usr/bin/strace"), "strace is not installed");
        for (int i = 0; i < 4; i++) // It did not in one run of ten, and takes half a second.
        {
            ChildResult child = ChildProcess.Execute(
                "/usr/bin/strace",
                ["-f", "-o", "/dev/null", Environment.ProcessPath!, "--child", "storm", "4", "20"],
                timeout: TimeSpan.FromMinutes(2));

            await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        }
    }

    // Native code that calls back: the callback is interrupted, and goes on in another thread.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task CallbacksFromNativeCodeMayBeInterrupted(int procs)
    {
        long before = Scheduler.Preemptions;
        s_moves = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            using SignalSender sender = new();
            WaitGroup done = new();
            for (int i = 0; i < 8; i++)
            {
                int seed = i;
                done.Go(() => crew.Expect(SortsRight(seed), "the numbers are sorted"));
            }
            done.Wait();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.Preemptions - before).IsGreaterThan(10);
        await Assert.That(s_moves > 0 || procs == 1).IsTrue();
    }

    private static int s_moves;

    private static unsafe bool SortsRight(int seed) => NativeSort.SortsRight(seed, &Compare);

    [UnmanagedCallersOnly]
    private static unsafe int Compare(int* a, int* b)
    {
        Machine* before = Current.Machine();
        int x = *a;
        for (int i = 0; i < 20_000; i++)
        {
            x = (x * 31) + i;
        }
        s_moves += Current.Machine() == before ? 0 : 1;
        return x == int.MinValue ? 0 : a->CompareTo(*b);
    }

    // A program may have its own use for the signal, also when it starts after Weft.
    [Test]
    public async Task AHandlerOfTheProgramGetsTheSignalsThatAreNotOurs()
    {
        int got = 0;
        string? failure = Crew.Run(2, crew =>
        {
            using PosixSignalRegistration own = PosixSignalRegistration.Create(
                (PosixSignal)Os.SignalUrgent, _ => Interlocked.Increment(ref got));
            for (int i = 0; i < 3; i++)
            {
                int seen = Volatile.Read(ref got);
                _ = Syscall.kill(Environment.ProcessId, Signum.SIGURG);
                crew.Until(() => Volatile.Read(ref got) > seen, "the program's handler");
            }
        });
        long before = Scheduler.Preemptions;
        await ALoopLetsOthersRunOnTheOnlyProcessor("counting");

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.Preemptions).IsGreaterThan(before);
    }

    // Spawned all by one: the other processor takes its half.
    [Test]
    public async Task TenThousandThatComputeAreSharedEvenly()
    {
        double difference = 0;
        string? failure = Crew.Run(2, _ => difference = Balance());

        await Assert.That(failure).IsNull();
        // 0.05 where the processors are free; generous, because the machine may be busy.
        await Assert.That(difference).IsLessThan(0.4);
    }

    /// <summary>By what part of the whole time one processor was done before the other.</summary>
    private static double Balance()
    {
        const int count = 10_000;
        long[] last = new long[2];
        long start = Stopwatch.GetTimestamp();
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Go(() =>
            {
                long x = 1;
                for (int step = 0; step < 50_000; step++)
                {
                    x = (x * 31) + step;
                }
                if (x != 0)
                {
                    last[ProcessorId()] = Stopwatch.GetTimestamp();
                }
            });
        }
        done.Wait();
        return Math.Abs(last[0] - last[1]) / (double)(Math.Max(last[0], last[1]) - start);
    }

    private static unsafe int ProcessorId() => Current.Machine()->Processor->Id;

    /// <summary>Prints it for several runs.</summary>
    internal static int BalanceRuns(string[] args)
    {
        Go.MaxProcs = 2;
        return WeftHost.Run(() =>
        {
            for (int run = 0; run < 5; run++)
            {
                Console.WriteLine($"one processor was done {Balance():P2} of the time before the other");
            }
        });
    }
}
