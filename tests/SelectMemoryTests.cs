// Selects, stacks and the collector: the elements lie in objects that move, their waiters in memory that
// does not, and the goroutine's stack in between. The collections here are compacting ones.

using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class SelectMemoryTests(int procs)
{
    private sealed record Payload(string Text, int[] Numbers)
    {
        internal static Payload Of(int n) => new($"payload {n}", [n, n + 1, n + 2]);

        internal bool Is(int n) => Text == $"payload {n}" && Numbers is [int a, _, int c] && a == n && c == n + 2;
    }

    // Go's TestSelectStackAdjust. The first page ends at another instruction of the select for each depth.
    [Test]
    [Arguments(2)]
    [Arguments(8)]
    [Arguments(9)]
    [NotOnJit("stacks of threads do not move")]
    public async Task AStackMayMoveAnywhereInsideASelect(int cases)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            long before = StackGrowth.Growths;
            for (int depth = 0; depth < 30; depth++)
            {
                for (int padding = 0; padding < 8; padding++)
                {
                    Chan<Payload> there = new();
                    Chan<(Payload, int)> back = new();
                    int levels = depth;
                    int words = padding;
                    crew.Go(() => DescendAndSelect(crew, levels, words, cases, there, back));
                    there.Send(Payload.Of(depth));
                    (Payload payload, int n) = back.Receive();
                    crew.Expect(payload.Is(depth), $"{payload.Text} came back at depth {depth}");
                    crew.Equal(n, depth, "the number");
                }
            }
            crew.Expect(StackGrowth.Growths > before, "no stack has moved: the test shows nothing");
        });

        await Assert.That(failure).IsNull();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int DescendAndSelect(
        Crew crew, int levels, int words, int count, Chan<Payload> there, Chan<(Payload, int)> back)
    {
        if (levels > 0)
        {
            return 1 + DescendAndSelect(crew, levels - 1, words, count, there, back);
        }
        Span<nint> padding = stackalloc nint[words];
        padding.Clear();
        SelectCase?[] cases = new SelectCase?[count];
        ReceiveCase<Payload> receive = there.ReceiveCase();
        for (int i = 0; i < count - 1; i++)
        {
            cases[i] = i % 2 == 0 ? new Chan<int>().ReceiveCase() : new Chan<Payload>().SendCase(Payload.Of(0));
        }
        cases[count - 1] = receive;
        crew.Equal(Select.Wait(cases), count - 1, "the case");
        crew.Equal(
            Select.Wait(cases[0], back.SendCase((receive.Value, receive.Value.Numbers[0]))), 1, "the answer");
        return padding.Length;
    }

    // As Go's TestShrinkStackDuringBlockedSend: stacks that have been large wait while memory is reclaimed.
    [Test]
    public async Task StacksThatWereDeepWaitThroughCollections()
    {
        const int Goroutines = 40;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<Payload> chan = new();
            Chan<int> never = new();
            WaitGroup done = new();
            done.Add(Goroutines);
            for (int i = 0; i < Goroutines; i++)
            {
                int n = i;
                bool selects = n % 2 == 0;
                crew.GoAndPark(selects ? ParkReason.Select : ParkReason.ChanSend, () =>
                {
                    crew.Equal(Recurse(50 + (n * 20)), 0, "the first sum");
                    if (selects)
                    {
                        crew.Equal(Select.Wait(never.ReceiveCase(), chan.SendCase(Payload.Of(n))), 1, "case");
                    }
                    else
                    {
                        chan.Send(Payload.Of(n));
                    }
                    crew.Equal(Recurse(100 + (n * 20)), 0, "the second sum");
                    done.Done();
                });
            }
            for (int i = 0; i < Goroutines; i++)
            {
                if (i % 4 == 0)
                {
                    Collect();
                }
                crew.Expect(chan.Receive().Is(i), $"the element of sender {i}");
            }
            done.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatIsExchangedWithParkedSelectsIsAliveAndRight()
    {
        const int Selectors = 30;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 4; round++)
            {
                Chan<Payload> a = new();
                Chan<(int, Payload)> b = new();
                Chan<Payload> answers = new();
                WaitGroup done = new();
                done.Add(Selectors);
                for (int i = 0; i < Selectors; i++)
                {
                    int n = i;
                    crew.GoAndPark(ParkReason.Select, () =>
                    {
                        ReceiveCase<Payload> first = a.ReceiveCase();
                        ReceiveCase<(int, Payload)> second = b.ReceiveCase();
                        int k = Select.Wait(second, first);
                        Go.Yield();
                        crew.Expect(
                            k == n % 2 && (k == 1 ? first.Value : second.Value.Item2).Is(n), $"element {n}");
                        SendCase<Payload> send = answers.SendCase(Payload.Of(-n));
                        crew.Equal(Select.Wait(a.ReceiveCase(), send), 1, "the answer");
                        done.Done();
                    });
                }
                for (int i = 0; i < Selectors; i++)
                {
                    if (i % 2 == 0)
                    {
                        b.Send((i, Payload.Of(i)));
                    }
                    else
                    {
                        a.Send(Payload.Of(i));
                    }
                    if (i % 7 == 0)
                    {
                        Collect();
                    }
                }
                Collect();
                HashSet<int> got = [];
                for (int i = 0; i < Selectors; i++)
                {
                    Payload answer = answers.Receive();
                    crew.Expect(answer.Is(answer.Numbers[0]), $"{answer.Text} is not what was sent");
                    got.Add(answer.Numbers[0]);
                }
                crew.Equal(got.Count, Selectors, "different answers");
                done.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    // Everything at once: selects both ways, several channels, closes that race with them, collections.
    [Test]
    [Arguments(0)]
    [Arguments(2)]
    public async Task NothingIsLostWhileChannelsAreClosedAndTheCollectorRuns(int capacity)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            crew.CollectUntil(() => Volatile.Read(ref stop));
            for (int round = 0; round < 25 && !crew.Failed; round++)
            {
                CloseRace(crew, round, capacity);
            }
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    private static void CloseRace(Crew crew, int round, int capacity)
    {
        const int Workers = 4;
        Chan<Payload>[] chans = [new(capacity), new(capacity), new(capacity)];
        long sent = 0;
        long received = 0;
        WaitGroup senders = new();
        WaitGroup receivers = new();
        senders.Add(Workers);
        receivers.Add(Workers);
        for (int i = 0; i < Workers; i++)
        {
            int id = i;
            crew.Start(id == 0, () =>
            {
                SendCase<Payload>[] sends = [.. chans.Select(c => c.SendCase())];
                try
                {
                    for (int n = 1; ; n++)
                    {
                        foreach (SendCase<Payload> send in sends)
                        {
                            send.Value = Payload.Of(n);
                        }
                        _ = Select.Wait(sends[0], sends[1], sends[2]);
                        Interlocked.Add(ref sent, n);
                    }
                }
                catch (ChannelClosedException)
                {
                    senders.Done();
                }
            });
            crew.Start(id == 1, () =>
            {
                ReceiveCase<Payload>?[] receives = [.. chans.Select(c => c.ReceiveCase())];
                for (int open = receives.Length; open > 0;)
                {
                    int k = Select.Wait(receives);
                    ReceiveCase<Payload> receive = receives[k]!;
                    if (!receive.Ok)
                    {
                        receives[k] = null;
                        open--;
                        continue;
                    }
                    int n = receive.Value.Numbers[0];
                    crew.Expect(receive.Value.Is(n), $"{receive.Value.Text} with {n}");
                    Interlocked.Add(ref received, n);
                }
                receivers.Done();
            });
        }
        for (int i = 0; i < 20 + (round * 3); i++)
        {
            Go.Yield();
        }
        for (int i = 0; i < chans.Length; i++)
        {
            chans[(round + i) % chans.Length].Close();
            Go.Yield();
        }
        senders.Wait();
        receivers.Wait();
        crew.Equal(Volatile.Read(ref received), Volatile.Read(ref sent), "the sum of what was received");
    }

    [Test]
    [Arguments(1)]
    [Arguments(8)]
    public async Task ASelectThatIsReusedAllocatesNothing(int count)
    {
        const int Rounds = 2000;
        string? failure = Crew.Run(1, crew =>
        {
            Chan<string>[] chans = [.. Enumerable.Range(0, count).Select(_ => new Chan<string>())];
            crew.Go(() =>
            {
                ReceiveCase<string>[] receives = [.. chans.Select(c => c.ReceiveCase())];
                SelectCase[] cases = [.. receives];
                while (receives[Select.Wait(cases)].Ok)
                {
                }
            });
            SendCase<string>[] sends = [.. chans.Select(c => c.SendCase("element"))];
            SelectCase[] all = [.. sends];
            // The least of several: other threads of the process may allocate meanwhile.
            long allocated = long.MaxValue;
            for (int round = 0; round < 10 && allocated >= Rounds; round++)
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                for (int i = 0; i < Rounds; i++)
                {
                    crew.Expect(Select.Wait(all) >= 0, "no case");
                    _ = Select.TryWait(all);
                    _ = Select.Wait(sends[0], null);
                }
                allocated = Math.Min(allocated, GC.GetTotalAllocatedBytes(precise: true) - before);
            }
            chans[0].Close();
            crew.Expect(allocated < Rounds, $"{allocated} bytes in {Rounds} rounds");
        });

        await Assert.That(failure).IsNull();
    }

    // Go's select2; with nine cases the waiters come from the system.
    [Test]
    public async Task ManySelectsDoNotGrowMemory()
    {
        const int Rounds = 10_000;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> there = new();
            Chan<int>[] idle = [.. Enumerable.Range(0, 60).Select(_ => new Chan<int>())];
            crew.Go(() =>
            {
                ReceiveCase<int> receive = there.ReceiveCase();
                SelectCase[] cases = [.. idle.Select(c => c.ReceiveCase()), receive];
                do
                {
                    _ = Select.Wait(cases);
                }
                while (receive.Ok);
            });
            void Send()
            {
                for (int i = 0; i < Rounds; i++)
                {
                    there.Send(i);
                }
            }
            Send();
            long before = GC.GetTotalMemory(forceFullCollection: true);
            long resident = Environment.WorkingSet;
            long managed = long.MaxValue;
            for (int i = 0; i < 4; i++)
            {
                Send();
                // The least of the steps: a leak grows in each, what an old word keeps alive in one.
                long after = GC.GetTotalMemory(forceFullCollection: true);
                managed = Math.Min(managed, after - before);
                before = after;
            }
            resident = Environment.WorkingSet - resident;
            there.Close();
            crew.Expect(managed < 100_000, $"{managed} bytes of the heap more");
            crew.Expect(resident < 30_000_000, $"{resident} resident bytes more; {4 * Rounds * 61L * 64} used");
        });

        await Assert.That(failure).IsNull();
    }

    private static void Collect() =>
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Recurse(int depth)
    {
        Span<int> own = stackalloc int[64];
        own[depth % 64] = depth;
        int below = depth == 0 ? 0 : Recurse(depth - 1);
        return below + own[depth % 64] - depth;
    }
}
