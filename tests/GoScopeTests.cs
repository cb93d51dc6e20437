// Nothing outlives its scope, and the first failure comes out of it.

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class GoScopeTests(int procs)
{
    private static void WaitFor(CancellationToken token)
    {
        while (!token.IsCancellationRequested)
        {
            Go.Yield();
        }
        token.ThrowIfCancellationRequested();
    }

    [Test]
    public async Task TheBlockEndsWhenAllOfItHas()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int ended = 0;
            using (GoScope scope = new())
            {
                void Branch(int depth)
                {
                    Go.Yield();
                    Interlocked.Increment(ref ended);
                    if (depth > 0)
                    {
                        scope.Go(() => Branch(depth - 1));
                        scope.Go(_ => Branch(depth - 1));
                    }
                }
                scope.Go(() => Branch(7));
            }
            crew.Equal(ended, 255, "ended");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheFirstExceptionCancelsTheOthersAndComesOut()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int cancelled = 0;
            FormatException? e = crew.Throws<FormatException>(
                () =>
                {
                    using GoScope scope = new();
                    for (int i = 0; i < 5; i++)
                    {
                        scope.Go(token =>
                        {
                            try
                            {
                                WaitFor(token);
                            }
                            finally
                            {
                                Interlocked.Increment(ref cancelled);
                            }
                        });
                    }
                    scope.Go(() => ThrowHere());
                },
                "the first");
            crew.Equal(cancelled, 5, "those that the token ended");
            crew.Expect(e!.StackTrace!.Contains(nameof(ThrowHere)), $"the trace: {e.StackTrace}");
        });

        await Assert.That(failure).IsNull();
    }

    private static void ThrowHere() => throw new FormatException();

    // The children would wait for ever for what the block does not do any more.
    [Test]
    public async Task TheExceptionOfTheBlockCancelsTheChildrenAndComesOut()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int ended = 0;
            void Block()
            {
                using GoScope scope = new();
                scope.Go(token =>
                {
                    while (!token.IsCancellationRequested)
                    {
                        Go.Yield();
                    }
                    Interlocked.Increment(ref ended);
                    throw new InvalidCastException("a later one");
                });
                ThrowHere();
            }
            for (int round = 1; round <= 20; round++)
            {
                crew.Throws<FormatException>(Block, "the exception of the block");
                crew.Equal(ended, round, "ended");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AFailureThatWasThereBeforeGoesBeforeThatOfTheBlock()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            crew.Throws<FormatException>(
                () =>
                {
                    using GoScope scope = new();
                    scope.Go(() => ThrowHere());
                    WaitFor(scope.Token);
                },
                "the cause");
        });

        await Assert.That(failure).IsNull();
    }

    // In a catch block and in a finally block there is an exception in flight: not one of this block.
    [Test]
    public async Task AScopeInsideACatchBlockIsLikeAnyOther()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int reached = 0;
            void Both(bool throws)
            {
                using GoScope scope = new();
                CancellationToken token = scope.Token;
                scope.Go(() =>
                {
                    if (throws)
                    {
                        WaitFor(token);
                    }
                    for (int i = 0; i < 20; i++)
                    {
                        Go.Yield();
                    }
                    crew.Expect(!token.IsCancellationRequested, "cancelled although all is well");
                });
                if (throws)
                {
                    throw new InvalidCastException();
                }
            }
            void Nested()
            {
                try
                {
                    ThrowHere();
                }
                catch (FormatException)
                {
                    Both(throws: false);
                    crew.Throws<InvalidCastException>(() => Both(throws: true), "in a catch block");
                    Both(throws: false);
                    reached++;
                    throw;
                }
                finally
                {
                    Both(throws: false);
                    crew.Throws<InvalidCastException>(() => Both(throws: true), "in a finally block");
                    reached++;
                }
            }
            crew.Throws<FormatException>(Nested, "the outer exception");
            crew.Equal(reached, 2, "blocks");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task CancelEndsTheChildrenAndIsNoFailure()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using (GoScope scope = new())
            {
                scope.Go(WaitFor);
                scope.Go(WaitFor);
                scope.Cancel();
            }
            using CancellationTokenSource parent = new();
            CancellationToken token = parent.Token;
            crew.Throws<OperationCanceledException>(
                () =>
                {
                    using GoScope scope = new(token);
                    scope.Go(WaitFor);
                    parent.Cancel();
                },
                "the parent's");
            using GoScope untouched = new(token); // Nobody ended for it.
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ABlockThatExitsCancelsItsChildrenToo()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int ended = 0;
            WaitGroup done = new();
            done.Go(() =>
            {
                using GoScope scope = new();
                scope.Go(token =>
                {
                    while (!token.IsCancellationRequested)
                    {
                        Go.Yield();
                    }
                    ended++;
                });
                Go.Exit();
            });
            done.Wait();
            crew.Equal(ended, 1, "ended");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AClosedScopeStartsNothing()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            GoScope scope = new();
            scope.Dispose();
            scope.Dispose();
            crew.Throws<ObjectDisposedException>(() => scope.Go(() => { }), "Go");
            using GoScope open = new();
            crew.Throws<ArgumentNullException>(() => open.Go((Action)null!), "null");
            crew.Throws<ArgumentNullException>(() => open.Go((Action<CancellationToken>)null!), "null");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ScopesNestAndThreadsHaveThemToo()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            void Work(string where)
            {
                int ended = 0;
                crew.Throws<FormatException>(
                    () =>
                    {
                        using GoScope outer = new();
                        outer.Go(token =>
                        {
                            using GoScope inner = new(token);
                            inner.Go(WaitFor);
                            inner.Go(t =>
                            {
                                try
                                {
                                    WaitFor(t);
                                }
                                finally
                                {
                                    ended++;
                                }
                            });
                        });
                        ThrowHere();
                    },
                    where);
                crew.Equal(ended, 1, where);
            }
            WaitGroup done = new();
            for (int i = 0; i < 6; i++)
            {
                bool asThread = i % 2 == 0;
                done.Add();
                crew.Start(asThread, () =>
                {
                    Work(asThread ? "on a thread" : "on a goroutine");
                    done.Done();
                });
            }
            done.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    // In a process of its own: nobody catches the cancellation there, and the failure would end it.
    [Test]
    public async Task WhatAGoroutineThrewIsCaughtWhateverTheBlockWaitedFor()
    {
        ChildResult child = ChildProcess.Run(
            "scope-catch", environment: new() { ["WEFT_MAXPROCS"] = $"{procs}" });

        await Assert.That(child.ToString()).IsEqualTo($"exit code 0\n--- stdout\n70 of 70\n\n--- stderr\n");
    }

    internal static int CatchesOnlyWhatWasThrown(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> empty = new();
        Action<CancellationToken>[] waits =
        [
            token => empty.Receive(token),
            token => empty.Send(1, token),
            token => Select.Wait(token, empty.ReceiveCase(), empty.SendCase(1)),
            token => Go.Await(Task.Delay(Timeout.Infinite, token)),
            WaitFor,
            token =>
            {
                using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(token);
                empty.Receive(linked.Token);
            },
            token =>
            {
                using GoScope inner = new(token);
                inner.Go(WaitFor);
                empty.Receive(inner.Token);
            },
        ];
        int caught = 0;
        const int Rounds = 10;
        for (int i = 0; i < Rounds * waits.Length; i++)
        {
            try
            {
                using GoScope scope = new();
                scope.Go(() => ThrowHere());
                scope.Go(WaitFor);
                waits[i / Rounds](scope.Token);
            }
            catch (FormatException e) when (e.StackTrace!.Contains(nameof(ThrowHere)))
            {
                caught++;
            }
        }
        Console.WriteLine($"{caught} of {Rounds * waits.Length}");
    });

    [Test]
    public async Task TheCancellationIsCaughtInsideTheBlockAndSaysWhy()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool cleanedUp = false;
            void Block()
            {
                using GoScope scope = new();
                scope.Go(() => ThrowHere());
                try
                {
                    new Chan<int>().Receive(scope.Token);
                }
                catch (OperationCanceledException e) when (e.CancellationToken == scope.Token)
                {
                    crew.Expect(e.InnerException is FormatException, $"the reason: {e.InnerException}");
                    cleanedUp = true;
                }
            }
            crew.Throws<FormatException>(Block, "what the goroutine threw");
            crew.Expect(cleanedUp, "the catch block inside");
        });

        await Assert.That(failure).IsNull();
    }
}
