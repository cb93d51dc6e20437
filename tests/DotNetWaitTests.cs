// The base library's waits on goroutines: they park. asm/waits.c, sched/DotNetWait.cs.

using System.Collections.Concurrent;
using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class DotNetWaitTests
{
    private const int Many = 500;

    // Each goroutine waits in that way until it is let go; as many threads would show.
    [Test]
    [Arguments("lock")]
    [Arguments("monitor")]
    [Arguments("wait")]
    [Arguments("event")]
    [Arguments("semaphore")]
    [Arguments("slim")]
    [Arguments("rwlock")]
    [Arguments("mutex")]
    [Arguments("any")]
    [Arguments("all")]
    [Arguments("join")]
    [Arguments("task")]
    [Arguments("barrier")]
    [Arguments("collection")]
    [Arguments("timed")]
    public async Task AWaitCostsNoThread(string kind)
    {
        int more = 0;
        int through = 0;
        string? failure = Crew.Run(2, crew =>
        {
            using Waits waits = new();
            int machines = Scheduler.MachineCount;
            waits.Close();
            nint[] all = new nint[Many];
            WaitGroup done = new();
            for (int i = 0; i < Many; i++)
            {
                int id = i;
                done.Go(() =>
                {
                    all[id] = This();
                    waits.Pass(kind);
                    Interlocked.Increment(ref through);
                });
            }
            crew.Until(() => Array.TrueForAll(all, IsWaiting), "all to wait");
            more = Scheduler.MachineCount - machines;
            crew.Equal(through, 0, "who came through before");
            waits.Open(kind);
            done.Wait();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(through).IsEqualTo(Many);
        await Assert.That(more).IsLessThan(20);
    }

    private static unsafe nint This() => (nint)Current.Goroutine();

    private static unsafe long IdOf(nint g) => ((Goroutine*)g)->Id;

    private static unsafe bool IsWaiting(nint address)
    {
        Goroutine* g = (Goroutine*)address;
        return g != null && g->State == GoroutineState.Waiting && g->Reason == ParkReason.DotNetWait;
    }

    /// <summary>Ways to wait for one goroutine.</summary>
    private sealed class Waits : IDisposable
    {
        private readonly Lock _lock = new();
        private readonly object _monitor = new();
        private readonly object _pulsed = new();
        private readonly ManualResetEvent _event = new(false);
        private readonly AutoResetEvent _never = new(false);
        private readonly System.Threading.Semaphore _semaphore = new(0, Many);
        private readonly SemaphoreSlim _slim = new(0);
        private readonly ReaderWriterLockSlim _readerWriter = new();
        private readonly System.Threading.Mutex _mutex = new();
        private readonly TaskCompletionSource _task = new();
        private readonly Barrier _barrier = new(Many);
        private readonly BlockingCollection<int> _collection = [];
        private readonly Thread _thread;
        private bool _isOpen;

        internal Waits()
        {
            _thread = new Thread(() => _event.WaitOne()) { IsBackground = true };
            _thread.Start();
        }

        public void Dispose()
        {
            _thread.Join();
            _event.Dispose();
            _never.Dispose();
            _semaphore.Dispose();
            _slim.Dispose();
            _readerWriter.Dispose();
            _mutex.Dispose();
            _barrier.Dispose();
            _collection.Dispose();
        }

        internal void Close()
        {
            _lock.Enter();
            Monitor.Enter(_monitor);
            _readerWriter.EnterWriteLock();
            _ = _mutex.WaitOne();
        }

        internal void Pass(string kind)
        {
            switch (kind)
            {
                case "lock":
                    lock (_lock)
                    {
                        Go.Yield();
                    }
                    break;
                case "monitor":
                    lock (_monitor)
                    {
                        Go.Yield();
                    }
                    break;
                case "wait":
                    lock (_pulsed)
                    {
                        while (!_isOpen)
                        {
                            _ = Monitor.Wait(_pulsed);
                        }
                    }
                    break;
                case "event":
                    _ = _event.WaitOne();
                    break;
                case "semaphore":
                    _ = _semaphore.WaitOne();
                    break;
                case "slim":
                    _slim.Wait();
                    break;
                case "rwlock":
                    _readerWriter.EnterReadLock();
                    _readerWriter.ExitReadLock();
                    break;
                case "mutex":
                    _ = _mutex.WaitOne();
                    _mutex.ReleaseMutex();
                    break;
                case "any":
                    _ = WaitHandle.WaitAny([_never, _event]);
                    break;
                case "all":
                    _ = WaitHandle.WaitAll([_semaphore, _event]);
                    break;
                case "join":
                    _thread.Join();
                    break;
                case "task":
                    _task.Task.Wait();
                    break;
                case "collection":
                    _ = _collection.Take();
                    break;
                case "timed":
                    _ = _event.WaitOne(100_000);
                    break;
                case "barrier":
                    _ = _event.WaitOne();
                    _barrier.SignalAndWait();
                    break;
                default:
                    throw new ArgumentException(kind);
            }
        }

        internal void Open(string kind)
        {
            _lock.Exit();
            Monitor.Exit(_monitor);
            _readerWriter.ExitWriteLock();
            _mutex.ReleaseMutex();
            lock (_pulsed)
            {
                _isOpen = true;
                Monitor.PulseAll(_pulsed);
            }
            _ = _semaphore.Release(Many);
            _ = _slim.Release(Many);
            _task.SetResult();
            for (int i = 0; i < Many; i++)
            {
                _collection.Add(i);
            }
            _ = _event.Set();
        }
    }

    // Who has the lock sleeps with it, so all others wait at once: more of them than there may be threads.
    [Test]
    public async Task MoreMayWantALockThanThereMayBeThreads()
    {
        ChildResult child = ChildProcess.Run("dotnet-waits", ["lock", "1000"]);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
    }

    [Test]
    public async Task TheyBlockTheirThreadsWhereTheSettingSaysSo()
    {
        Dictionary<string, string> off = new() { ["WEFTDEBUG"] = "dotnetwaits=0" };
        ChildResult child = ChildProcess.Run("dotnet-waits", ["lock", "110"], off);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
        await Assert.That(child.Error).Contains("raise Go.MaxThreads");
    }

    [Test]
    public async Task AProgramMayEndWhileTheyWait()
    {
        ChildResult child = ChildProcess.Run("dotnet-waits", ["sleepers"]);

        await Assert.That(child.ToString()).StartsWith("exit code 3\n");
    }

    // With two threads in the pool, and both in Await.
    [Test]
    public async Task AwaitNeedsNoOtherThreadOfThePool()
    {
        ChildResult child = ChildProcess.Run("dotnet-waits", ["pool"]);

        await Assert.That(child.ToString()).StartsWith("exit code 0\n--- stdout\n40\n");
    }

    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        switch (args[0])
        {
            case "lock":
                Go.MaxThreads = 100;
                LockMany(int.Parse(args[1]));
                return 0;

            case "sleepers":
                Go.MaxThreads = 50;
                for (int i = 0; i < 100; i++)
                {
                    Go.Run(() => Thread.Sleep(100_000));
                }
                Thread.Sleep(10);
                return 3;

            default:
                int least = Environment.ProcessorCount;
                if (!ThreadPool.SetMinThreads(least, least) || !ThreadPool.SetMaxThreads(least, least))
                {
                    return 1;
                }
                return AwaitOnPool(40);
        }
    });

    private static void LockMany(int count)
    {
        object gate = new();
        bool isFirst = true;
        int come = 0;
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Go(() =>
            {
                Interlocked.Increment(ref come);
                lock (gate)
                {
                    // The first has it until all are there, or all threads are. Who is there may spin still.
                    for (int i = 0; isFirst && i < 2000 && Volatile.Read(ref come) < count; i++)
                    {
                        Go.Sleep(TimeSpan.FromMilliseconds(1));
                    }
                    Go.Sleep(TimeSpan.FromMilliseconds(isFirst ? 200 : 0));
                    isFirst = false;
                    Go.Sleep(TimeSpan.FromMilliseconds(0.1));
                }
            });
        }
        done.Wait();
    }

    private static int AwaitOnPool(int count)
    {
        int sum = 0;
        WaitGroup done = new();
        for (int i = 0; i < count; i++)
        {
            done.Go(() => Interlocked.Add(ref sum, Go.Await(Task.Run(() => Go.Await(Go.RunAsync(() =>
            {
                Go.Sleep(TimeSpan.FromMilliseconds(5));
                return 1;
            }))))));
        }
        done.Wait();
        Console.WriteLine(sum);
        return 0;
    }

    // Without others' turns in Thread.Yield each hand-over takes a time slice, and thousands of yields.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task ThreadYieldLetsOtherGoroutinesRun(bool sleeps)
    {
        long yields = 0;
        int turns = 0;
        string? failure = Crew.Run(1, crew =>
        {
            for (int i = 0; i < 2; i++)
            {
                int me = i;
                crew.Go(() =>
                {
                    while (Volatile.Read(ref turns) < 1000)
                    {
                        if (Volatile.Read(ref turns) % 2 == me)
                        {
                            Volatile.Write(ref turns, turns + 1);
                        }
                        Interlocked.Increment(ref yields);
                        if (sleeps)
                        {
                            Thread.Sleep(0);
                        }
                        else
                        {
                            _ = Thread.Yield();
                        }
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(yields).IsLessThan(100_000);
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ASpinLockMayBeHeldAcrossAYield(int procs)
    {
        int count = 0;
        SpinLock gate = new(enableThreadOwnerTracking: true);
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 40; i++)
            {
                crew.Go(() =>
                {
                    for (int round = 0; round < 20; round++)
                    {
                        bool taken = false;
                        gate.Enter(ref taken);
                        int seen = count;
                        Go.Yield();
                        count = seen + 1;
                        crew.Expect(gate.IsHeldByCurrentThread, "the owner");
                        gate.Exit();
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(count).IsEqualTo(800);
    }

    [Test]
    public async Task TheMutexOfAGoroutineThatEndedIsAbandoned()
    {
        string? failure = Crew.Run(2, crew =>
        {
            using System.Threading.Mutex mutex = new();
            Thread? thread = null;
            WaitGroup taken = new();
            taken.Go(() =>
            {
                thread = Thread.CurrentThread;
                _ = mutex.WaitOne();
            });
            taken.Go(Go.Exit);
            taken.Wait();
            crew.Throws<AbandonedMutexException>(() => mutex.WaitOne(10_000), "the mutex of another");
            mutex.ReleaseMutex();
            thread!.Join();
            crew.Expect(!thread.IsAlive, "its thread is over");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task AWaitMayBeInterrupted(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            object gate = new();
            using ManualResetEvent never = new(false);
            foreach (Action wait in (Action[])
                [() => Thread.Sleep(Timeout.Infinite), () => never.WaitOne(), () => never.WaitOne(100_000)])
            {
                Thread? waiting = null;
                crew.GoAndPark(ParkReason.DotNetWait, () =>
                {
                    waiting = Thread.CurrentThread;
                    crew.Throws<ThreadInterruptedException>(wait, "a wait that is interrupted");
                });
                waiting!.Interrupt();
                waiting.Join();
            }
        });

        await Assert.That(failure).IsNull();
    }

    // What is released is got: neither lost in a time-out nor got twice.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ASignalThatMeetsATimeOutIsNotLost(int procs)
    {
        const int each = 1000;
        const int givers = 3;
        const int takers = 8;
        using System.Threading.Semaphore semaphore = new(0, int.MaxValue);
        using AutoResetEvent event_ = new(false);
        int got = 0;
        int ended = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < givers; i++)
            {
                int id = i;
                crew.Start(asThread: i == 0, () =>
                {
                    Random random = new(id);
                    for (int k = 0; k < each; k++)
                    {
                        _ = semaphore.Release();
                        if (random.Next(4) == 0)
                        {
                            Thread.Sleep(random.Next(2));
                        }
                    }
                    Interlocked.Increment(ref ended);
                });
            }
            for (int i = 0; i < takers; i++)
            {
                int id = i;
                crew.Start(asThread: i % 4 == 0, () =>
                {
                    Random random = new(100 + id);
                    while (Volatile.Read(ref ended) < givers || crew.Failed)
                    {
                        bool taken = id % 2 == 0
                            ? semaphore.WaitOne(random.Next(3))
                            : WaitHandle.WaitAny([event_, semaphore], random.Next(3)) == 1;
                        if (taken)
                        {
                            Interlocked.Increment(ref got);
                        }
                    }
                });
            }
        });
        while (semaphore.WaitOne(0))
        {
            got++;
        }

        await Assert.That(failure).IsNull();
        await Assert.That(got).IsEqualTo(givers * each);
    }

    [Test]
    public async Task ATimeOutThatComesLateDoesNotEndTheNextWait()
    {
        string? failure = Crew.Run(2, crew =>
        {
            using ManualResetEvent first = new(false);
            using ManualResetEvent second = new(false);
            nint waiting = 0;
            int ended = 0;
            crew.GoAndPark(ParkReason.DotNetWait, () =>
            {
                Volatile.Write(ref waiting, This());
                crew.Expect(first.WaitOne(100_000), "the first wait's signal");
                Volatile.Write(ref ended, 1);
                crew.Expect(second.WaitOne(), "the second wait's signal");
                Volatile.Write(ref ended, 2);
            });
            long sequence = SequenceOf(waiting);
            _ = first.Set();
            crew.Until(() => Volatile.Read(ref ended) == 1 && IsWaiting(waiting), "the second wait");
            FireLimit(waiting, sequence);
            Crew.LetOthersRun();
            crew.Expect(IsWaiting(waiting) && SequenceOf(waiting) != sequence, "it still waits");
            _ = second.Set();
        });

        await Assert.That(failure).IsNull();
    }

    private static unsafe long SequenceOf(nint g) => DotNetWait.SequenceOf((Goroutine*)g);

    private static unsafe void FireLimit(nint g, long sequence) =>
        new DotNetWait.Limit((Goroutine*)g, sequence).Fire(0);

    [Test]
    public async Task WithoutMemoryForTheTimerTheThreadWaits()
    {
        using System.Threading.Semaphore semaphore = new(0, 10);
        string? failure = Crew.Run(2, crew =>
        {
            DotNetWait.RefusesTimers = true;
            long start = Stopwatch.GetTimestamp();
            crew.Expect(!semaphore.WaitOne(20), "a time-out");
            crew.Expect(Stopwatch.GetElapsedTime(start).TotalMilliseconds >= 19, "not before its time");
            for (int i = 0; i < 10; i++)
            {
                crew.Go(() => crew.Expect(semaphore.WaitOne(20_000), "a signal"));
            }
            Go.Sleep(TimeSpan.FromMilliseconds(10));
            for (int i = 0; i < 10; i++)
            {
                _ = semaphore.Release();
            }
        });
        DotNetWait.RefusesTimers = false;

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhoWaitsInTheBaseLibraryIsNotLeaked()
    {
        using ManualResetEvent later = new(false);
        bool leaked = true;
        string? failure = Crew.Run(2, crew =>
        {
            nint waiting = 0;
            crew.GoAndPark(ParkReason.DotNetWait, () =>
            {
                Volatile.Write(ref waiting, This());
                _ = later.WaitOne();
            });
            long id = IdOf(waiting);
            leaked = Go.FindLeaks().Any(leak => leak.Id == id);
            _ = later.Set();
        });

        await Assert.That(failure).IsNull();
        await Assert.That(leaked).IsFalse();
    }
}
