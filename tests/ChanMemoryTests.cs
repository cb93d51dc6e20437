// Channels, stacks and the collector: an element lies in a slot of a stack that waits, in the buffer, or
// in a stack that moves. The collections here are compacting ones: what they forget is overwritten.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ChanMemoryTests(int procs)
{
    private sealed record Payload(string Text, int[] Numbers)
    {
        internal static Payload Of(int n) =>
            new($"payload {n}", [.. Enumerable.Range(n, 10)]);

        internal bool Is(int n) => Text == $"payload {n}" && Numbers.SequenceEqual(Enumerable.Range(n, 10));
    }

    [Test]
    public async Task ReceiversThatWaitGetLiveObjects()
    {
        const int Receivers = 50;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 5; round++)
            {
                Chan<Payload> chan = new();
                WaitGroup done = new();
                done.Add(Receivers);
                for (int i = 0; i < Receivers; i++)
                {
                    int n = i;
                    crew.GoAndPark(ParkReason.ChanReceive, () =>
                    {
                        Payload payload = chan.Receive();
                        Go.Yield();
                        crew.Expect(payload.Is(n), $"receiver {n} got {payload.Text}");
                        done.Done();
                    });
                }
                for (int i = 0; i < Receivers; i++)
                {
                    chan.Send(Payload.Of(i));
                    if (i % 10 == 0)
                    {
                        Collect();
                    }
                }
                Collect();
                done.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(20)]
    public async Task WhatWaitsInAChannelSurvivesCollections(int capacity)
    {
        const int Senders = 50;
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<(Payload, int, Payload)> chan = new(capacity);
            for (int i = 0; i < capacity; i++)
            {
                chan.Send((Payload.Of(i), i, Payload.Of(-i)));
            }
            for (int i = 0; i < Senders; i++)
            {
                int n = capacity + i;
                crew.GoAndPark(ParkReason.ChanSend, () => chan.Send((Payload.Of(n), n, Payload.Of(-n))));
            }
            Collect();
            for (int i = 0; i < capacity + Senders; i++)
            {
                (Payload first, int n, Payload second) = chan.Receive();
                crew.Equal(n, i, "the number");
                crew.Expect(first.Is(n) && second.Is(-n), $"{first.Text} and {second.Text} came with {n}");
                if (i % 10 == 0)
                {
                    Collect();
                }
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(0)]
    [Arguments(5)]
    public async Task ThreadsAndGoroutinesExchangeObjectsWhileTheCollectorRuns(int capacity)
    {
        const int Pairs = 3;
        const int Elements = 300;
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            WaitGroup working = new();
            crew.CollectUntil(() => Volatile.Read(ref stop));
            for (int i = 0; i < 2 * Pairs; i++)
            {
                bool threadSends = i % 2 == 0;
                Chan<Payload> chan = new(capacity);
                working.Add(2);
                crew.Start(threadSends, () =>
                {
                    for (int n = 0; n < Elements; n++)
                    {
                        chan.Send(Payload.Of(n));
                    }
                    chan.Close();
                    working.Done();
                });
                crew.Start(!threadSends, () =>
                {
                    int n = 0;
                    foreach (Payload payload in chan)
                    {
                        crew.Expect(payload.Is(n), $"{payload.Text} instead of {n}");
                        n++;
                    }
                    crew.Equal(n, Elements, "the number of elements");
                    working.Done();
                });
            }
            working.Wait();
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AStackThatMovesBetweenOperationsReceivesAtItsNewPlace()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> there = new();
            Chan<string> back = new();
            crew.Go(() =>
            {
                Span<int> slots = stackalloc int[40];
                for (int i = 0; i < 40; i++)
                {
                    // Both the slot of the caller and that of the channel lie on the stack that moves.
                    crew.Expect(there.Receive(out slots[i]), "closed?");
                    Recurse(10 * (i + 1), slots);
                    crew.Equal(slots[i], 100 + i, "a local after the stack has moved");
                    back.Send($"got {slots[i]}");
                }
                for (int i = 0; i < 40; i++)
                {
                    crew.Equal(slots[i], 100 + i, "a local at the end");
                }
            });
            for (int i = 0; i < 40; i++)
            {
                there.Send(100 + i);
                crew.Equal(back.Receive(), $"got {100 + i}", "the answer");
            }
        });

        await Assert.That(failure).IsNull();
    }

    // The first page of a stack ends at another instruction of Send, Receive or Park for each depth.
    [Test]
    [NotOnJit("stacks of threads do not move")]
    public async Task AStackMayMoveAnywhereInsideAnOperation()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            long before = StackGrowth.Growths;
            for (int depth = 0; depth < 40; depth++)
            {
                for (int padding = 0; padding < 8; padding++)
                {
                    Chan<Payload> there = new();
                    Chan<(Payload, int)> back = new();
                    int levels = depth;
                    int words = padding;
                    crew.Go(() => DescendAndAnswer(levels, words, there, back));
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
    private static int DescendAndAnswer(
        int levels, int words, Chan<Payload> there, Chan<(Payload, int)> back)
    {
        if (levels > 0)
        {
            return 1 + DescendAndAnswer(levels - 1, words, there, back);
        }
        Span<nint> padding = stackalloc nint[words];
        padding.Clear();
        Payload payload = there.Receive();
        back.Send((payload, payload.Numbers[0]));
        return padding.Length;
    }

    // No goroutine here: their stacks are scanned for anything that looks like an object.
    [Test]
    public async Task AChannelForgetsWhatWasReceived()
    {
        Chan<Payload> chan = new(100);
        List<WeakReference> sent = SendAndReceive(chan);
        Collect();
        int alive = sent.Count(reference => reference.IsAlive);
        GC.KeepAlive(chan);

        await Assert.That(alive).IsEqualTo(0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static List<WeakReference> SendAndReceive(Chan<Payload> chan)
    {
        List<WeakReference> sent = [];
        for (int i = 0; i < 100; i++)
        {
            Payload payload = Payload.Of(i);
            sent.Add(new WeakReference(payload));
            chan.Send(payload);
        }
        for (int i = 0; i < 100; i++)
        {
            _ = chan.Receive();
        }
        return sent;
    }

    [Test]
    public async Task AThreadMayWaitBeforeThereIsAnyGoroutine()
    {
        ChildResult child = ChildProcess.Run("threads-only", timeout: TimeSpan.FromSeconds(20));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    internal static int ThreadsOnly(string[] args)
    {
        Chan<string> chan = new();
        Thread sender = new(() => chan.Send("hello"));
        sender.Start();
        return chan.Receive() == "hello" && Go.Count == 0 ? 0 : 1;
    }

    private static void Collect() =>
        GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: true);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Recurse(int depth, Span<int> slots)
    {
        Span<int> own = stackalloc int[64];
        own[depth % 64] = depth;
        int below = depth == 0 ? 0 : Recurse(depth - 1, slots);
        return below + own[depth % 64] + slots[0];
    }
}
