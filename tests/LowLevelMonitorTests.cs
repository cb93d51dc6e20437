// The monitor under the base library's waits, by itself: asm/waits.c, through the names that .NET calls.

using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed partial class LowLevelMonitorTests
{
    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Create")]
    private static partial nint Create();

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Destroy")]
    private static partial void Destroy(nint monitor);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Acquire")]
    private static partial void Acquire(nint monitor);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Release")]
    private static partial void Release(nint monitor);

    // As .NET 11 does.
    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Release")]
    [SuppressGCTransition]
    private static partial void ReleaseAsALeaf(nint monitor);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Wait")]
    private static partial void Wait(nint monitor);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_TimedWait")]
    private static partial int TimedWait(nint monitor, int milliseconds);

    [LibraryImport("libSystem.Native", EntryPoint = "SystemNative_LowLevelMonitor_Signal_Release")]
    private static partial void SignalAndRelease(nint monitor);

    // With a mutex of the system's: unlocked by another thread than locked it.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task AMonitorMayBeHeldWhileOthersRun(int procs)
    {
        const int each = 300;
        nint monitor = Create();
        int count = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 8; i++)
            {
                bool isThread = i % 4 == 0;
                crew.Start(isThread, () =>
                {
                    for (int round = 0; round < each; round++)
                    {
                        Acquire(monitor);
                        int seen = count;
                        Go.Yield(); // On a thread: the thread.
                        count = seen + 1;
                        if (Environment.Version.Major >= 11 && round % 4 == 0)
                        {
                            ReleaseAsALeaf(monitor);
                        }
                        else
                        {
                            Release(monitor);
                        }
                    }
                });
            }
        });
        Destroy(monitor);

        await Assert.That(failure).IsNull();
        await Assert.That(count).IsEqualTo(8 * each);
    }

    // Goroutines and threads in turn, each known to wait before the next one comes.
    [Test]
    public async Task WhoWaitsLongestIsSignalledFirst()
    {
        const int count = 10;
        nint monitor = Create();
        List<int> order = [];
        string? failure = Crew.Run(2, crew =>
        {
            int waiting = 0;
            for (int i = 0; i < count; i++)
            {
                int id = i;
                crew.Start(asThread: i % 2 == 1, () =>
                {
                    Acquire(monitor);
                    waiting++;
                    Wait(monitor);
                    order.Add(id);
                    Release(monitor);
                });
                crew.Until(
                    () =>
                    {
                        Acquire(monitor);
                        int seen = waiting;
                        Release(monitor);
                        return seen == id + 1;
                    },
                    "the next one to wait");
            }
            for (int i = 0; i < count; i++)
            {
                Acquire(monitor);
                SignalAndRelease(monitor);
                crew.Until(
                    () =>
                    {
                        Acquire(monitor);
                        int seen = order.Count;
                        Release(monitor);
                        return seen == i + 1;
                    },
                    "the one that was signalled");
            }
        });
        Destroy(monitor);

        await Assert.That(failure).IsNull();
        await Assert.That(order.SequenceEqual(Enumerable.Range(0, count))).IsTrue();
    }

    // Among those who wait are some with a time-out, who pass on a signal that they get. The next token is
    // given when the last one is taken: if a signal that meets a time-out were lost, nobody would take it.
    // Nor would the only taker, if it came between its release and its wait.
    [Test]
    [Arguments(1, 1)]
    [Arguments(2, 1)]
    [Arguments(4, 1)]
    [Arguments(1, 4)]
    [Arguments(2, 4)]
    [Arguments(4, 4)]
    public async Task ASignalThatMeetsATimeOutIsTheNextOnes(int procs, int takers)
    {
        int each = 1000 / takers;
        int inVain = takers == 1 ? 0 : 6; // They would give the signal to the one who missed it.
        nint monitor = Create();
        int tokens = 0;
        int got = 0;
        int timeOuts = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < takers; i++)
            {
                crew.Start(asThread: i == 1, () =>
                {
                    for (int round = 0; round < each; round++)
                    {
                        Acquire(monitor);
                        while (tokens == 0)
                        {
                            Wait(monitor);
                        }
                        tokens--;
                        got++;
                        Release(monitor);
                    }
                });
            }
            for (int i = 0; i < inVain; i++)
            {
                int id = i;
                crew.Start(asThread: i % 2 == 0, () =>
                {
                    Random random = new(id);
                    while (Volatile.Read(ref got) < takers * each)
                    {
                        Acquire(monitor);
                        if (TimedWait(monitor, random.Next(2)) != 0)
                        {
                            SignalAndRelease(monitor);
                            continue;
                        }
                        timeOuts++;
                        Release(monitor);
                    }
                });
            }
            Random pause = new(99);
            for (int given = 0; given < takers * each; given++)
            {
                Acquire(monitor);
                tokens++;
                SignalAndRelease(monitor);
                crew.Until(() => Volatile.Read(ref got) == given + 1, "somebody to take it");
                if (pause.Next(10) == 0)
                {
                    Thread.Sleep(pause.Next(2));
                }
            }
        });
        Destroy(monitor);

        await Assert.That(failure).IsNull();
        await Assert.That(got).IsEqualTo(takers * each);
        await Assert.That(timeOuts > 0).IsEqualTo(inVain > 0);
    }
}
