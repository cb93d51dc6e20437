// What a channel promises: when it blocks, in which order it serves, what closing does. The list is that
// of Go's runtime/chan_test.go (TestChan) and test/chan; the programs are our own.

using System.Collections;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ChanTests(int procs)
{
    private const int LargestCapacity = 200;

    [Test]
    public async Task CapacityAndCountSayWhatFitsAndWhatIsThere()
    {
        string? failure = Crew.Run(procs, crew => ForEachCapacity(capacity =>
        {
            Chan<int> chan = new(capacity);
            crew.Equal(chan.Capacity, capacity, "the capacity");
            for (int i = 0; i < capacity; i++)
            {
                crew.Equal(chan.Count, i, "the count while filling");
                chan.Send(i);
            }
            for (int i = 0; i < capacity; i++)
            {
                crew.Equal(chan.Count, capacity - i, "the count while draining");
                crew.Equal(chan.Receive(), i, "an element");
            }
            crew.Equal(chan.Count, 0, "the count at the end");
        }));

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ANegativeCapacityIsRefused()
    {
        await Assert.That(() => new Chan<int>(-1)).Throws<ArgumentOutOfRangeException>();
        await Assert.That(() => new Chan<string>(int.MinValue)).Throws<ArgumentOutOfRangeException>();
    }

    [Test]
    public async Task ReceivingFromAnEmptyChannelWaits()
    {
        string? failure = Crew.Run(procs, crew => ForEachCapacity(capacity =>
        {
            Chan<int> chan = new(capacity);
            int received = 0;
            int sum = 0;
            WaitGroup done = new();
            done.Add(2);
            crew.GoAndPark(ParkReason.ChanReceive, () =>
            {
                Interlocked.Add(ref sum, chan.Receive());
                Interlocked.Increment(ref received);
                done.Done();
            });
            crew.GoAndPark(ParkReason.ChanReceive, () =>
            {
                crew.Expect(chan.Receive(out int value), "closed?");
                Interlocked.Add(ref sum, value);
                Interlocked.Increment(ref received);
                done.Done();
            });
            Crew.LetOthersRun();
            crew.Equal(Volatile.Read(ref received), 0, "received from an empty channel");
            chan.Send(1);
            crew.Until(() => Volatile.Read(ref received) == 1, "the first receiver");
            Crew.LetOthersRun();
            crew.Equal(Volatile.Read(ref received), 1, "received from an empty channel again");
            chan.Send(2);
            done.Wait();
            crew.Equal(sum, 3, "the sum of what was received");
        }));

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task SendingToAFullChannelWaits()
    {
        string? failure = Crew.Run(procs, crew => ForEachCapacity(capacity =>
        {
            Chan<int> chan = new(capacity);
            Fill(chan, 0);
            bool sent = false;
            WaitGroup done = new();
            done.Add();
            crew.GoAndPark(ParkReason.ChanSend, () =>
            {
                chan.Send(capacity);
                Volatile.Write(ref sent, true);
                done.Done();
            });
            Crew.LetOthersRun();
            crew.Expect(!Volatile.Read(ref sent), "sent to a full channel");
            crew.Equal(chan.Count, capacity, "the count of the full channel");
            crew.Equal(chan.Receive(), 0, "the first element");
            done.Wait();
            crew.Equal(chan.Count, capacity, "the waiting element took the place that became free");
            for (int i = 1; i <= capacity; i++)
            {
                crew.Equal(chan.Receive(), i, "an element behind it");
            }
        }));

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(LargestCapacity)]
    public async Task ElementsArriveInTheOrderSent(int capacity)
    {
        const int Elements = 5000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            crew.Go(() =>
            {
                for (int i = 0; i < Elements; i++)
                {
                    chan.Send(i);
                    if (i % 13 == 0)
                    {
                        Go.Yield();
                    }
                }
            });
            for (int i = 0; i < Elements; i++)
            {
                crew.Equal(chan.Receive(), i, "an element");
                if (i % 17 == 0)
                {
                    Go.Yield();
                }
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task ReceiversAreServedInTheOrderOfArrival(int capacity)
    {
        const int Receivers = 100;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            WaitGroup done = new();
            done.Add(Receivers);
            for (int i = 0; i < Receivers; i++)
            {
                int turn = i;
                crew.GoAndPark(ParkReason.ChanReceive, () =>
                {
                    crew.Equal(chan.Receive(), turn, "what a receiver got");
                    done.Done();
                });
            }
            for (int i = 0; i < Receivers; i++)
            {
                chan.Send(i);
            }
            done.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task SendersAreServedInTheOrderOfArrival(int capacity)
    {
        const int Senders = 100;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            Fill(chan, 0);
            for (int i = 0; i < Senders; i++)
            {
                int element = capacity + i;
                crew.GoAndPark(ParkReason.ChanSend, () => chan.Send(element));
            }
            for (int i = 0; i < capacity + Senders; i++)
            {
                crew.Equal(chan.Receive(), i, "an element");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AClosedChannelIsDrainedAndThenGivesTheDefault()
    {
        string? failure = Crew.Run(procs, crew => ForEachCapacity(capacity =>
        {
            Chan<string> chan = new(capacity);
            Fill(chan, "element");
            chan.Close();
            for (int i = 0; i < capacity; i++)
            {
                crew.Equal(chan.Count, capacity - i, "the count of a closed channel");
                crew.Expect(chan.Receive(out string value), "an element of a closed channel is lost");
                crew.Equal(value, "element", "an element");
            }
            for (int i = 0; i < 3; i++)
            {
                string value = "before";
                crew.Expect(!chan.Receive(out value), "received from a drained channel");
                crew.Equal(value, null, "the value from a drained channel");
                crew.Equal(chan.Receive(), null, "the value of the other form");
            }
        }));

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ClosingWakesEveryReceiver()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<string> chan = new();
            int woken = 0;
            void Receive()
            {
                string value = "before";
                crew.Expect(!chan.Receive(out value), "a woken receiver got an element");
                crew.Equal(value, null, "the value of a woken receiver");
                Interlocked.Increment(ref woken);
            }
            for (int i = 0; i < 3; i++)
            {
                crew.Thread(Receive);
            }
            for (int i = 0; i < 100; i++)
            {
                crew.GoAndPark(ParkReason.ChanReceive, Receive);
            }
            crew.Equal(Volatile.Read(ref woken), 0, "woken before the close");
            chan.Close();
            crew.Until(() => Volatile.Read(ref woken) == 103, "all receivers");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(5)]
    public async Task ClosingMakesWaitingSendersFailAndKeepsWhatIsBuffered(int capacity)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            Fill(chan, 7);
            int failed = 0;
            void Send()
            {
                crew.Throws<ChannelClosedException>(() => chan.Send(1), "a waiting sender");
                Interlocked.Increment(ref failed);
            }
            for (int i = 0; i < 3; i++)
            {
                crew.Thread(Send);
            }
            for (int i = 0; i < 100; i++)
            {
                crew.GoAndPark(ParkReason.ChanSend, Send);
            }
            chan.Close();
            crew.Until(() => Volatile.Read(ref failed) == 103, "all senders");
            for (int i = 0; i < capacity; i++)
            {
                crew.Expect(chan.Receive(out int value), "a buffered element is lost");
                crew.Equal(value, 7, "a buffered element");
            }
            crew.Expect(!chan.Receive(out _), "an element that was not sent is there");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task ClosingTwiceAndSendingAfterwardsFailAndChangeNothing(int capacity)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            Fill(chan, 1);
            chan.Close();
            for (int i = 0; i < 3; i++)
            {
                crew.Throws<ChannelClosedException>(chan.Close, "close of a closed channel");
                crew.Throws<ChannelClosedException>(() => chan.Send(2), "send on a closed channel");
            }
            crew.Equal(chan.Count, capacity, "the count");
            List<int> rest = chan.ToList();
            crew.Equal(rest.Count, capacity, "the number of elements left");
            crew.Expect(rest.All(n => n == 1), "another element is in the closed channel");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(10)]
    public async Task SeveralMayEnumerateAndEachElementGoesToOne(int capacity)
    {
        const int Elements = 1000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            int[] seen = new int[Elements];
            WaitGroup done = new();
            done.Add(4);
            for (int i = 0; i < 4; i++)
            {
                crew.Go(() =>
                {
                    int last = -1;
                    foreach (int n in chan)
                    {
                        Interlocked.Increment(ref seen[n]);
                        crew.Expect(n > last, $"{n} after {last}");
                        last = n;
                    }
                    done.Done();
                });
            }
            for (int i = 0; i < Elements; i++)
            {
                chan.Send(i);
            }
            chan.Close();
            done.Wait();
            crew.Expect(seen.All(n => n == 1), "an element is lost or doubled");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AnEnumerationThatIsLeftKeepsTheRestInTheChannel()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(4);
            Fill(chan, 5);
            foreach (int n in chan)
            {
                crew.Equal(n, 5, "an element");
                break;
            }
            crew.Equal(chan.Count, 3, "the count after one");
            IEnumerator untyped = ((IEnumerable)chan).GetEnumerator();
            crew.Expect(untyped.MoveNext(), "nothing in the channel");
            crew.Equal(untyped.Current, 5, "an element without a type");
            crew.Throws<NotSupportedException>(untyped.Reset, "reset");
            chan.Close();
            crew.Equal(chan.Select(n => n).ToArray().Length, 2, "the elements that LINQ finds");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(3)]
    public async Task ACollectionExpressionTakesAllUntilTheClose(int capacity)
    {
        const int Elements = 20;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> chan = new(capacity);
            crew.Go(() =>
            {
                for (int i = 0; i < Elements; i++)
                {
                    chan.Send(i);
                }
                chan.Close();
            });
            Crew.LetOthersRun();
            try
            {
                int[] all = [.. chan];
                crew.Expect(all.SequenceEqual(Enumerable.Range(0, Elements)), $"took {all.Length} elements");
            }
            finally
            {
                _ = chan.Sum(); // What is left, so that the sender ends.
            }
        });

        await Assert.That(failure).IsNull();
    }

    private static void ForEachCapacity(Action<int> action)
    {
        for (int capacity = 0; capacity <= LargestCapacity; capacity++)
        {
            action(capacity);
        }
    }

    /// <summary>Fills the channel with the element, or, if that is 0, with 0, 1, 2 and so on.</summary>
    private static void Fill<T>(Chan<T> chan, T element)
    {
        for (int i = 0; i < chan.Capacity; i++)
        {
            chan.Send(element is 0 ? (T)(object)i : element);
        }
    }
}
