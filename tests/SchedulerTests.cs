// Spawning, yielding, ending, and how many run at once.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Win32.SafeHandles;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class SchedulerTests
{
    // What a stack holds of a thread that its goroutine has left: at every place, of every length.
    [Test]
    public async Task AddressesOfAnotherThreadAreChangedWhereverTheyLie()
    {
        // The second one's upper half is not one number.
        nint[] lows = [unchecked((nint)0x7f00_1234_5000), unchecked((nint)0x7f00_ffff_fff0)];
        const nint size = 0x700;
        const nint distance = -0x10_0000;
        string? failure = null;
        for (int length = 0; length < 40; length++)
        {
            for (int at = 0; at < length; at++)
            {
                foreach (nint low in lows)
                {
                    foreach (nint value in (nint[])[low - 1, low, low + 8, low + size - 1, low + size, 0, -1])
                    {
                        failure ??= Moved(length, at, value, low);
                    }
                }
            }
        }

        await Assert.That(failure).IsNull();

        static unsafe string? Moved(int length, int at, nint value, nint low)
        {
            nint[] words = new nint[length + 1];
            words[at] = value;
            words[length] = low + 1; // Behind the end.
            nint[] expected = [.. words];
            expected[at] += value >= low && value < low + size ? distance : 0;
            fixed (nint* first = words)
            {
                Scheduler.MoveAddresses(first, first + length, low, size, distance);
            }
            return words.AsSpan().SequenceEqual(expected) ? null : $"{value:x} at {at} of {length}";
        }
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task EveryGoroutineRunsOnce(int procs)
    {
        Go.MaxProcs = procs;
        int count = Qemu.IsHere ? 5_000 : 20_000; // There a guard takes two mappings.
        int[] ran = new int[count];
        WaitGroup done = new();
        done.Add(count);
        for (int i = 0; i < count; i++)
        {
            Go.Run(
                static s =>
                {
                    Go.Yield();
                    Interlocked.Increment(ref s.Ran[s.Index]);
                    s.Done.Done();
                },
                (Ran: ran, Index: i, Done: done));
        }
        done.Wait();

        await Assert.That(ran.All(n => n == 1)).IsTrue();
    }

    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public async Task AsManyRunAtOnceAsThereAreProcessors(int procs)
    {
        Go.MaxProcs = procs;
        int here = 0;
        WaitGroup done = new();
        for (int i = 0; i < procs; i++)
        {
            done.Go(() =>
            {
                Interlocked.Increment(ref here);
                while (Volatile.Read(ref here) < procs)
                {
                    Thread.SpinWait(10); // No yield: each needs a thread of its own.
                }
            });
        }
        done.Wait();

        await Assert.That(here).IsEqualTo(procs);
    }

    [Test]
    [Slow]
    public async Task ProcessorsComeAndGoWhileGoroutinesSpawn()
    {
        bool stop = false;
        long spawned = 0;
        long ended = 0;
        WaitGroup spawner = new();
        spawner.Go(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                spawned++;
                Go.Run(() => Interlocked.Increment(ref ended));
                Go.Yield();
            }
        });
        int[] sizes = [1, 4, 2, 8, 1, 3, 16, 1, 2];
        for (int round = 0; round < 20; round++)
        {
            foreach (int size in sizes)
            {
                Go.MaxProcs = size;
            }
        }
        Volatile.Write(ref stop, true);
        spawner.Wait();
        SpinWait.SpinUntil(() => Volatile.Read(ref ended) == spawned, TimeSpan.FromSeconds(30));

        await Assert.That(ended).IsEqualTo(spawned);
    }

    [Test]
    public async Task AThousandProcessorsStartAndStop()
    {
        Go.MaxProcs = 1024;
        int ran = 0;
        WaitGroup done = new();
        for (int i = 0; i < 2000; i++)
        {
            done.Go(() =>
            {
                Go.Yield();
                Interlocked.Increment(ref ran);
            });
        }
        done.Wait();
        Go.MaxProcs = 2;

        await Assert.That(ran).IsEqualTo(2000);
        await Assert.That(Go.MaxProcs).IsEqualTo(2);
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task YieldLetsAllOthersRun(int procs)
    {
        Go.MaxProcs = procs;
        bool stop = false;
        WaitGroup done = new();
        int turns = 0;
        for (int i = 0; i < 10; i++)
        {
            done.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    Go.Yield();
                }
            });
        }
        done.Go(() =>
        {
            for (; turns < 1000; turns++)
            {
                Go.Yield();
            }
            Volatile.Write(ref stop, true);
        });
        done.Wait();

        await Assert.That(turns).IsEqualTo(1000);
    }

    [Test]
    public async Task TwoThatHandOffToEachOtherDoNotStarveAThird()
    {
        Go.MaxProcs = 1;
        bool stop = false;
        Chan<int> there = new();
        Chan<int> back = new();
        WaitGroup done = new();
        done.Go(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                there.Send(1);
                back.Receive();
            }
            there.Close();
        });
        done.Go(() =>
        {
            foreach (int n in there)
            {
                back.Send(n);
            }
        });
        int turns = 0;
        done.Go(() =>
        {
            for (; turns < 100; turns++)
            {
                Go.Yield();
            }
            Volatile.Write(ref stop, true);
        });
        done.Wait();

        await Assert.That(turns).IsEqualTo(100);
    }

    [Test]
    public async Task TwoThatHandOffToEachOtherWakeNoMachines()
    {
        Skip.When(Environment.ProcessorCount < 2, "there is nobody to wake");
        Skip.When(Qemu.IsHere, "qemu: a hand-off takes as long there as a thief waits for the next");
        const int messages = 100_000;
        Go.MaxProcs = 2;
        long[] sleeps = new long[5];
        for (int round = 0; round < sleeps.Length; round++) // Others want the cores too.
        {
            Chan<int> there = new();
            Chan<int> back = new();
            WaitGroup done = new();
            long before = Sleeps();
            done.Go(() =>
            {
                for (int i = 0; i < messages; i++)
                {
                    there.Send(i);
                    back.Receive();
                }
            });
            done.Go(() =>
            {
                for (int i = 0; i < messages; i++)
                {
                    back.Send(there.Receive());
                }
            });
            done.Wait();
            sleeps[round] = Sleeps() - before;
        }

        Array.Sort(sleeps);

        await Assert.That(sleeps[2]).IsLessThan(messages / 150); // Without: 750 to 2,500, with: 100 to 260.

        // How often threads of this process have waited in the kernel.
        static long Sleeps() => Directory.GetDirectories("/proc/self/task").Sum(task =>
            File.ReadLines(Path.Combine(task, "status"))
                .Where(line => line.StartsWith("voluntary_ctxt_switches:"))
                .Sum(line => long.Parse(line.Split(':')[1], CultureInfo.InvariantCulture)));
    }

    [Test]
    public async Task WhoIsNextBehindOneThatComputesRunsElsewhere()
    {
        Skip.When(Environment.ProcessorCount < 2, "there is nobody to take it");
        const int rounds = 50;
        Go.MaxProcs = 2;
        Chan<int> wake = new();
        WaitGroup done = new();
        int ran = 0;
        int inTime = 0;
        done.Go(() =>
        {
            for (int i = 0; i < rounds; i++)
            {
                wake.Receive();
                Volatile.Write(ref ran, i + 1);
            }
        });
        done.Go(() =>
        {
            for (int i = 0; i < rounds; i++)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1)); // Begins a time slice: it is longer than the loop.
                wake.Send(i);
                long start = Stopwatch.GetTimestamp();
                while (Volatile.Read(ref ran) <= i && Stopwatch.GetElapsedTime(start).TotalMilliseconds < 5)
                {
                }
                inTime += Volatile.Read(ref ran) > i ? 1 : 0;
            }
        });
        done.Wait();

        await Assert.That(inTime).IsGreaterThan(rounds / 5);
    }

    [Test]
    public async Task ExitRunsFinallyBlocksAndNothingAfter()
    {
        int finallies = 0;
        bool after = false;
        WaitGroup done = new();
        done.Add();
        Go.Run(() =>
        {
            try
            {
                try
                {
                    Go.Exit();
                }
                finally
                {
                    finallies++;
                }
                after = true;
            }
            finally
            {
                finallies++;
                done.Done();
            }
        });
        done.Wait();

        await Assert.That(finallies).IsEqualTo(2);
        await Assert.That(after).IsFalse();
    }

    [Test]
    public async Task AnUnhandledExceptionEndsTheProcessAndNamesTheGoroutine()
    {
        ChildResult child = ChildProcess.Run("unhandled");

        await Assert.That(child.ExitCode).IsEqualTo(128 + 6);
        await Assert.That(child.Error).Contains("weft: fatal: goroutine 2: unhandled exception\n");
        await Assert.That(child.Error).Contains("Unhandled exception. System.FormatException: on purpose");
        await Assert.That(child.Error).Contains("ThrowOnPurpose");
    }

    internal static int UnhandledChild(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> never = new();
        Go.Run(ThrowOnPurpose);
        return never.Receive();
    });

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowOnPurpose() => throw new FormatException("on purpose");

    [Test]
    public async Task TheHostReturnsMainsResult()
    {
        await Assert.That(ChildProcess.Run("host-42").ExitCode).IsEqualTo(42);
    }

    internal static int Host42(string[] args)
    {
        int inside = 0;
        int result = WeftHost.Run(() =>
        {
            inside = Go.IsGoroutine ? 1 : 0;
            return 41;
        });
        return result + inside;
    }

    [Test]
    public async Task StatesOfEveryKindReachTheirFunction()
    {
        WaitGroup done = new();
        done.Add(4);
        string? text = null;
        long number = 0;
        (string, int) pair = default;
        (long, long, long, long, long, long, long, long, long) large = default;
        Go.Run(s => { text = s; done.Done(); }, "text");
        Go.Run(n => { number = n; done.Done(); }, 42L);
        Go.Run(p => { pair = p; done.Done(); }, ("boxed", 7));
        Go.Run(l => { large = l; done.Done(); }, (1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L));
        done.Wait();

        await Assert.That(text).IsEqualTo("text");
        await Assert.That(number).IsEqualTo(42L);
        await Assert.That(pair).IsEqualTo(("boxed", 7));
        await Assert.That(large).IsEqualTo((1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L));
    }

    [Test]
    public async Task SpawningAllocatesNothing()
    {
        Go.MaxProcs = 1;
        WaitGroup done = new();
        Action<WaitGroup> function = static group => group.Done();
        const int count = 10_000;
        long allocated = long.MaxValue;
        WaitGroup outer = new();
        AsyncFlowControl flow = ExecutionContext.SuppressFlow(); // The framework's context.
        outer.Go(() =>
        {
            for (int round = 0; round < 10 && allocated >= count; round++)
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                for (int i = 0; i < count; i++)
                {
                    done.Add();
                    Go.Run(function, done);
                    done.Wait();
                }
                allocated = Math.Min(allocated, GC.GetTotalAllocatedBytes(precise: true) - before);
            }
        });
        flow.Undo();
        outer.Wait();

        // Not 0: the framework's threads, which print what has passed, are counted too.
        await Assert.That(allocated).IsLessThan(count);
    }

    [Test]
    public async Task SwitchingAllocatesNothing()
    {
        Go.MaxProcs = 1;
        const int count = 100_000;
        long allocated = 0;
        WaitGroup done = new();
        bool stop = false;
        done.Go(() =>
        {
            while (!stop)
            {
                Go.Yield();
            }
        });
        done.Go(() =>
        {
            Go.Yield();
            long before = GC.GetTotalAllocatedBytes(precise: true);
            for (int i = 0; i < count; i++)
            {
                Go.Yield();
            }
            allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
            stop = true;
        });
        done.Wait();

        await Assert.That(allocated).IsLessThan(count);
    }

    [Test]
    public async Task AMillionGoroutinesParkAndWake()
    {
        Skip.When(Qemu.IsHere, Qemu.FewMappings);
        ChildResult child = ChildProcess.Run("million", timeout: TimeSpan.FromMinutes(2));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        double bytes = double.Parse(child.Output, CultureInfo.InvariantCulture);
        await Assert.That(bytes).IsLessThan(1000);
    }

    internal static int Million(string[] args) => WeftHost.Run(() =>
    {
        const int Count = Layout.RandomChoice ? 200_000 : 1_000_000; // The small build takes long for each.
        Chan<int> gate = new();
        long received = 0;
        WaitGroup started = new();
        WaitGroup done = new();
        started.Add(Count);
        done.Add(Count);
        Action body = () =>
        {
            started.Done();
            _ = gate.Receive();
            Interlocked.Increment(ref received);
            done.Done();
        };
        long before = ResidentBytes();
        for (int i = 0; i < Count; i++)
        {
            Go.Run(body);
        }
        started.Wait();
        long after = ResidentBytes();
        gate.Close();
        done.Wait();
        long left;
        long start = Stopwatch.GetTimestamp();
        do
        {
            Go.Sleep(TimeSpan.FromMilliseconds(20)); // Their pages go back bit by bit.
            left = ResidentBytes();
        }
        while ((Go.Count > 1 || left - before >= (after - before) / 4)
            && Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(60));
        Console.WriteLine((after - before) / (double)Count);
        Console.Error.WriteLine($"{after - before} bytes parked, {left - before} afterwards");
        return received == Count && left - before < (after - before) / 4 ? 0 : 1;
    });

    /// <summary>Without garbage to speak of: who asks again and again would count that.</summary>
    internal static long ResidentBytes()
    {
        using SafeFileHandle file = File.OpenHandle("/proc/self/statm");
        Span<byte> text = stackalloc byte[128];
        int length = RandomAccess.Read(file, text, 0);
        ReadOnlySpan<byte> pages = text[..length]; // "all resident shared ..."
        pages = pages[(pages.IndexOf((byte)' ') + 1)..];
        return Environment.SystemPageSize * long.Parse(
            pages[..pages.IndexOf((byte)' ')], CultureInfo.InvariantCulture);
    }
}
