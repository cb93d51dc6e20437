// Asynchronous code that stays on goroutines: Go.RunAsync of an async function, the SynchronizationContext and
// the TaskScheduler. What runs where is up to the schedule; only that it is a goroutine is certain.

using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class AsyncTests(int procs)
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly AsyncLocal<string?> s_local = new();

    [Before(HookType.Test)]
    public void SetProcessors() => Go.MaxProcs = procs;

    [Test]
    public async Task WhatFollowsAnAwaitRunsOnAGoroutine()
    {
        List<long> ids = await Go.RunAsync(async () =>
        {
            List<long> found = [Go.Id];
            await Task.Yield();
            found.Add(Go.Id);
            await Task.Delay(1);
            found.Add(Go.Id);
            await Task.Run(() => Thread.Sleep(1));
            found.Add(Go.Id);
            found.Add(await Inner());
            Go.Sleep(TimeSpan.FromMilliseconds(1)); // It may block.
            found.Add(Go.Id);
            return found;
        }).WaitAsync(s_limit);

        await Assert.That(ids.Count).IsEqualTo(6);
        await Assert.That(ids).DoesNotContain(0);
    }

    // A new goroutine after each await would have to make a Thread object each time.
    [Test]
    public async Task ItMostlyStaysOnOne()
    {
        const int Awaits = 2000;
        int changes = await Go.RunAsync(async () =>
        {
            int changes = 0;
            for (int i = 0; i < Awaits; i++)
            {
                long before = Go.Id;
                await Task.Yield();
                changes += Go.Id == before ? 0 : 1;
            }
            return changes;
        }).WaitAsync(s_limit);

        await Assert.That(changes).IsLessThan(Awaits / 2);
    }

    // Task.Yield posts while the home runs, which takes it from its own list at once; so does a helper.
    [Test]
    public async Task AYieldLetsOtherGoroutinesRun()
    {
        Skip.When(procs > 1, "Another processor takes it.");
        int yields = await Go.RunAsync(Count).WaitAsync(s_limit);
        int behindABlockedHome = await Go.RunAsync(async () =>
        {
            await Task.Yield();
            return Count().Result;
        }).WaitAsync(s_limit);

        await Assert.That(yields).IsLessThan(100);
        await Assert.That(behindABlockedHome).IsLessThan(100);

        static async Task<int> Count()
        {
            await Task.Yield();
            bool isDone = false;
            int yields = 0;
            Go.Run(() => Volatile.Write(ref isDone, true));
            for (; !Volatile.Read(ref isDone); yields++)
            {
                await Task.Yield();
            }
            return yields;
        }
    }

    [Test]
    public async Task ConfigureAwaitLeaves()
    {
        (bool before, bool after, bool back) = await Go.RunAsync(async () =>
        {
            bool before = Go.IsGoroutine;
            (bool after, bool pool) = await Leave();
            return (before, after || !pool, Go.IsGoroutine);
        }).WaitAsync(s_limit);

        await Assert.That(before).IsTrue();
        await Assert.That(after).IsFalse();
        await Assert.That(back).IsTrue();
    }

    private static async Task<(bool IsGoroutine, bool IsPool)> Leave()
    {
        await Task.Delay(1).ConfigureAwait(false);
        return (Go.IsGoroutine, Thread.CurrentThread.IsThreadPoolThread);
    }

    // The home is blocked by a wait for what awaits on it: what follows that await needs another goroutine.
    [Test]
    public async Task ABlockingWaitForAnotherAsyncFunctionIsNoDeadlock()
    {
        long[] ids = await Go.RunAsync(async () =>
        {
            await Task.Yield();
            Task<long> posted = Yields();
            return new long[] { Go.Id, posted.Result, Go.Await(Yields()), Inner().Result, await Inner() };
        }).WaitAsync(s_limit);

        await Assert.That(ids).DoesNotContain(0);
        await Assert.That(ids[1]).IsNotEqualTo(ids[0]);
        await Assert.That(ids[2]).IsNotEqualTo(ids[0]);
    }

    private static async Task<long> Inner()
    {
        await Task.Delay(1);
        await Task.Yield();
        return Go.Id;
    }

    private static async Task<long> Yields()
    {
        await Task.Yield();
        return Go.Id;
    }

    [Test]
    public async Task SeveralAwaitsAtOnceRunBesideEachOther()
    {
        Chan<int> chan = new();
        int sum = await Go.RunAsync(async () =>
        {
            // Each of them blocks until another has come to the same place.
            async Task<int> Send(int value)
            {
                await Task.Yield();
                chan.Send(value);
                return 0;
            }
            async Task<int> Receive()
            {
                await Task.Yield();
                return chan.Receive();
            }
            Task<int>[] all = [Send(1), Send(2), Receive(), Receive(), Send(3), Receive()];
            return (await Task.WhenAll(all)).Sum();
        }).WaitAsync(s_limit);

        await Assert.That(sum).IsEqualTo(6);
    }

    [Test]
    public async Task TheTaskEndsAsTheFunctionDoes()
    {
        using CancellationTokenSource source = new();
        await source.CancelAsync();

        await Assert.That(async () => await Go.RunAsync(async () =>
        {
            await Task.Yield();
            throw new InvalidDataException();
        })).Throws<InvalidDataException>();
        await Assert.That(async () => await Go.RunAsync(Task () => throw new InvalidDataException()))
            .Throws<InvalidDataException>();
        Task cancelled = Go.RunAsync(async () =>
        {
            await Task.Yield();
            source.Token.ThrowIfCancellationRequested();
        });
        await Assert.That(async () => await cancelled).Throws<OperationCanceledException>();
        await Assert.That(cancelled.IsCanceled).IsTrue();
        Task exits = Go.RunAsync(async () =>
        {
            await Task.Yield();
            Go.Exit();
        });
        await Assert.That(async () => await exits).Throws<TaskCanceledException>();
        await Assert.That(async () => await Go.RunAsync(Task () => null!))
            .Throws<InvalidOperationException>();
        await Assert.That(() => Go.RunAsync((Func<Task>)null!)).Throws<ArgumentNullException>();
        await Assert.That(() => Go.RunAsync((Func<Task<int>>)null!)).Throws<ArgumentNullException>();
        await Assert.That(await Go.RunAsync(() => Task.FromResult(5))).IsEqualTo(5);
    }

    // It ends elsewhere, while the goroutine that began it has nothing to do.
    [Test]
    public async Task AFunctionMayEndOnThePool()
    {
        for (int i = 0; i < 20; i++)
        {
            await Go.RunAsync(async () => await Leave().ConfigureAwait(false)).WaitAsync(s_limit);
        }
    }

    [Test]
    public async Task WhatIsPostedAfterTheEndRunsToo()
    {
        const int Late = 50;
        WaitGroup done = new();
        done.Add(Late);
        int onGoroutines = 0;
        SynchronizationContext home = await Go.RunAsync(async () =>
        {
            for (int i = 0; i < Late / 2; i++)
            {
                GoOn(i);
            }
            await Task.Yield();
            return SynchronizationContext.Current!;
        }).WaitAsync(s_limit);
        for (int i = 0; i < Late / 2; i++)
        {
            home.Post(_ => CountOne(), null);
        }

        await Go.RunAsync(done.Wait).WaitAsync(s_limit);
        await Assert.That(onGoroutines).IsEqualTo(Late);

        async void GoOn(int i)
        {
            await Task.Delay(i % 5);
            CountOne();
        }

        void CountOne()
        {
            Interlocked.Add(ref onGoroutines, Go.IsGoroutine ? 1 : 0);
            done.Done();
        }
    }

    // The home is woken for the work, and sees that its function has ended.
    [Test]
    public async Task WhatIsPostedJustBeforeTheEndRunsToo()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 500; i++)
            {
                TaskCompletionSource source = new();
                SynchronizationContext? home = null;
                WaitGroup began = new();
                began.Add();
                Task task = Go.RunAsync(() =>
                {
                    home = SynchronizationContext.Current;
                    began.Done();
                    return source.Task;
                });
                began.Wait();
                Go.Yield(); // Mostly it is idle now.
                WaitGroup ran = new();
                ran.Add();
                home!.Post(_ => ran.Done(), null);
                source.SetResult();
                ran.Wait();
                Go.Await(task);
            }
        });

        await Assert.That(failure).IsNull();
    }

    // All at once: posts from threads and from goroutines, homes that are idle, blocked, or at their end.
    [Test]
    public async Task NothingThatIsPostedIsLost()
    {
        const int Functions = 300;
        const int Awaits = 20;
        int ran = 0;
        Task[] all = [.. Enumerable.Range(0, Functions).Select(i => Go.RunAsync(async () =>
        {
            Task beside = Count();
            await Count();
            if (i % 3 == 0)
            {
                beside.Wait();
            }
            await Task.WhenAll(beside, i % 2 == 0 ? Count() : Task.Run(Count));
        }))];
        await Task.WhenAll(all).WaitAsync(s_limit);

        await Assert.That(ran).IsEqualTo(3 * Functions * Awaits);

        async Task Count()
        {
            for (int k = 0; k < Awaits; k++)
            {
                if (k % 7 == 0)
                {
                    await Task.Run(() => { });
                }
                else
                {
                    await Task.Yield();
                }
                Interlocked.Increment(ref ran);
            }
        }
    }

    // One work takes long; what came after it has run meanwhile.
    [Test]
    public async Task WhatHasRunIsNotKept()
    {
        const int Works = 100;
        TaskCompletionSource source = new();
        SynchronizationContext? home = null;
        Task task = Go.RunAsync(() =>
        {
            home = SynchronizationContext.Current;
            return source.Task;
        });
        Chan<bool> gate = new();
        await Assert.That(SpinWait.SpinUntil(() => Volatile.Read(ref home) is not null, s_limit)).IsTrue();
        home!.Post(_ => gate.Receive(), null);
        WaitGroup ran = new();
        ran.Add(Works);
        WeakReference[] states = PostMany(home, ran);
        await Go.RunAsync(ran.Wait).WaitAsync(s_limit);
        GC.Collect();
        int kept = states.Count(state => state.IsAlive);
        gate.Close();
        source.SetResult();
        await task.WaitAsync(s_limit);

        await Assert.That(kept).IsLessThan(Works / 2);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static WeakReference[] PostMany(SynchronizationContext home, WaitGroup ran)
        {
            WeakReference[] states = new WeakReference[Works];
            for (int i = 0; i < Works; i++)
            {
                object state = new();
                states[i] = new WeakReference(state);
                home.Post(_ => ran.Done(), state);
            }
            return states;
        }
    }

    // Whoever posts has its own ExecutionContext, and what it changes is nobody else's.
    [Test]
    public async Task EachWorkHasItsOwnContexts()
    {
        s_local.Value = "the home's";
        (string?[] seen, bool isHome, bool isNone) = await Go.RunAsync(async () =>
        {
            SynchronizationContext home = SynchronizationContext.Current!;
            List<string?> seen = [];
            SemaphoreSlim turn = new(0); // One after the other, while the home is idle.
            async Task Post(Action action)
            {
                await Task.Run(() =>
                {
                    using (ExecutionContext.SuppressFlow())
                    {
                        home.Post(
                            _ =>
                            {
                                seen.Add(s_local.Value);
                                action();
                                turn.Release();
                            },
                            null);
                    }
                });
                await turn.WaitAsync();
                seen.Add(s_local.Value);
            }
            await Post(() => s_local.Value = "a work's");
            await Post(() => SynchronizationContext.SetSynchronizationContext(null));
            await Task.Run(() =>
            {
                s_local.Value = "the poster's";
                home.Post(
                    _ =>
                    {
                        seen.Add(s_local.Value);
                        turn.Release();
                    },
                    null);
            });
            await turn.WaitAsync();
            await Post(() => seen.Add(SynchronizationContext.Current == home ? "home" : "lost"));
            bool isHome = SynchronizationContext.Current == home;
            Chan<bool> isNone = new();
            Go.Run(() => isNone.Send(SynchronizationContext.Current is null));
            return (seen.ToArray(), isHome, isNone.Receive());
        }).WaitAsync(s_limit);

        await Assert.That(string.Join(", ", seen.Select(value => value ?? "null")))
            .IsEqualTo("null, the home's, null, the home's, the poster's, null, home, the home's");
        await Assert.That(isHome).IsTrue();
        await Assert.That(isNone).IsTrue();
        await Assert.That(s_local.Value).IsEqualTo("the home's");
        await Assert.That(await Go.RunAsync(() => SynchronizationContext.Current is null)).IsTrue();
    }

    // It ends the process, as it does on any goroutine, though a home ran it: the home's function has nothing
    // to do with it.
    [Test]
    public async Task AnExceptionOfAnAsyncVoidEndsTheProcess()
    {
        ChildResult child = ChildProcess.Run(
            "async-void", environment: new() { ["WEFT_MAXPROCS"] = $"{procs}" });

        await Assert.That(child.ExitCode).IsEqualTo(128 + 6);
        await Assert.That(child.Error).Contains("unhandled exception\n");
        await Assert.That(child.Error).Contains("Unhandled exception. System.FormatException: on purpose");
    }

    internal static int AsyncVoid(string[] args) => WeftHost.Run(() =>
    {
        try
        {
            Go.Await(Go.RunAsync(async () =>
            {
                Throw();
                await Task.Delay(1000);
            }));
        }
        catch (FormatException)
        {
            Console.Error.WriteLine("The function's task had it.");
        }
        return 0;

        static async void Throw()
        {
            await Task.Delay(10);
            throw new FormatException("on purpose");
        }
    });

    [Test]
    public async Task GoExitEndsOneWorkAndNotTheHome()
    {
        bool ended = await Go.RunAsync(async () =>
        {
            SynchronizationContext home = SynchronizationContext.Current!;
            TaskCompletionSource first = new();
            TaskCompletionSource second = new();
            await Task.Run(() => home.Post(_ => Exit(first), null));
            await first.Task;
            Exits(second);
            await second.Task;
            await Task.Delay(1);
            return Go.IsGoroutine;
        }).WaitAsync(s_limit);

        await Assert.That(ended).IsTrue();

        static void Exit(TaskCompletionSource ends)
        {
            try
            {
                Go.Exit();
            }
            finally
            {
                _ = Task.Run(ends.SetResult);
            }
        }

        static async void Exits(TaskCompletionSource ends)
        {
            await Task.Delay(1);
            Exit(ends);
        }
    }

    [Test]
    [NotOnJit("each takes a thread")]
    public async Task ThousandsAtOnceTakeFewThreadsAndNothingIsLeft()
    {
        int functions = StormAround.IsWanted ? 300 : 3000; // Each collection looks at all that are parked.
        long before = Go.Count;
        int machines = Scheduler.MachineCount;
        s_local.Value = "flows";
        ConcurrentQueue<string> wrong = new();
        Chan<int> chan = new();
        Task[] all = [.. Enumerable.Range(0, functions).Select(i => Go.RunAsync(async () =>
        {
            for (int k = 0; k < 3; k++)
            {
                await Task.Delay(1 + (i % 10));
                if (!Go.IsGoroutine || s_local.Value != "flows")
                {
                    wrong.Enqueue($"{i}, {k}: {Go.IsGoroutine}, {s_local.Value}");
                }
            }
            if (i % 2 == 0)
            {
                chan.Send(i);
            }
            else
            {
                chan.Receive();
            }
        }))];
        await Task.WhenAll(all).WaitAsync(s_limit);

        await Assert.That(wrong).IsEmpty();
        await Assert.That(Scheduler.MachineCount).IsLessThan(machines + 50);
        await Assert.That(SpinWait.SpinUntil(() => Go.Count < before + 50, s_limit)).IsTrue();
    }

    [Test]
    public async Task ATaskOfTheSchedulerStaysOnGoroutines()
    {
        bool[] found = await Task.Factory.StartNew(
            async () =>
            {
                bool first = Go.IsGoroutine;
                await Task.Yield();
                bool second = Go.IsGoroutine;
                await Task.Delay(1);
                bool third = Go.IsGoroutine;
                Task<bool> inner = Task.Factory.StartNew(() => Go.IsGoroutine);
                return new[] { first, second, third, await inner, TaskScheduler.Current is WeftTaskScheduler };
            },
            CancellationToken.None,
            TaskCreationOptions.None,
            WeftTaskScheduler.Instance).Unwrap().WaitAsync(s_limit);
        await Assert.That(found).DoesNotContain(false);

        // Whoever waits for a task that has not begun runs it in place: on a goroutine, and nobody twice.
        Task<bool> isOnGoroutine = await Task.Run(() =>
        {
            Task<bool> task = Task.Factory.StartNew(
                () => Go.IsGoroutine,
                CancellationToken.None,
                TaskCreationOptions.None,
                WeftTaskScheduler.Instance);
            task.Wait();
            return Task.FromResult(task);
        });
        await Assert.That(await isOnGoroutine).IsTrue();
        int ran = 0;
        await Go.RunAsync(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                Task.Factory.StartNew(
                    () => Interlocked.Increment(ref ran),
                    CancellationToken.None,
                    TaskCreationOptions.None,
                    WeftTaskScheduler.Instance).Wait();
            }
        }).WaitAsync(s_limit);
        await Assert.That(ran).IsEqualTo(100);
    }

    [Test]
    public async Task WhatIsPostedRunsOnAGoroutineAndWhatIsSentIsWaitedFor()
    {
        WeftSynchronizationContext context = WeftSynchronizationContext.Instance;
        TaskCompletionSource<(long Id, string? Local, bool IsCurrent)> posted =
            new(TaskCreationOptions.RunContinuationsAsynchronously);
        s_local.Value = "flows";
        context.Post(
            state => posted.SetResult(
                (Go.Id, s_local.Value, SynchronizationContext.Current == (SynchronizationContext)state!)),
            context);
        (long id, string? local, bool isCurrent) = await posted.Task.WaitAsync(s_limit);
        await Assert.That(id).IsNotEqualTo(0);
        await Assert.That(local).IsEqualTo("flows");
        await Assert.That(isCurrent).IsTrue();

        long sent = 0;
        context.Send(_ => sent = SynchronizationContext.Current == context ? Go.Id : 0, null);
        await Assert.That(sent).IsNotEqualTo(0);
        await Assert.That(() => context.Send(_ => throw new InvalidDataException(), null))
            .Throws<InvalidDataException>();
        await Assert.That(await Go.RunAsync(() =>
        {
            long inner = 0;
            context.Send(_ => inner = Go.Id, null);
            return inner == Go.Id;
        })).IsTrue();
        await Assert.That(context.CreateCopy()).IsSameReferenceAs(context);
        await Assert.That(() => context.Post(null!, null)).Throws<ArgumentNullException>();
        await Assert.That(() => context.Send(null!, null)).Throws<ArgumentNullException>();
    }
}
