// The pool of fixed stacks (runtime/stack/FixedStacks.cs): no two goroutines on one, memory that goes back,
// and something left for others where addresses or mappings are few.

using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class FixedStackTests
{
    private const int Threads = 20;
    private const int Step = 16 * 1024;

    // Of seven sizes: several in a piece, one in a piece, one that is longer than a piece.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task NoTwoGoroutinesAreOnOneStack(int procs)
    {
        int[] kilobytes = [64, 128, 256, 1024, 4096, 8192, 32768];
        string? failure = Crew.Run(procs, crew =>
        {
            string? wrong = null;
            for (int round = 0; round < 8; round++)
            {
                WaitGroup done = new();
                for (int i = 0; i < 400; i++)
                {
                    int size = kilobytes[(i + round) * 31 % kilobytes.Length] * 1024;
                    long seed = (round * 1000) + i;
                    done.Add();
                    Go.Run(
                        () =>
                        {
                            string? lost = LosesWhatItWrote(size - Step, seed);
                            if (lost is not null)
                            {
                                Volatile.Write(ref wrong, $"a stack of {size} bytes: {lost}");
                            }
                            done.Done();
                        },
                        StackOptions.Fixed(size));
                    if (i % 50 == 0)
                    {
                        Crew.LetOthersRun();
                    }
                }
                done.Wait();
            }
            crew.Expect(wrong is null, wrong ?? "");
        });

        await Assert.That(failure).IsNull();
    }

    // And they end at different places of their pages.
    [Test]
    public async Task AStackHasAllThatWasAskedFor()
    {
        const int count = 200;
        int size = (int)Layout.FixedStackDefault;
        int right = 0;
        long ends = 0;
        string? failure = Crew.Run(2, crew =>
        {
            Wave(count, () =>
            {
                if (HasAll(size, out int end))
                {
                    Interlocked.Increment(ref right);
                    Interlocked.Or(ref ends, 1L << end);
                }
            });
            crew.Equal(right, count, "have all");
            crew.Equal(BitOperations.PopCount((ulong)ends), 16, "different places");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Whether the whole stack may be used; where it ends, in cache lines of a page.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe bool HasAll(int size, out int end)
    {
        Goroutine* g = Current.Goroutine();
        *(byte*)g->StackLow = 1;
        end = (int)(g->StackHigh % Os.PageSize) / Layout.CacheLine;
        return g->StackHigh - g->StackLow >= size;
    }

    /// <summary>Some words, at least 16 KB apart, down to near the end of the stack. What is called has the
    /// first 32 KB. What is there instead of the first one that is lost; else null.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe string? LosesWhatItWrote(int bytes, long seed)
    {
        int step = Math.Max(Step, bytes / 32);
        byte top = 0;
        nint high = (nint)(&top);
        for (int at = 2 * Step; at < bytes; at += step)
        {
            *(long*)((high - at) & -sizeof(long)) = seed + at;
        }
        for (int i = 0; i < 3; i++)
        {
            Go.Yield();
        }
        for (int at = 2 * Step; at < bytes; at += step)
        {
            long found = *(long*)((high - at) & -sizeof(long));
            if (found != seed + at)
            {
                Goroutine* g = Current.Goroutine();
                return $"{found:x} instead of {seed + at:x}, {at:x} below {high:x} "
                    + $"in [{g->StackLow:x}, {g->StackHigh:x})";
            }
        }
        return null;
    }

    // Not as they end: bit by bit, afterwards.
    [Test]
    public async Task StacksOfGoroutinesThatHaveEndedGoBackToTheSystem()
    {
        const int more = 2000;
        string? failure = Crew.Run(2, crew =>
        {
            Wave(Layout.FreePagesKept + more, static () => { });
            nint most = FixedStacks.FreeWarm;
            crew.Until(() => !FixedStacks.HasTooMany, "the stacks to go back");
            nint left = FixedStacks.FreeWarm;
            crew.Expect(left <= Layout.FreePagesKept + (more / 2), $"{most} free, {left} are left");
            Wave(more, static () => { });
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatGoroutinesTouchedFarDownGoesBackAsTheyEnd()
    {
        ChildResult child = ChildProcess.Run("fixed-deep");

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\nright\n\n--- stderr\n");
    }

    /// <summary>Resident memory after a wave of deep stacks, fewer than sysmon would look at.</summary>
    internal static int Deep(string[] args) => WeftHost.Run(() =>
    {
        const int count = 1000;
        const int each = 200 * 1024;
        long before = Environment.WorkingSet;
        Wave(count, static () => _ = LosesWhatItWrote(each, 1));
        long touched = count * (long)(each / Step) * Os.PageSize;
        long kept = Environment.WorkingSet - before;
        Console.WriteLine(kept < touched * 3 / 4 ? "right" : $"{kept} bytes of {touched} are kept");
    });

    [Test]
    public async Task ProtectedGuardsLeaveMappingsToOthers()
    {
        ChildResult child = ChildProcess.Run(
            "fixed-limit", ["vm.max_map_count", "65536"], environment: new() { ["WEFT_GUARD"] = "mprotect" });

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\nright\n\n--- stderr\n");
    }

    [Test]
    [Arguments("800", "262144")]
    [Arguments("800", "4194304")]
    [Arguments("1500", "33554432")]
    public async Task WithLittleAddressSpaceOthersHaveSomeOfIt(string megabytes, string size)
    {
        Skip.When(Qemu.IsHere, "qemu: its own memory counts too");
        ChildResult child = ChildProcess.Execute(
            "/bin/sh",
            [
                "-c",
                $"ulimit -v {megabytes}000; exec \"$0\" --child fixed-limit 'ulimit -v' {size}",
                Environment.ProcessPath!,
            ]);

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\nright\n\n--- stderr\n");
    }

    /// <summary>Starts goroutines until that limit is met; then threads; and all of it once more.</summary>
    internal static int Limit(string[] args) => WeftHost.Run(() =>
    {
        StackOptions size = StackOptions.Fixed(int.Parse(args[1], CultureInfo.InvariantCulture));
        int first = UntilRefused(args[0], size);
        int second = UntilRefused(args[0], size);
        bool right = first > 1 && second > first / 2;
        Console.WriteLine(right ? "right" : $"{first} started, then {second}");
    });

    private static int UntilRefused(string limit, StackOptions size)
    {
        Chan<int> held = new();
        WaitGroup group = new();
        int started = 0;
        try
        {
            while (true)
            {
                group.Add();
                Go.Run(
                    () =>
                    {
                        held.Receive(out _);
                        group.Done();
                    },
                    size);
                started++;
            }
        }
        catch (InsufficientMemoryException e) when (e.Message.Contains(limit))
        {
            group.Done();
        }
        using ManualResetEvent end = new(false);
        Thread[] threads = new Thread[Threads];
        for (int i = 0; i < Threads; i++)
        {
            threads[i] = new Thread(() => end.WaitOne(), 256 * 1024);
            threads[i].Start();
        }
        end.Set();
        held.Close();
        group.Wait();
        Array.ForEach(threads, thread => thread.Join());
        return started;
    }

    private static void Wave(int count, Action body)
    {
        Chan<int> gate = new();
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Add();
            Go.Run(
                () =>
                {
                    body();
                    gate.Receive(out _);
                    done.Done();
                },
                StackOptions.Fixed((int)Layout.FixedStackDefault));
        }
        gate.Close();
        done.Wait();
    }
}
