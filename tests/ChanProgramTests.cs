// Programs that use channels for real: none of their answers is right if an element is lost, doubled or
// out of turn.

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ChanProgramTests(int procs)
{
    private const int Senders = 4;
    private const int Each = 1000;

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    [Arguments(10)]
    [Arguments(200)]
    public async Task FourTimesAThousandElementsOfWhichNoneIsLostOrDoubled(int capacity)
    {
        string? failure = Crew.Run(procs, crew => Exchange(crew, capacity, _ => false));

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(10)]
    public async Task TheSameWithEverySecondOneAThread(int capacity)
    {
        string? failure = Crew.Run(procs, crew => Exchange(crew, capacity, i => i % 2 == 0));

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(10)]
    public async Task TheSameWhileProcessorsComeAndGo(int capacity)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            WaitGroup changer = new();
            changer.Add();
            crew.Go(() =>
            {
                for (int i = 0; !Volatile.Read(ref stop); i++)
                {
                    Go.MaxProcs = 1 + (i % 4);
                    Go.Yield();
                }
                changer.Done();
            });
            Exchange(crew, capacity, i => i == 3);
            Volatile.Write(ref stop, true);
            changer.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [NotOnJit("ten thousand threads take a minute")]
    public async Task ADaisyChainOfTenThousandGoroutinesPassesANumberOn()
    {
        const int Links = 10_000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> first = new();
            Chan<int> right = first;
            for (int i = 0; i < Links; i++)
            {
                Chan<int> to = right;
                Chan<int> from = new();
                crew.Go(() => to.Send(1 + from.Receive()));
                right = from;
            }
            Chan<int> last = right;
            crew.Go(() => last.Send(0));
            crew.Equal(first.Receive(), Links, "the number at the end");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task APrimeSieveFindsTheFiveHundredthPrime()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> numbers = new();
            crew.Go(() =>
            {
                for (int n = 2; n <= 3571; n++)
                {
                    numbers.Send(n);
                }
                numbers.Close();
            });
            int prime = 0;
            Chan<int> from = numbers;
            for (int i = 0; i < 500; i++)
            {
                prime = from.Receive();
                from = Filter(crew, from, prime);
            }
            crew.Equal(prime, 3571, "the 500th prime");
            crew.Expect(!from.Receive(out int more), $"{more} comes after the last number");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Passes on what the prime does not divide.</summary>
    private static Chan<int> Filter(Crew crew, Chan<int> from, int prime)
    {
        Chan<int> to = new();
        crew.Go(() =>
        {
            foreach (int n in from)
            {
                if (n % prime != 0)
                {
                    to.Send(n);
                }
            }
            to.Close();
        });
        return to;
    }

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    public async Task ATokenGoesRoundARing(int capacity)
    {
        const int Nodes = 100;
        const int Rounds = 200;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int>[] ring = [.. Enumerable.Range(0, Nodes).Select(_ => new Chan<int>(capacity))];
            for (int i = 1; i < Nodes; i++)
            {
                int node = i;
                crew.Go(() =>
                {
                    foreach (int token in ring[node])
                    {
                        ring[(node + 1) % Nodes].Send(token + 1);
                    }
                    if (node < Nodes - 1)
                    {
                        ring[node + 1].Close();
                    }
                });
            }
            int value = 0;
            for (int round = 0; round < Rounds; round++)
            {
                ring[1].Send(value + 1);
                value = ring[0].Receive();
            }
            ring[1].Close();
            crew.Equal(value, Nodes * Rounds, "the token");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task APipelineThatForksAndJoinsKeepsItsElements()
    {
        const int Elements = 5000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> input = new(3);
            Chan<long> output = new(2);
            WaitGroup workers = new();
            for (int i = 0; i < 8; i++)
            {
                workers.Add();
                crew.Go(() =>
                {
                    foreach (int n in input)
                    {
                        output.Send((long)n * n);
                    }
                    workers.Done();
                });
            }
            crew.Go(() =>
            {
                for (int n = 1; n <= Elements; n++)
                {
                    input.Send(n);
                }
                input.Close();
                workers.Wait();
                output.Close();
            });
            long sum = 0;
            int count = 0;
            foreach (long square in output)
            {
                sum += square;
                count++;
            }
            crew.Equal(count, Elements, "the number of squares");
            crew.Equal(sum, (long)Elements * (Elements + 1) * ((2 * Elements) + 1) / 6, "their sum");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Four send and four receive. Each receiver finds the elements of each sender in the order
    /// sent, and together they get each once.</summary>
    private static void Exchange(Crew crew, int capacity, Func<int, bool> isThread)
    {
        Chan<int> chan = new(capacity);
        int[] seen = new int[Senders * Each];
        WaitGroup senders = new();
        WaitGroup receivers = new();
        senders.Add(Senders);
        receivers.Add(Senders);
        for (int i = 0; i < Senders; i++)
        {
            int id = i;
            crew.Start(isThread(id), () =>
            {
                for (int k = 0; k < Each; k++)
                {
                    chan.Send((id * Each) + k);
                }
                senders.Done();
            });
            crew.Start(isThread(id), () =>
            {
                int[] last = [-1, -1, -1, -1];
                foreach (int element in chan)
                {
                    Interlocked.Increment(ref seen[element]);
                    (int sender, int k) = Math.DivRem(element, Each);
                    crew.Expect(k > last[sender], $"{k} after {last[sender]} from sender {sender}");
                    last[sender] = k;
                }
                receivers.Done();
            });
        }
        senders.Wait();
        chan.Close();
        receivers.Wait();
        crew.Expect(seen.All(n => n == 1), "an element is lost or doubled");
    }
}
