// Loops that call nothing: they are interrupted, so that others run, and go on as if nothing had been.

using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class PreemptionTests
{
    private static readonly TimeSpan s_enough = TimeSpan.FromMilliseconds(300);

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
    [Arguments(2)]
    [Arguments(4)]
    public async Task TheStormPassesUnderSignals(int procs)
    {
        ChildResult child = ChildProcess.Run("signal-storm", [$"{procs}", "200", "3"]);

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.Output + child.Error);
    }

    /// <summary>Arguments: processors, collections, runs. Prints the number of preemptions.</summary>
    internal static int SignalStorm(string[] args)
    {
        bool stop = false;
        Thread sender = new(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                Scheduler.PreemptAll();
                Thread.SpinWait(200);
            }
        })
        {
            IsBackground = true,
        };
        _ = Go.MaxProcs;
        sender.Start();
        int result = StormTests.Storm(args);
        Volatile.Write(ref stop, true);
        Console.WriteLine($"preemptions: {Scheduler.Preemptions}");
        return result;
    }
}
