// Groups that fail together.

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ErrGroupTests(int procs)
{
    [Test]
    public async Task WaitReturnsWhenAllHaveEndedAndThenTheTokenIsCancelled()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            new ErrGroup().Wait();
            ErrGroup group = new();
            int ended = 0;
            for (int i = 0; i < 50; i++)
            {
                group.Go(() =>
                {
                    Go.Yield();
                    crew.Expect(!group.Token.IsCancellationRequested, "cancelled although all is well");
                    Interlocked.Increment(ref ended);
                });
            }
            group.Wait();
            crew.Equal(ended, 50, "ended");
            crew.Expect(group.Token.IsCancellationRequested, "the token after Wait");
            group.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheFirstExceptionCancelsTheOthersAndComesOutOfWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 50; round++)
            {
                ErrGroup group = new();
                int cancelled = 0;
                for (int i = 0; i < 10; i++)
                {
                    group.Go(token =>
                    {
                        while (!token.IsCancellationRequested)
                        {
                            Go.Yield();
                        }
                        Interlocked.Increment(ref cancelled);
                        throw new InvalidCastException("a later one");
                    });
                }
                group.Go(() => ThrowHere());
                FormatException? e = crew.Throws<FormatException>(group.Wait, "the first");
                crew.Equal(cancelled, 10, "those that the token ended");
                crew.Expect(e!.StackTrace!.Contains(nameof(ThrowHere)), $"the trace: {e.StackTrace}");
                crew.Throws<FormatException>(group.Wait, "the first again");
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static void ThrowHere() => throw new FormatException("the first one");

    [Test]
    public async Task ManyThatFailAtOnceGiveOneException()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 100; round++)
            {
                ErrGroup group = new();
                Exception[] thrown = [.. Enumerable.Range(0, 5).Select(i => new FormatException($"{i}"))];
                foreach (Exception e in thrown)
                {
                    group.Go(() => throw e);
                }
                Exception? first = crew.Throws<FormatException>(group.Wait, "the first");
                crew.Expect(thrown.Contains(first), "one that was thrown");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task NoMoreRunThanTheLimit()
    {
        const int Limit = 3;
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            group.SetLimit(Limit);
            int active = 0;
            int ended = 0;
            for (int i = 0; i < 500; i++)
            {
                group.Go(() =>
                {
                    int count = Interlocked.Increment(ref active);
                    crew.Expect(count <= Limit, $"{count} run");
                    Go.Yield();
                    Interlocked.Decrement(ref active);
                    Interlocked.Increment(ref ended);
                });
            }
            group.Wait();
            crew.Equal(ended, 500, "ended");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TryGoStartsUpToTheLimit()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            WaitGroup hold = new();
            hold.Add();
            crew.Expect(group.TryGo(hold.Wait), "no limit");
            crew.Throws<InvalidOperationException>(() => group.SetLimit(1), "a limit while one runs");
            hold.Done();
            group.Wait();
            hold.Add();
            group.SetLimit(2);
            crew.Expect(group.TryGo(hold.Wait) && group.TryGo(hold.Wait), "2 of 2");
            crew.Expect(!group.TryGo(() => crew.Expect(false, "a third one ran")), "3 of 2");
            hold.Done();
            group.Wait();
            group.SetLimit(0);
            crew.Expect(!group.TryGo(() => { }), "1 of 0");
            crew.Throws<InvalidOperationException>(() => group.Go(() => { }), "Go with the limit 0");
            group.SetLimit(-1);
            crew.Expect(group.TryGo(() => { }), "no limit again");
            group.Wait();
            crew.Throws<ArgumentNullException>(() => group.Go((Action)null!), "null");
            crew.Throws<ArgumentNullException>(() => group.Go((Action<CancellationToken>)null!), "null");
            crew.Throws<ArgumentNullException>(() => group.TryGo(null!), "null");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheParentCancelsTheGroupAndIsNoFailure()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using CancellationTokenSource parent = new();
            ErrGroup group = new(parent.Token);
            group.Go(token =>
            {
                while (!token.IsCancellationRequested)
                {
                    Go.Yield();
                }
            });
            parent.Cancel();
            group.Wait();
            crew.Expect(
                new ErrGroup(parent.Token).Token.IsCancellationRequested, "a group of a cancelled parent");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task OneThatExitsIsNoFailureAndGivesItsSlotBack()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            group.SetLimit(1);
            for (int i = 0; i < 5; i++)
            {
                group.Go(Go.Exit);
            }
            group.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatACallbackOfTheTokenThrowsIsNotLost()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            FormatException first = new();
            using (group.Token.Register(() => throw new InvalidCastException()))
            {
                group.Go(() => throw first);
                AggregateException? e = crew.Throws<AggregateException>(group.Wait, "both");
                crew.Expect(e!.InnerExceptions[0] == first, "the first one first");
                crew.Expect(e.Flatten().InnerExceptions.OfType<InvalidCastException>().Any(), "the other");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AThreadMayStartAndWait()
    {
        _ = procs;
        ErrGroup group = new();
        int ended = 0;
        group.SetLimit(2);
        for (int i = 0; i < 100; i++)
        {
            group.Go(() => Interlocked.Increment(ref ended));
        }
        group.Go(() => throw new FormatException());

        await Assert.That(group.Wait).Throws<FormatException>();
        await Assert.That(ended).IsEqualTo(100);
    }

    // In a process of its own: nobody catches the cancellation there, and the failure would end it.
    [Test]
    public async Task AWaitThatNobodyCatchesTheEndOfThrowsWhatTheGoroutineThrew()
    {
        ChildResult child = ChildProcess.Run(
            "group-catch", environment: new() { ["WEFT_MAXPROCS"] = $"{procs}" });

        await Assert.That(child.ToString()).IsEqualTo($"exit code 0\n--- stdout\n60 of 60\n\n--- stderr\n");
    }

    internal static int CatchesOnlyWhatWasThrown(string[] args) => WeftHost.Run(() =>
    {
        using Listener listener = Net.Listen("tcp", "127.0.0.1:0");
        using PacketConn socket = Net.ListenPacket("udp", "127.0.0.1:0");
        Mutex mutex = new();
        mutex.Lock();
        Semaphore semaphore = new(1);
        semaphore.Acquire();
        Action<CancellationToken>[] waits =
        [
            token => new Chan<int>().Receive(token),
            mutex.Lock,
            token => semaphore.Acquire(1, token),
            token => listener.Accept(token),
            token => socket.ReceiveFrom(new byte[1], out _, token),
            token => new Chan<int>().Receive(new ErrGroup(token).Token),
        ];
        int caught = 0;
        const int Rounds = 10;
        for (int i = 0; i < Rounds * waits.Length; i++)
        {
            ErrGroup group = new();
            group.Go(() => ThrowHere());
            try
            {
                waits[i / Rounds](group.Token);
                group.Wait();
            }
            catch (FormatException e) when (e.StackTrace!.Contains(nameof(ThrowHere)))
            {
                caught++;
            }
        }
        Console.WriteLine($"{caught} of {Rounds * waits.Length}");
    });

    [Test]
    public async Task ACancellationThatIsCaughtSaysWhy()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ErrGroup group = new();
            ErrGroup below = new(group.Token);
            group.Go(() => ThrowHere());
            foreach (CancellationToken token in (CancellationToken[])[group.Token, below.Token])
            {
                try
                {
                    new Chan<int>().Receive(token);
                }
                catch (OperationCanceledException e) when (e.CancellationToken == token)
                {
                    crew.Equal(e.InnerException?.Message, "the first one", "the reason");
                }
            }
            crew.Equal(Context.FromToken(below.Token).Cause?.Message, "the first one", "the context's cause");
        });

        await Assert.That(failure).IsNull();
    }
}
