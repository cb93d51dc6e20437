// What becomes of leaked goroutines that are reclaimed, and searches beside everything else.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed class LeakReclaimTests
{
    private static WeakReference? s_payload;
    private static int s_count;
    private static Task? s_task;

    [Test]
    public async Task WhatAReclaimedGoroutineHeldIsFreed()
    {
        LeakSite site = LeakSite.Make(static site => Hold(site));
        _ = site.Find();
        bool before = s_payload!.IsAlive;

        site.Reclaim();
        LeakSite.Until(
            () =>
            {
                GC.Collect();
                return !s_payload.IsAlive;
            },
            "the payload to die");

        await Assert.That(before).IsTrue();

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Hold(LeakSite site)
        {
            byte[] payload = new byte[1000];
            s_payload = new WeakReference(payload);
            site.Go(() =>
            {
                new Chan<int>().Receive();
                GC.KeepAlive(payload);
            });
        }
    }

    [Test]
    public async Task FinallyBlocksMayReachEachOther()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site =>
        {
            Chan<int> never = new();
            Chan<int> meet = new();
            site.Go(() => InTheEnd(never, () => meet.Send(7)));
            site.Go(() => InTheEnd(never, () => Interlocked.Add(ref s_count, meet.Receive())));
        });

        site.Reclaim();

        await Assert.That(s_count).IsEqualTo(7);
    }

    [Test]
    public async Task AFinallyBlockThatWaitsForEverIsFoundAgain()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site => site.Go(() => InTheEnd(
            new Chan<int>(),
            () => InTheEnd(new Chan<int>(), () => Interlocked.Increment(ref s_count)))));

        List<LeakedGoroutine> first = site.Find(reclaim: true);
        LeakSite.Until(() => site.Find().Count == 1, "it to wait again");
        int between = s_count;
        site.Reclaim();

        await Assert.That(first.Count).IsEqualTo(1);
        await Assert.That(between).IsEqualTo(0);
        await Assert.That(s_count).IsEqualTo(1);
    }

    [Test]
    public async Task OneThatCatchesEverythingGoesOn()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site => site.Go(() =>
        {
            try
            {
                new Chan<int>().Receive();
            }
            catch (Exception)
            {
                Go.Yield();
                Chan<int> channel = new(1);
                channel.Send(5);
                Interlocked.Add(ref s_count, channel.Receive());
            }
        }));

        site.Reclaim();

        await Assert.That(s_count).IsEqualTo(5);
    }

    [Test]
    public async Task WhatWasAbandonedIsAsIfNobodyHadWaited()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site =>
        {
            RWMutex mutex = new();
            mutex.RLock();
            mutex.RLock();
            site.Go(() => InTheEnd(mutex.Lock, () => UseBoth(mutex)));
            while (mutex.TryRLock()) // The writer is to be first.
            {
                mutex.RUnlock();
                Go.Yield();
            }
            site.Go(() => InTheEnd(mutex.RLock, () => UseBoth(mutex)));
            site.Go(() => InTheEnd(mutex.RLock, () => UseBoth(mutex)));
        });

        site.Reclaim();

        await Assert.That(s_count).IsEqualTo(3);

        // Two readers never leave.
        static void UseBoth(RWMutex mutex)
        {
            while (!mutex.TryRLock())
            {
                Go.Yield();
            }
            if (!mutex.TryLock())
            {
                Interlocked.Increment(ref s_count);
            }
            mutex.RUnlock();
        }
    }

    [Test]
    public async Task ATaskOfOneThatIsReclaimedIsCancelled()
    {
        LeakSite site = LeakSite.Make(static site =>
        {
            WaitGroup started = new();
            started.Add();
            s_task = Go.RunAsync(() =>
            {
                started.Done();
                new Chan<int>().Receive();
            });
            started.Wait();
        });
        LeakSite.Until(
            () =>
            {
                _ = Go.FindLeaks(reclaim: true);
                return s_task!.IsCompleted;
            },
            "it to be found");

        await Assert.That(s_task!.IsCanceled).IsTrue();
        await Assert.That(site.Started).IsEqualTo(0);
    }

    // The goroutine that would run what the finally block posts is reclaimed as well.
    [Test]
    public async Task AFinallyBlockOfAnAsyncFunctionMayAwait()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site =>
        {
            s_task = Go.RunAsync(async () =>
            {
                WaitGroup started = new();
                started.Add();
                Task waits = WaitForEver(started);
                started.Wait();
                await waits;
            });
        });
        LeakSite.Until(
            () =>
            {
                _ = Go.FindLeaks(reclaim: true);
                return Volatile.Read(ref s_count) == 1 && s_task!.IsCompleted;
            },
            "the finally block and the task to end");

        await Assert.That(s_task!.IsCanceled).IsTrue();
        await Assert.That(site.Started).IsEqualTo(0);

        static async Task WaitForEver(WaitGroup started)
        {
            await Task.Yield();
            started.Done();
            try
            {
                new Chan<int>().Receive();
            }
            finally
            {
                await Task.Delay(10); // The other one has ended by then.
                Interlocked.Increment(ref s_count);
            }
        }
    }

    // No exception may pass native frames.
    [Test]
    public async Task OneThatNativeCodeCalledBackIsFoundAndStays()
    {
        s_count = 0;
        LeakSite site = LeakSite.Make(static site => site.Go(SortAndWait));

        List<LeakedGoroutine> found = site.Find(reclaim: true);
        int ended = site.Ended;
        ((Chan<int>)site.WaitsOn(0)).Close(); // Nobody but the test's back door can.
        site.UntilEnded();

        await Assert.That(found.Count).IsEqualTo(1);
        await Assert.That(found[0].IsReclaimed).IsFalse();
        await Assert.That(ended).IsEqualTo(0);
    }

    private static unsafe void SortAndWait() => NativeSort.SortsRight(1, &WaitOnce);

    [UnmanagedCallersOnly]
    private static unsafe int WaitOnce(int* a, int* b)
    {
        if (Interlocked.Increment(ref s_count) == 1)
        {
            new Chan<int>().Receive();
        }
        return *a - *b;
    }

    [Test]
    public async Task TenThousandAreFoundAndReclaimed()
    {
        Skip.When(Qemu.IsHere, Qemu.FewMappings);
        const int Goroutines = 10_000;
        LeakSite site = LeakSite.Make(static site =>
        {
            Chan<int> shared = new();
            for (int i = 0; i < Goroutines; i++)
            {
                switch (i % 3)
                {
                    case 0:
                        site.Go(() => new Chan<int>().Send(1));
                        break;

                    case 1:
                        site.Go(() => shared.Receive());
                        break;

                    case 2:
                        Chan<int> left = shared;
                        shared = new Chan<int>();
                        Chan<int> right = shared;
                        site.Go(() => left.Send(right.Receive()));
                        break;
                }
            }
        });
        long before = Go.Count;

        Stopwatch time = Stopwatch.StartNew();
        List<LeakedGoroutine> found = site.Find(reclaim: true);
        TimeSpan taken = time.Elapsed;
        site.UntilEnded();
        LeakSite.Until(() => Go.Count <= before - Goroutines, "them to be freed");

        await Assert.That(found.Count).IsEqualTo(Goroutines);
        await Assert.That(found.TrueForAll(leak => leak.IsReclaimed)).IsTrue();
        await Assert.That(taken).IsLessThan(TimeSpan.FromSeconds(20));
    }

    // Whoever works is never found, whoever is leaked always ends; with compacting collections in between.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task SearchesBesideWorkFindOnlyWhatIsLeaked(int procs)
    {
        const int Searches = 8;
        const int LeaksEach = 20;
        int leaked = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            int workers = 0;
            int endedWell = 0;
            int stop = 0;
            void Work(Action<Func<bool>> work)
            {
                workers++;
                crew.Go(() =>
                {
                    work(() => Volatile.Read(ref stop) == 0);
                    Interlocked.Increment(ref endedWell);
                });
            }
            for (int i = 0; i < 3; i++)
            {
                Chan<int> there = new(i);
                Chan<int> back = new();
                Work(goOn => PingPong(goOn, there, back));
                Work(_ => Echo(there, back));
            }
            Mutex mutex = new();
            RWMutex both = new();
            Work(goOn => LockInTurn(goOn, mutex, both));
            Work(goOn => LockInTurn(goOn, mutex, both));
            Work(goOn => LockInTurn(goOn, mutex, both));
            Work(StartAndWait);
            Work(SelectWithTimeouts);
            crew.CollectUntil(() => Volatile.Read(ref stop) != 0);
            crew.Thread(() => CollectInBackground(() => Volatile.Read(ref stop) == 0));

            HashSet<long> own = [];
            int Search()
            {
                foreach (LeakedGoroutine leak in Go.FindLeaks(reclaim: true))
                {
                    bool isOwn;
                    lock (own)
                    {
                        isOwn = own.Contains(leak.Id);
                    }
                    crew.Expect(isOwn, $"a search found one that works:\n{leak}");
                    leaked++;
                }
                return leaked;
            }
            for (int i = 0; i < Searches && !crew.Failed; i++)
            {
                LeakSome(own, LeaksEach);
                _ = Search();
            }
            crew.Until(() => crew.Failed || Search() == Searches * LeaksEach, "all leaked ones to be found");
            Volatile.Write(ref stop, 1);
            crew.Until(() => Volatile.Read(ref endedWell) == workers, "the workers to end");
        });

        await Assert.That(failure).IsNull();
        await Assert.That(leaked).IsEqualTo(8 * 20);
    }

    private static void CollectInBackground(Func<bool> goOn)
    {
        while (goOn())
        {
            GC.Collect(2, GCCollectionMode.Forced, blocking: false);
            Thread.Sleep(3);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LeakSome(HashSet<long> ids, int count)
    {
        for (int i = 0; i < count; i++)
        {
            int kind = i;
            Go.Run(() =>
            {
                lock (ids)
                {
                    ids.Add(Go.Id);
                }
                switch (kind % 4)
                {
                    case 0:
                        new Chan<int>().Receive();
                        break;

                    case 1:
                        Select.Wait(new Chan<int>().ReceiveCase(), new Chan<int>().SendCase(1));
                        break;

                    case 2:
                        Mutex mutex = new();
                        mutex.Lock();
                        mutex.Lock();
                        break;

                    case 3:
                        WaitGroup group = new();
                        group.Add();
                        group.Wait();
                        break;
                }
            });
        }
    }

    private static void PingPong(Func<bool> goOn, Chan<int> there, Chan<int> back)
    {
        for (int i = 0; goOn(); i++)
        {
            there.Send(i);
            back.Receive();
        }
        there.Close();
    }

    private static void Echo(Chan<int> there, Chan<int> back)
    {
        foreach (int each in there)
        {
            back.Send(each);
        }
    }

    private static void LockInTurn(Func<bool> goOn, Mutex mutex, RWMutex both)
    {
        for (int i = 0; goOn(); i++)
        {
            using (mutex.EnterScope())
            {
                Go.Yield();
            }
            if (i % 3 == 0)
            {
                using (both.EnterScope())
                {
                    Go.Yield();
                }
            }
            using (both.EnterReadScope())
            {
                Go.Yield();
            }
        }
    }

    private static void StartAndWait(Func<bool> goOn)
    {
        while (goOn())
        {
            WaitGroup group = new();
            Chan<int> results = new();
            for (int i = 0; i < 8; i++)
            {
                int n = i;
                group.Go(() => results.Send(n));
            }
            for (int i = 0; i < 8; i++)
            {
                results.Receive();
            }
            group.Wait();
        }
    }

    private static void SelectWithTimeouts(Func<bool> goOn)
    {
        while (goOn())
        {
            Chan<int> answer = new(1);
            Go.Run(() => answer.Send(1));
            Select.Wait(answer.ReceiveCase(), Time.After(TimeSpan.FromSeconds(5)).ReceiveCase());
            Time.After(TimeSpan.FromMilliseconds(1)).Receive();
            Go.Await(Task.Delay(1));
            new Mutex().Lock(new CancellationTokenSource(1).Token);
        }
    }

    private static void InTheEnd(Chan<int> channel, Action last) => InTheEnd(() => channel.Receive(), last);

    private static void InTheEnd(Action action, Action last)
    {
        try
        {
            action();
        }
        finally
        {
            last();
        }
    }
}
