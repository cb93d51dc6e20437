// What a pool gives belongs to whoever got it.

using System.Numerics;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class PoolTests(int procs)
{
    private const int Kept = 16;

    [Test]
    public async Task NobodyGetsWhatAnotherHas()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int made = 0;
            Pool<Item> pool = new(() => new Item { Number = Interlocked.Increment(ref made) });
            WaitGroup done = new();
            for (int i = 0; i < 40; i++)
            {
                done.Add();
                crew.Start(i % 20 == 0, () =>
                {
                    for (int round = 0; round < 500; round++)
                    {
                        Item item = pool.Get();
                        crew.Equal(Interlocked.Increment(ref item.Owners), 1, "owners");
                        long seen = item.Uses;
                        if (round % 4 == 0)
                        {
                            Go.Yield();
                        }
                        item.Uses = seen + 1;
                        crew.Equal(Interlocked.Decrement(ref item.Owners), 0, "owners left");
                        pool.Put(item);
                    }
                    done.Done();
                });
            }
            done.Wait();
            crew.Equal(made <= 40 * 500 / 10, true, $"most were used again; {made} made");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatWasPutIsGotAgainWhereverItIs()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Pool<Item> pool = new(() => throw new FormatException());
            Item item = new();
            for (int round = 0; round < 200; round++)
            {
                pool.Put(item);
                WaitGroup done = new();
                Item? got = null;
                done.Add();
                crew.Start(round % 10 == 0, () => // On a thread, or perhaps another processor.
                {
                    got = pool.Get();
                    done.Done();
                });
                done.Wait();
                crew.Equal(ReferenceEquals(got, item), true, "it is the same");
            }
            crew.Throws<FormatException>(() => pool.Get(), "it is empty");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatHasNoRoomIsLeftToTheCollector()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            const int count = 1000;
            int made = 0;
            Pool<Item> pool = new(() =>
            {
                made++;
                return new Item();
            });
            for (int i = 0; i < count; i++)
            {
                pool.Put(new Item());
            }
            for (int i = 0; i < count; i++)
            {
                _ = pool.Get();
            }
            uint processors = (uint)Math.Max(procs, Environment.ProcessorCount);
            int most = Kept * (int)BitOperations.RoundUpToPowerOf2(processors);
            crew.Equal(made >= count - most && made <= count - Kept, true, $"kept {count - made}");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task NullIsRefused()
    {
        await Assert.That(() => new Pool<Item>(null!)).Throws<ArgumentNullException>();
        await Assert.That(() => new Pool<Item>(() => new Item()).Put(null!)).Throws<ArgumentNullException>();
    }

    private sealed class Item
    {
        internal int Owners;
        internal long Uses;

        internal int Number { get; init; }
    }
}
