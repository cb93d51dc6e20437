// Waits that a CancellationToken ends: nothing is sent or received by an operation that was cancelled, and
// nothing is cancelled that was done.

using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class CancellationTests(int procs)
{
    [Test]
    public async Task ATokenThatIsCancelledAlreadyWins()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(2);
            chan.Send(1);
            CancellationToken token = new(canceled: true);
            crew.Throws<OperationCanceledException>(() => chan.Send(2, token), "a send");
            crew.Throws<OperationCanceledException>(() => chan.Receive(token), "a receive");
            crew.Throws<OperationCanceledException>(() => chan.Receive(out _, token), "the other form");
            OperationCanceledException? e = crew.Throws<OperationCanceledException>(
                () => Select.Wait(token, chan.ReceiveCase(), chan.SendCase(3)), "a select");
            crew.Equal(e?.CancellationToken, token, "the token");
            crew.Equal(chan.Count, 1, "the count");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ATokenThatIsNotCancelledChangesNothing()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using CancellationTokenSource source = new();
            foreach (CancellationToken token in (CancellationToken[])[source.Token, CancellationToken.None])
            {
                Chan<string> chan = new();
                crew.Go(() =>
                {
                    for (int i = 0; i < 100; i++)
                    {
                        chan.Send($"element {i}", token);
                        _ = Select.Wait(token, chan.SendCase($"case {i}"));
                    }
                    chan.Close();
                });
                for (int i = 0; i < 100; i++)
                {
                    crew.Equal(chan.Receive(token), $"element {i}", "an element");
                    crew.Expect(chan.Receive(out string value, token), "closed?");
                    crew.Equal(value, $"case {i}", "the other element");
                }
                crew.Expect(!chan.Receive(out string none, token), "an element after the close");
                crew.Equal(none, null, "the value after the close");
                crew.Equal(chan.Receive(token), null, "of the other form");
                crew.Throws<ChannelClosedException>(() => chan.Send("late", token), "a send after the close");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task CancellingEndsWaitsOfGoroutinesAndThreads()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using CancellationTokenSource source = new();
            Chan<int> empty = new();
            Chan<string> full = new(1);
            full.Send("first");
            int ended = 0;
            Action[] operations =
            [
                () => empty.Receive(source.Token),
                () => full.Send("second", source.Token),
                () => Select.Wait(source.Token, empty.ReceiveCase(), full.SendCase("third")),
                () => Select.Wait(source.Token, [.. Enumerable.Repeat(empty, 20).Select(c => c.ReceiveCase())]),
            ];
            for (int i = 0; i < 40; i++)
            {
                Action operation = operations[i % operations.Length];
                void Wait()
                {
                    crew.Throws<OperationCanceledException>(operation, "a wait");
                    Interlocked.Increment(ref ended);
                }
                if (i >= 36)
                {
                    crew.Thread(Wait);
                }
                else
                {
                    crew.GoAndPark(ParkReason.Select, Wait);
                }
            }
            Crew.LetOthersRun();
            crew.Equal(Volatile.Read(ref ended), 0, "ended before");
            source.Cancel();
            crew.Until(() => Volatile.Read(ref ended) == 40, "all to end");
            crew.Equal(full.Receive(), "first", "what was there");
            crew.Expect(!full.TryReceive(out _), "what was cancelled is there");
            crew.Expect(!empty.TrySend(1), "somebody receives still");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    public async Task WhatIsCancelledIsNotDoneAndTheOtherWayRound(int capacity)
    {
        const int Rounds = 500;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                using CancellationTokenSource sending = new();
                using CancellationTokenSource receiving = new();
                Chan<int> chan = new(capacity);
                int sent = 0;
                int received = 0;
                WaitGroup done = new();
                done.Add(4);
                for (int i = 0; i < 2; i++)
                {
                    bool selects = (round + i) % 3 == 0;
                    crew.Go(() =>
                    {
                        try
                        {
                            if (selects)
                            {
                                _ = Select.Wait(sending.Token, chan.SendCase(1), null);
                            }
                            else
                            {
                                chan.Send(1, sending.Token);
                            }
                            Interlocked.Increment(ref sent);
                        }
                        catch (OperationCanceledException)
                        {
                        }
                        done.Done();
                    });
                    crew.Go(() =>
                    {
                        try
                        {
                            Interlocked.Add(ref received, chan.Receive(receiving.Token));
                        }
                        catch (OperationCanceledException)
                        {
                        }
                        done.Done();
                    });
                }
                for (int i = 0; i < round % 5; i++)
                {
                    Go.Yield();
                }
                if (round % 2 == 0)
                {
                    sending.Cancel();
                    receiving.Cancel();
                }
                else
                {
                    receiving.Cancel();
                    sending.Cancel();
                }
                done.Wait();
                while (chan.TryReceive(out int rest))
                {
                    received += rest;
                }
                crew.Equal(received, sent, $"round {round}: received of what was sent");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AWaitThatEndedLeavesNothingAtItsToken()
    {
        const int Rounds = 20_000;
        string? failure = Crew.Run(procs, crew =>
        {
            using CancellationTokenSource source = new();
            Chan<int> chan = new();
            crew.Go(() =>
            {
                while (chan.Receive(out _))
                {
                }
            });
            void Send()
            {
                for (int i = 0; i < Rounds; i++)
                {
                    chan.Send(i, source.Token);
                }
            }
            Send();
            long before = GC.GetTotalMemory(forceFullCollection: true);
            Send();
            long more = GC.GetTotalMemory(forceFullCollection: true) - before;
            chan.Close();
            crew.Expect(more < 1_000_000, $"{more} bytes more after {Rounds} waits");
            source.Cancel();
        });

        await Assert.That(failure).IsNull();
    }
}
