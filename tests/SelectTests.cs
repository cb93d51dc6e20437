// What a select promises. The list is that of Go's test/chan/select*.go and the select tests of
// runtime/chan_test.go; the programs are our own.

using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class SelectTests(int procs)
{
    /// <summary>A channel in a state, and what each operation on it must do there.</summary>
    private sealed record State(string Name, Func<Chan<int>?> Make, bool Sends, bool Receives, bool Closed);

    private static readonly State[] s_states =
    [
        new("null", () => null, Sends: false, Receives: false, Closed: false),
        new("unbuffered", () => new(), Sends: false, Receives: false, Closed: false),
        new("empty", () => new(3), Sends: true, Receives: false, Closed: false),
        new("half full", () => Filled(3, 1), Sends: true, Receives: true, Closed: false),
        new("full", () => Filled(3, 3), Sends: false, Receives: true, Closed: false),
        new("closed", () => Closed(Filled(0, 0)), Sends: true, Receives: true, Closed: true),
        new("closed, not drained", () => Closed(Filled(3, 2)), Sends: true, Receives: true, Closed: true),
    ];

    private static readonly int[] s_counts = [1, 2, 3, 7, 8, 9, 17, 100];

    [Test]
    public async Task EachOperationOnAChannelInEachStateDoesWhatGoSays()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            foreach (State state in s_states)
            {
                TrySendTo(crew, state);
                TryReceiveFrom(crew, state);
                SelectBoth(crew, state);
                BlockOn(crew, state);
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static void TrySendTo(Crew crew, State state)
    {
        SendChan<int> chan = state.Make();
        SendCase<int> send = state.Make().SendCase(7);
        if (state.Closed)
        {
            crew.Throws<ChannelClosedException>(() => chan.TrySend(7), $"{state.Name}: a send");
            crew.Throws<ChannelClosedException>(() => Select.TryWait(send), $"{state.Name}: a case");
            crew.Throws<ChannelClosedException>(() => Select.Wait(send), $"{state.Name}: a wait");
            return;
        }
        int before = chan.Count;
        crew.Equal(chan.TrySend(7), state.Sends, $"{state.Name}: a send");
        crew.Equal(chan.Count, before + (state.Sends ? 1 : 0), $"{state.Name}: the count");
        crew.Equal(Select.TryWait(send), state.Sends ? 0 : -1, $"{state.Name}: a case that sends");
        crew.Equal(Select.TryWait(null, send), state.Sends ? 1 : -1, $"{state.Name}: the same, second");
    }

    private static void TryReceiveFrom(Crew crew, State state)
    {
        ReceiveChan<int> chan = state.Make();
        bool some = chan.Count > 0;
        crew.Equal(chan.TryReceive(out int value, out bool isClosed), some, $"{state.Name}: a receive");
        crew.Equal(value, some ? 1 : 0, $"{state.Name}: the value");
        crew.Equal(isClosed, state.Closed && !some, $"{state.Name}: closed");
        ReceiveCase<int> receive = state.Make().ReceiveCase();
        crew.Equal(Select.TryWait(receive), state.Receives ? 0 : -1, $"{state.Name}: a case that receives");
        crew.Equal(receive.Value, some ? 1 : 0, $"{state.Name}: the value of the case");
        crew.Equal(receive.Ok, some, $"{state.Name}: ok");
    }

    private static void SelectBoth(Crew crew, State state)
    {
        Chan<int>? chan = state.Make();
        int chosen = -2;
        try
        {
            chosen = Select.TryWait(chan.SendCase(5), chan.ReceiveCase());
        }
        catch (ChannelClosedException)
        {
            crew.Expect(state.Closed, $"{state.Name}: a select threw");
            return;
        }
        crew.Equal(chosen >= 0, state.Sends || state.Receives, $"{state.Name}: both ways, {chosen}");
    }

    /// <summary>What is not ready waits, until something else is.</summary>
    private static void BlockOn(Crew crew, State state)
    {
        using CancellationTokenSource source = new();
        WaitGroup done = new();
        void Blocks(bool ready, string what, Action<CancellationToken> operation)
        {
            if (ready)
            {
                return;
            }
            done.Add();
            crew.GoAndPark(ParkReason.Select, () =>
            {
                crew.Throws<OperationCanceledException>(() => operation(source.Token), what);
                done.Done();
            });
        }
        SendChan<int> sends = state.Make();
        ReceiveChan<int> receives = state.Make();
        Blocks(state.Sends, $"{state.Name}: a send", token => sends.Send(1, token));
        Blocks(state.Receives, $"{state.Name}: a receive", token => receives.Receive(token));
        Blocks(state.Sends, $"{state.Name}: a case that sends", token => Select.Wait(token, sends.SendCase(1)));
        Blocks(
            state.Receives,
            $"{state.Name}: a case that receives",
            token => Select.Wait(token, null, receives.ReceiveCase()));
        Blocks(false, "no case", token => Select.Wait(token));
        Crew.LetOthersRun();
        source.Cancel();
        done.Wait();
    }

    [Test]
    public async Task AmongReadyCasesEachIsChosenAsOften()
    {
        const int Room = 2000; // For 600 elements, more or less.
        string? failure = Crew.Run(procs, crew =>
        {
            foreach (int count in s_counts)
            {
                SelectCase[] cases = [.. Enumerable.Range(0, count).Select<int, SelectCase>(i => i % 2 == 0
                    ? Closed(new Chan<int>()).ReceiveCase()
                    : new Chan<string>(Room).SendCase("element"))];
                CheckEven(crew, count, () => Select.Wait(cases), 300 * count);
                CheckEven(crew, count, () => Select.TryWait(cases), 300 * count);
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task NullCasesDoNotChangeTheOdds()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ReceiveCase<int> a = Closed(new Chan<int>()).ReceiveCase();
            ReceiveCase<int> b = Closed(new Chan<int>()).ReceiveCase();
            CheckEven(
                crew,
                2,
                () => Select.Wait(null, a, null, null, ((Chan<int>?)null).ReceiveCase(), b, null) switch
                {
                    1 => 0,
                    5 => 1,
                    _ => 2,
                },
                2000);
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>The chi-square of so many degrees of freedom is below this in all but one of a billion
    /// series.</summary>
    private static void CheckEven(Crew crew, int count, Func<int> choose, int rounds)
    {
        int[] seen = new int[count];
        for (int i = 0; i < rounds; i++)
        {
            seen[choose()]++;
        }
        double expected = (double)rounds / count;
        double chiSquare = seen.Sum(n => (n - expected) * (n - expected) / expected);
        double degrees = count - 1;
        double limit = degrees + (6 * Math.Sqrt(2 * degrees)) + 36;
        crew.Expect(chiSquare <= limit, $"{count} cases: {string.Join(' ', seen)}, chi-square {chiSquare}");
    }

    [Test]
    public async Task TwoSendsThatAreReadyAreBothTaken()
    {
        const int Rounds = 2000;
        string? failure = Crew.Run(procs, crew =>
        {
            foreach (int capacity in (int[])[0, 1, 100])
            {
                Chan<int> chan = new(capacity);
                crew.Go(() =>
                {
                    SendCase<int> zero = chan.SendCase(0);
                    SendCase<int> one = chan.SendCase(1);
                    for (int i = 0; i < Rounds; i++)
                    {
                        _ = Select.Wait(zero, one);
                    }
                    chan.Close();
                });
                int ones = 0;
                int all = 0;
                foreach (int n in chan)
                {
                    ones += n;
                    all++;
                    Go.Yield();
                }
                crew.Equal(all, Rounds, "the number of elements");
                crew.Expect(ones > Rounds / 10 && all - ones > Rounds / 10, $"{ones} ones of {all}");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task EachNumberOfCasesWaitsAndGetsTheOneThatComes()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            foreach (int count in s_counts)
            {
                Chan<string>[] inputs = [.. Enumerable.Range(0, count).Select(_ => new Chan<string>())];
                Chan<int>[] outputs = [.. Enumerable.Range(0, count).Select(_ => new Chan<int>())];
                Chan<(int, string)> results = new();
                crew.Go(() =>
                {
                    ReceiveCase<string>[] receives = [.. inputs.Select(c => c.ReceiveCase())];
                    SendCase<int>[] sends = [.. outputs.Select(c => c.SendCase())];
                    SelectCase[] cases = [.. receives.Zip<SelectCase, SelectCase>(sends).SelectMany(
                        pair => (SelectCase[])[pair.First, pair.Second])];
                    for (int turn = 0; turn < 2 * count; turn++)
                    {
                        foreach (SendCase<int> send in sends)
                        {
                            send.Value = turn;
                        }
                        int i = Select.Wait(cases);
                        results.Send((i, i % 2 == 0 ? receives[i / 2].Value : $"sent {turn}"));
                    }
                });
                for (int i = 0; i < count; i++)
                {
                    inputs[i].Send($"to {i}");
                    crew.Equal(results.Receive(), (2 * i, $"to {i}"), "the result of a receive");
                    crew.Equal(outputs[count - 1 - i].Receive(), (2 * i) + 1, "what a case sent");
                    crew.Equal(
                        results.Receive(), ((2 * (count - i)) - 1, $"sent {(2 * i) + 1}"), "of a send");
                }
                crew.Expect(inputs.All(c => !c.TrySend("more")), "somebody waits still");
                crew.Expect(outputs.All(c => !c.TryReceive(out _)), "somebody sends still");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ASelectDoesNotMeetItself()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 100; round++)
            {
                Chan<int> chan = new();
                Chan<int> result = new(2);
                void Both(int own)
                {
                    ReceiveCase<int> receive = chan.ReceiveCase();
                    result.Send(Select.Wait(chan.SendCase(own), receive) == 0 ? -own : receive.Value);
                }
                crew.GoAndPark(ParkReason.Select, () => Both(1));
                Crew.LetOthersRun();
                crew.Equal(result.Count, 0, "it met itself");
                crew.Go(() => Both(2));
                int first = result.Receive();
                int second = result.Receive();
                crew.Expect(
                    (first, second) is (-1, 1) or (1, -1) or (-2, 2) or (2, -2), $"{first} and {second}");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AChannelMayBeInSeveralCases()
    {
        const int Elements = 400;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new();
            Chan<int> done = new();
            for (int i = 0; i < 2; i++)
            {
                int id = i;
                crew.Go(() =>
                {
                    ReceiveCase<int>[] same = [.. Enumerable.Range(0, 5).Select(_ => chan.ReceiveCase())];
                    int sum = 0;
                    while (true)
                    {
                        int k = Select.Wait(same[0], same[1], same[2], same[3], same[4]);
                        if (!same[k].Ok)
                        {
                            break;
                        }
                        sum += same[k].Value;
                    }
                    done.Send(sum);
                });
            }
            for (int i = 1; i <= Elements; i++)
            {
                chan.Send(i);
            }
            chan.Close();
            crew.Equal(done.Receive() + done.Receive(), Elements * (Elements + 1) / 2, "the sum");
        });

        await Assert.That(failure).IsNull();
    }

    // Go's TestSelectDuplicateChannel and select6: waiters behind and before those of a select that another
    // channel won must not be lost with them.
    [Test]
    public async Task WaitersBesideThoseOfASelectThatHasGoneOnAreServed()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 50; round++)
            {
                Chan<int> shared = new();
                Chan<int> other = new();
                Chan<int> got = new(10);
                crew.GoAndPark(ParkReason.ChanReceive, () => got.Send(shared.Receive()));
                crew.GoAndPark(ParkReason.Select, () => got.Send(
                    1000 * Select.Wait(shared.ReceiveCase(), other.ReceiveCase(), shared.ReceiveCase())));
                if (round % 2 == 0)
                {
                    crew.GoAndPark(ParkReason.ChanReceive, () => got.Send(shared.Receive()));
                }
                other.Send(1);
                crew.GoAndPark(ParkReason.ChanReceive, () => got.Send(shared.Receive()));
                int receivers = round % 2 == 0 ? 3 : 2;
                for (int i = 0; i < receivers; i++)
                {
                    shared.Send(1);
                }
                int sum = 0;
                for (int i = 0; i < receivers + 1; i++)
                {
                    sum += got.Receive();
                }
                crew.Equal(sum, 1000 + receivers, "the sum of what they got");
                crew.Expect(!shared.TrySend(1), "somebody waits still");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ClosingChoosesTheCase()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<string> a = new();
            Chan<string> b = new();
            Chan<int> idle = new();
            WaitGroup done = new();
            done.Add(20);
            for (int i = 0; i < 10; i++)
            {
                crew.GoAndPark(ParkReason.Select, () =>
                {
                    ReceiveCase<string> receive = a.ReceiveCase();
                    crew.Equal(Select.Wait(idle.ReceiveCase(), receive), 1, "the case of the closed channel");
                    crew.Expect(!receive.Ok && receive.Value is null, "a value from a closed channel");
                    done.Done();
                });
                crew.GoAndPark(ParkReason.Select, () =>
                {
                    SendCase<string> send = b.SendCase("lost");
                    crew.Throws<ChannelClosedException>(
                        () => Select.Wait(idle.ReceiveCase(), send, b.SendCase("too")), "a case that sends");
                    done.Done();
                });
            }
            a.Close();
            b.Close();
            done.Wait();
            crew.Expect(!idle.TrySend(1), "somebody waits still");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheSameCaseTwiceIsRefused()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(1);
            ReceiveCase<int> receive = chan.ReceiveCase();
            ReceiveCase<int> other = chan.ReceiveCase();
            for (int i = 0; i < 2; i++)
            {
#pragma warning disable WEFT106 // That this throws is what is tested.
                crew.Throws<ArgumentException>(() => Select.Wait(receive, other, receive), "a wait");
                crew.Throws<ArgumentException>(() => Select.TryWait(receive, other, receive), "a try");
#pragma warning restore WEFT106
                SelectCase[] many = [.. Enumerable.Range(0, 30).Select(_ => new Chan<int>().ReceiveCase())];
                crew.Throws<ArgumentException>(() => Select.Wait([.. many, receive, .. many]), "many");
                _ = chan.TrySend(1);
            }
            crew.Equal(Select.Wait(receive, other) is 0 or 1, true, "once each");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ACaseThatAnotherWaitsWithIsRefused()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new();
            Chan<int> open = new(1);
            ReceiveCase<int> receive = chan.ReceiveCase();
            crew.GoAndPark(ParkReason.Select, () => crew.Equal(Select.Wait(receive), 0, "the first"));
            for (int i = 0; i < 3; i++)
            {
                crew.Throws<InvalidOperationException>(() => Select.Wait(receive), "a wait");
                crew.Throws<InvalidOperationException>(() => Select.TryWait(receive), "a try");
                crew.Throws<InvalidOperationException>(
                    () => Select.Wait(open.ReceiveCase(), receive), "with another");
            }
            chan.Send(1);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheDelegateOfTheChosenCaseIsCalled()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<string> words = new(1);
            Chan<int> numbers = new(1);
            string log = "";
            int Run() => Select.TryRun(
                words.ReceiveCase((word, ok) => log += $"{word} {ok};"),
                numbers.ReceiveCase((number, ok) => log += $"{number} {ok};"));
            crew.Equal(Run(), -1, "the default");
            words.Send("word");
            crew.Equal(Run(), 0, "the first");
            numbers.Send(5);
            crew.Equal(Run(), 1, "the second");
            numbers.Close();
            crew.Equal(Run(), 1, "the closed one");
            crew.Equal(
                Select.Run(words.SendCase("sent", () => log += "sent;"), null), 0, "the one that sends");
            crew.Equal(log, "word True;5 True;0 False;sent;", "what was called");
            crew.Equal(words.Receive(), "sent", "what was sent");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ThreadsSelectToo()
    {
        const int Elements = 300;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> a = new();
            Chan<string> b = new(2);
            Chan<int> quit = new();
            int fromA = 0;
            int fromB = 0;
            for (int i = 0; i < 4; i++)
            {
                crew.Start(i % 2 == 0, () =>
                {
                    ReceiveCase<int> number = a.ReceiveCase();
                    ReceiveCase<string> text = b.ReceiveCase();
                    ReceiveCase<int> stop = quit.ReceiveCase();
                    while (true)
                    {
                        switch (Select.Wait(number, text, stop))
                        {
                            case 0:
                                Interlocked.Add(ref fromA, number.Value);
                                break;

                            case 1:
                                Interlocked.Add(ref fromB, text.Value.Length);
                                break;

                            default:
                                return;
                        }
                    }
                });
            }
            WaitGroup senders = new();
            senders.Add(2);
            crew.Start(true, () =>
            {
                SendCase<int> number = a.SendCase();
                for (int i = 1; i <= Elements; i++)
                {
                    number.Value = i;
                    _ = Select.Wait(number, null);
                }
                senders.Done();
            });
            crew.Go(() =>
            {
                for (int i = 1; i <= Elements; i++)
                {
                    _ = Select.Wait(b.SendCase(new string('x', i % 5)));
                }
                senders.Done();
            });
            senders.Wait();
            crew.Until(() => b.Count == 0, "the buffer to be drained");
            quit.Close();
            crew.Until(
                () => Volatile.Read(ref fromB) == Elements * 2, $"{fromB} characters to be received");
            crew.Until(
                () => Volatile.Read(ref fromA) == Elements * (Elements + 1) / 2, $"the sum, now {fromA}");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WithoutACaseItWaitsForEver()
    {
        ChildResult child = ChildProcess.Run("select-never", timeout: TimeSpan.FromSeconds(20));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    internal static int Never(string[] args)
    {
        int returned = 0;
        Thread thread = new(() =>
        {
            _ = Select.Wait();
            Interlocked.Increment(ref returned);
        })
        {
            IsBackground = true,
        };
        thread.Start();
        Action[] operations =
        [
            () => Select.Wait(),
            () => Select.Wait(null, null),
            () => Select.Wait(((Chan<int>?)null).ReceiveCase(), ((Chan<int>?)null).SendCase(1)),
            () => default(SendChan<int>).Send(1),
            () => default(ReceiveChan<int>).Receive(),
        ];
        foreach (Action operation in operations)
        {
            Go.Run(() =>
            {
                operation();
                Interlocked.Increment(ref returned);
            });
        }
        Thread.Sleep(300);
        GC.Collect();
        return Volatile.Read(ref returned) == 0 && Go.Count == operations.Length && thread.IsAlive ? 0 : 1;
    }

    private static Chan<int> Filled(int capacity, int count)
    {
        Chan<int> chan = new(capacity);
        for (int i = 0; i < count; i++)
        {
            chan.Send(1);
        }
        return chan;
    }

    private static Chan<int> Closed(Chan<int> chan)
    {
        chan.Close();
        return chan;
    }
}
