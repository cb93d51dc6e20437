// Programs that select for real, after those of Go's test/chan: each has an answer that is wrong if an
// element is lost, doubled, or given to a case that was not chosen.

using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class SelectProgramTests(int procs)
{
    // Go's doubleselect: two cases of one select must never both happen.
    [Test]
    public async Task ASelectOverFourChannelsSendsEachNumberOnce()
    {
        const int Numbers = 5000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int>[] four = [new(), new(), new(), new()];
            Chan<int> merged = new();
            WaitGroup forwarders = new();
            foreach (Chan<int> chan in four)
            {
                forwarders.Add();
                crew.Go(() =>
                {
                    foreach (int n in chan)
                    {
                        merged.Send(n);
                    }
                    forwarders.Done();
                });
            }
            crew.Go(() =>
            {
                SendCase<int>[] sends = [.. four.Select(c => c.SendCase())];
                for (int n = 0; n < Numbers; n++)
                {
                    foreach (SendCase<int> send in sends)
                    {
                        send.Value = n;
                    }
                    _ = Select.Wait(sends[0], sends[1], sends[2], sends[3]);
                }
                foreach (Chan<int> chan in four)
                {
                    chan.Close();
                }
                forwarders.Wait();
                merged.Close();
            });
            int[] seen = new int[Numbers];
            foreach (int n in merged)
            {
                seen[n]++;
            }
            crew.Expect(seen.All(n => n == 1), "a number is lost or doubled");
        });

        await Assert.That(failure).IsNull();
    }

    // Go's TestSelectStress: direct operations and selects on the same four channels.
    [Test]
    public async Task DirectOperationsAndSelectsShareFourChannels()
    {
        const int Each = 2000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int>[] four = [new(), new(), new(2), new(3)];
            WaitGroup done = new();
            done.Add(10);
            foreach (Chan<int> chan in four)
            {
                crew.Go(() =>
                {
                    for (int i = 0; i < Each; i++)
                    {
                        chan.Send(0);
                    }
                    done.Done();
                });
                crew.Go(() =>
                {
                    for (int i = 0; i < Each; i++)
                    {
                        _ = chan.Receive();
                    }
                    done.Done();
                });
            }
            crew.Go(() =>
            {
                EachUntilSpent([.. four.Select(c => c.SendCase(1))]);
                done.Done();
            });
            crew.Go(() =>
            {
                EachUntilSpent([.. four.Select(c => c.ReceiveCase())]);
                done.Done();
            });
            done.Wait();
            crew.Expect(four.All(c => c.Count == 0), "something is left");
        });

        await Assert.That(failure).IsNull();

        static void EachUntilSpent(SelectCase?[] cases)
        {
            int[] left = [Each, Each, Each, Each];
            for (int i = 0; i < 4 * Each; i++)
            {
                int k = Select.Wait(cases[0], cases[1], cases[2], cases[3]);
                if (--left[k] == 0)
                {
                    cases[k] = null;
                }
            }
        }
    }

    // Go's TestSelectFairness: neither of two channels that always have something starves the other.
    [Test]
    public async Task NeitherOfTwoBusyChannelsStarvesTheOther()
    {
        const int Trials = 4000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> done = new();
            Chan<byte>[] busy = [new(Trials), new(Trials)];
            foreach (Chan<byte> chan in busy)
            {
                for (int i = 0; i < Trials; i++)
                {
                    chan.Send(1);
                }
            }
            Chan<int> output = new();
            crew.Go(() =>
            {
                ReceiveCase<byte> a = busy[0].ReceiveCase();
                ReceiveCase<byte> b = busy[1].ReceiveCase();
                SendCase<int> send = output.SendCase();
                ReceiveCase<int> quit = done.ReceiveCase();
                while (true)
                {
                    send.Value = Select.Wait(a, b);
                    if (Select.Wait(send, quit) == 1)
                    {
                        return;
                    }
                }
            });
            int[] count = new int[2];
            for (int i = 0; i < Trials; i++)
            {
                count[output.Receive()]++;
            }
            done.Close();
            crew.Expect(Math.Min(count[0], count[1]) > Trials * 0.4, $"{count[0]} and {count[1]}");
        });

        await Assert.That(failure).IsNull();
    }

    // Go's TestMultiConsumer.
    [Test]
    public async Task TwentyThreeConsumersShareWhatOneProduces()
    {
        const int Workers = 23;
        const int Elements = 20_000;
        string? failure = Crew.Run(procs, crew =>
        {
            int[] primes = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31];
            Chan<int> input = new(Workers * 3);
            Chan<int> output = new(Workers * 3);
            WaitGroup workers = new();
            for (int i = 0; i < Workers; i++)
            {
                int worker = i;
                workers.Add();
                crew.Go(() =>
                {
                    foreach (int n in input)
                    {
                        if (primes[worker % primes.Length] == n)
                        {
                            Go.Yield();
                        }
                        output.Send(n);
                    }
                    workers.Done();
                });
            }
            long expected = Enumerable.Range(0, Elements).Sum(i => (long)primes[i % primes.Length]);
            crew.Go(() =>
            {
                for (int i = 0; i < Elements; i++)
                {
                    input.Send(primes[i % primes.Length]);
                }
                input.Close();
                workers.Wait();
                output.Close();
            });
            long sum = 0;
            int count = 0;
            foreach (int n in output)
            {
                sum += n;
                count++;
            }
            crew.Equal((count, sum), (Elements, expected), "count and sum");
        });

        await Assert.That(failure).IsNull();
    }

    // Go's nonblock: try operations meet operations that wait, for elements of every size.
    [Test]
    public async Task TryOperationsMeetThoseThatWait()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            MeetByTrying(crew, 7);
            MeetByTrying(crew, 7L);
            MeetByTrying(crew, (byte)7);
            MeetByTrying(crew, true);
            MeetByTrying(crew, "seven");
            MeetByTrying(crew, (object)7);
            MeetByTrying<object?>(crew, null);
            MeetByTrying(crew, (7, "seven", 7.0, new object()));
        });

        await Assert.That(failure).IsNull();
    }

    private static void MeetByTrying<T>(Crew crew, T element)
    {
        for (int capacity = 0; capacity < 2; capacity++)
        {
            Chan<T> chan = new(capacity);
            crew.Expect(!chan.TryReceive(out T nothing), "received from an empty channel");
            crew.Equal(nothing, default, "the value of nothing");
            WaitGroup done = new();
            done.Add(2);
            crew.GoAndPark(ParkReason.ChanReceive, () =>
            {
                crew.Equal(chan.Receive(), element, "what was received");
                done.Done();
            });
            crew.Expect(chan.TrySend(element), "a receiver waits, but it was not sent to");
            for (int i = 0; i < capacity; i++)
            {
                crew.Expect(chan.TrySend(element), "the buffer has room");
            }
            crew.Expect(!chan.TrySend(element), "sent to a full channel");
            crew.GoAndPark(ParkReason.ChanSend, () =>
            {
                chan.Send(element);
                done.Done();
            });
            for (int i = 0; i < capacity + 1; i++)
            {
                crew.Expect(chan.TryReceive(out T got), "something waits to be received");
                crew.Equal(got, element, "what was sent");
            }
            crew.Expect(!chan.TryReceive(out _), "received what is gone");
            done.Wait();
        }
    }

    // Go's TestNonblockRecvRace and TestNonblockSelectRace: what is buffered is seen beside a close.
    [Test]
    public async Task ATryThatRacesWithACloseFindsWhatIsThere()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 2000; round++)
            {
                Chan<int> one = new(1);
                Chan<int> two = new(1);
                Chan<bool> result = new();
                bool selects = round % 2 == 0;
                one.Send(1);
                crew.Go(() => result.Send(selects
                    ? Select.TryWait(one.ReceiveCase(), two.ReceiveCase()) >= 0
                    : one.TryReceive(out _, out bool isClosed) || isClosed));
                two.Send(1);
                if (selects)
                {
                    _ = one.TryReceive(out _);
                }
                one.Close();
                crew.Expect(result.Receive(), "nothing was ready");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Slow]
    [NotOnJit("millions of messages among thousands of threads: minutes")]
    public async Task TheSieveFindsTheFiveThousandthPrime()
    {
#if WEFT_SMALL
        (int count, int expected) = (1000, 7919); // Its queues are short.
#else
        (int count, int expected) = procs == 2 ? (5000, 48611) : (2000, 17389);
        if (StormAround.IsWanted || Qemu.IsHere)
        {
            (count, expected) = (1000, 7919); // A collection walks all stacks: 10 ms for 4,000 of them.
        }
#endif
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> quit = new();
            Chan<int> from = new();
            Chan<int> first = from;
            crew.Go(() =>
            {
                SendCase<int> send = first.SendCase();
                for (send.Value = 2; Select.Wait(quit.ReceiveCase(), send) == 1; send.Value++)
                {
                }
                first.Close();
            });
            int prime = 0;
            for (int i = 0; i < count; i++)
            {
                prime = from.Receive();
                from = Filter(crew, from, prime, quit);
            }
            quit.Close();
            crew.Equal(prime, expected, "the last prime");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Passes on what the prime does not divide, until told to quit.</summary>
    private static Chan<int> Filter(Crew crew, Chan<int> from, int prime, Chan<int> quit)
    {
        Chan<int> to = new();
        crew.Go(() =>
        {
            SendCase<int> send = to.SendCase();
            ReceiveCase<int> stop = quit.ReceiveCase();
            foreach (int n in from)
            {
                send.Value = n;
                if (n % prime != 0 && Select.Wait(send, stop) == 1)
                {
                    break;
                }
            }
            to.Close();
        });
        return to;
    }

    // Go's sieve2: the composites are merged from the multiples of each prime; queues without a limit, made
    // of selects whose cases come and go, keep the circle from standing still.
    [Test]
    [NotOnJit("millions of messages among thousands of threads: minutes")]
    public async Task ASieveOfMergedMultiplesFindsTheSameThousandthPrime()
    {
        const int Primes = 1000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> quit = new();
            Chan<int> composites = new();
            Chan<int> primes = new();
            SendChan<int> toMerger = Proxy(crew, primes, quit);
            crew.Go(() => MergeMultiples(crew, primes, composites, quit));
            ReceiveCase<int> composite = composites.ReceiveCase();
            int candidate = 3;
            int last = 2;
            toMerger.Send(2);
            for (int found = 1; found < Primes;)
            {
                _ = Select.Wait(composite);
                for (; candidate < composite.Value; candidate++)
                {
                    last = candidate;
                    toMerger.Send(candidate);
                    found++;
                    if (found == Primes)
                    {
                        break;
                    }
                }
                candidate = Math.Max(candidate, composite.Value + 1);
            }
            quit.Close();
            crew.Equal(last, 7919, "the 1000th prime");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>A sender that never waits: a queue in between.</summary>
    private static SendChan<int> Proxy(Crew crew, Chan<int> to, Chan<int> quit)
    {
        Chan<int> proxy = new(10);
        crew.Go(() =>
        {
            Queue<int> queue = [];
            ReceiveCase<int> receive = proxy.ReceiveCase();
            ReceiveCase<int> stop = quit.ReceiveCase();
            SendCase<int> send = to.SendCase();
            while (true)
            {
                send.Value = queue.Count > 0 ? queue.Peek() : 0;
                switch (Select.Wait(receive, queue.Count > 0 ? send : null, stop))
                {
                    case 0:
                        queue.Enqueue(receive.Value);
                        break;

                    case 1:
                        _ = queue.Dequeue();
                        break;

                    default:
                        return;
                }
            }
        });
        return proxy;
    }

    private static void MergeMultiples(Crew crew, Chan<int> primes, Chan<int> composites, Chan<int> quit)
    {
        PriorityQueue<Chan<int>, int> sources = new();
        ReceiveCase<int> prime = primes.ReceiveCase();
        ReceiveCase<int> stop = quit.ReceiveCase();
        SendCase<int> send = composites.SendCase();
        int nextSquare = 0;
        while (true)
        {
            // A prime's multiples begin at its square: one more source when the merge gets there.
            while (nextSquare == 0 || (sources.TryPeek(out _, out int head) && head >= nextSquare))
            {
                if (Select.Wait(prime, stop) == 1)
                {
                    return;
                }
                int p = prime.Value;
                Chan<int> multiples = new();
                crew.Go(() =>
                {
                    SendCase<int> multiple = multiples.SendCase();
                    ReceiveCase<int> end = quit.ReceiveCase();
                    for (multiple.Value = p * p; Select.Wait(multiple, end) == 0; multiple.Value += p)
                    {
                    }
                });
                sources.Enqueue(multiples, multiples.Receive());
                nextSquare = (p + 1) * (p + 1);
            }
            sources.TryDequeue(out Chan<int>? source, out int smallest);
            send.Value = smallest;
            if (Select.Wait(send, stop) == 1)
            {
                return;
            }
            ReceiveCase<int> next = source!.ReceiveCase();
            if (Select.Wait(next, stop) == 1)
            {
                return;
            }
            sources.Enqueue(source!, next.Value);
        }
    }
}
