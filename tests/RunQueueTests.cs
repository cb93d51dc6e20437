// The ring of runnable goroutines, with goroutines that are only numbers: queues never look into them, but
// for TakeHalf, which links them. A number is a place in a block of memory, eight bytes each.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class RunQueueTests
{
    private const uint Size = Layout.RunQueueSize;

    /// <summary>Queues and goroutines of one test, in memory that does not move.</summary>
    // Since when the oldest of the fresh ones has waited for its turn: it is due, or is not.
    private const long Long = long.MinValue / 2;
    private const long Never = long.MaxValue / 2;

    private sealed unsafe class Ground : IDisposable
    {
        private readonly RunQueue* _queues;
        private readonly nint* _slots;
        private readonly byte* _goroutines;
        private readonly int[] _taken;

        internal Ground(int queues, int goroutines, uint start = 0)
        {
            _queues = (RunQueue*)NativeMemory.AlignedAlloc(
                (nuint)(queues * sizeof(RunQueue)), Layout.CacheLine);
            NativeMemory.Clear(_queues, (nuint)(queues * sizeof(RunQueue)));
            _slots = (nint*)NativeMemory.AllocZeroed((nuint)queues * 2 * Size, (nuint)sizeof(nint));
            for (int i = 0; i < queues; i++)
            {
                _queues[i].Initialize((Goroutine**)(_slots + (i * 2 * Size)));
                OldestSince(ref _queues[i]) = Never;
                Head(ref _queues[i]) = start;
                Tail(ref _queues[i]) = start;
            }
            _goroutines = (byte*)NativeMemory.AllocZeroed((nuint)((goroutines * 8) + sizeof(Goroutine)));
            _taken = new int[goroutines];
        }

        internal RunQueue* Queue(int index) => &_queues[index];

        internal Goroutine* Make(int number) => (Goroutine*)(_goroutines + (8 * number));

        internal int Number(Goroutine* g) => g == null ? -1 : (int)((byte*)g - _goroutines) / 8;

        internal void Take(Goroutine* g) => Interlocked.Increment(ref _taken[Number(g)]);

        /// <summary>What was not taken exactly once.</summary>
        internal string? Wrong()
        {
            int lost = _taken.Count(n => n == 0);
            int doubled = _taken.Count(n => n > 1);
            return lost + doubled == 0 ? null : $"{lost} lost, {doubled} doubled of {_taken.Length}";
        }

        public void Dispose()
        {
            NativeMemory.AlignedFree(_queues);
            NativeMemory.Free(_slots);
            NativeMemory.Free(_goroutines);
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_head")]
    private static extern ref uint Head(ref RunQueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_oldestSince")]
    private static extern ref long OldestSince(ref RunQueue queue);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_tail")]
    private static extern ref uint Tail(ref RunQueue queue);

    [Test]
    [Arguments(false, 0u)]
    [Arguments(true, 0u)]
    [Arguments(false, uint.MaxValue - 2)]
    [Arguments(true, uint.MaxValue - 2)]
    public async Task TheRingIsFirstInFirstOutAndNextComesBeforeIt(bool exclusive, uint start)
    {
        List<string> wrong = [];
        Fill();
        await Assert.That(string.Join(", ", wrong)).IsEqualTo("");

        unsafe void Fill()
        {
            using Ground ground = new(1, (int)Size + 3, start);
            RunQueue* queue = ground.Queue(0);
            queue->Exclusive = exclusive;
            for (int round = 0; round < 5; round++)
            {
                Equal(queue->IsEmpty, true, "empty at first");
                Equal(queue->Pop() == null, true, "nothing to pop");
                for (int i = 0; i < Size; i++)
                {
                    Equal(queue->TryPush(ground.Make(i)), true, "push");
                    Equal(queue->Count, (uint)i + 1, "count");
                }
                Equal(queue->TryPush(ground.Make(0)), false, "push to a full ring");
                Equal(queue->HasNext, false, "no next yet");
                Equal(queue->ExchangeNext(ground.Make((int)Size)) == null, true, "no next before");
                Goroutine* displaced = queue->ExchangeNext(ground.Make((int)Size + 1));
                Equal(ground.Number(displaced), (int)Size, "the next that is displaced");
                Equal(queue->HasNext, true, "next");
                Equal(queue->IsEmpty, false, "not empty");
                Equal(ground.Number(queue->Pop()), (int)Size + 1, "next is popped first");
                for (int i = 0; i < Size; i++)
                {
                    Equal(ground.Number(queue->Pop()), i, "then the ring");
                    // One goes round, so that the next round starts elsewhere in the ring.
                    Equal(i > 0 || queue->TryPush(ground.Make((int)Size + 2)), true, "push after pop");
                }
                Equal(ground.Number(queue->Pop()), (int)Size + 2, "the one pushed meanwhile");
            }
        }

        void Equal<T>(T actual, T expected, string what)
        {
            if (!EqualityComparer<T>.Default.Equals(actual, expected))
            {
                wrong.Add($"{what}: {actual} instead of {expected}");
            }
        }
    }

    [Test]
    public async Task AThiefTakesTheOlderHalfRoundedUpAndRunsTheLastOfIt()
    {
        await Assert.That(Steal()).IsNull();

        static unsafe string? Steal()
        {
            for (int available = 0; available <= Size; available++)
            {
                using Ground ground = new(2, (int)Size + 1, uint.MaxValue - 1);
                RunQueue* victim = ground.Queue(0);
                RunQueue* thief = ground.Queue(1);
                for (int i = 0; i < available; i++)
                {
                    _ = victim->TryPush(ground.Make(i));
                }
                _ = victim->ExchangeNext(ground.Make((int)Size));
                int half = (available + 1) / 2;
                Goroutine* g = thief->StealFrom(victim, takeNext: false);
                if (ground.Number(g) != half - 1)
                {
                    return $"of {available} the thief runs number {ground.Number(g)}";
                }
                for (int i = 0; i < half - 1; i++)
                {
                    if (ground.Number(thief->Pop()) != i)
                    {
                        return $"of {available} the thief's {i}th is another";
                    }
                }
                if (!thief->IsEmpty || victim->Count != available - half || !victim->HasNext)
                {
                    return $"of {available} the victim has {victim->Count} left";
                }
            }
            return null;
        }
    }

    [Test]
    public async Task NextIsStolenOnlyWhenItIsAskedForAndAlone()
    {
        await Assert.That(Steal()).IsEqualTo("null 2 3 null");

        static unsafe string Steal()
        {
            using Ground ground = new(2, 4);
            RunQueue* victim = ground.Queue(0);
            RunQueue* thief = ground.Queue(1);
            _ = victim->ExchangeNext(ground.Make(3));
            List<int> stolen = [ground.Number(thief->StealFrom(victim, takeNext: false))];
            _ = victim->TryPush(ground.Make(2));
            stolen.Add(ground.Number(thief->StealFrom(victim, takeNext: true)));
            stolen.Add(ground.Number(thief->StealFrom(victim, takeNext: true)));
            stolen.Add(ground.Number(thief->StealFrom(victim, takeNext: true)));
            return string.Join(' ', stolen.Select(n => n < 0 ? "null" : $"{n}"));
        }
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task WhatWasMadeReadyLastIsTheLastChoiceOfPopRingFirst(bool exclusive)
    {
        await Assert.That(Pop(exclusive)).IsEqualTo("0 1 2 null 2 null");

        static unsafe string Pop(bool exclusive)
        {
            using Ground ground = new(1, 3);
            RunQueue* queue = ground.Queue(0);
            queue->Exclusive = exclusive;
            _ = queue->ExchangeNext(ground.Make(2));
            _ = queue->TryPush(ground.Make(0));
            _ = queue->TryPush(ground.Make(1));
            List<int> popped = [];
            for (int i = 0; i < 4; i++)
            {
                popped.Add(ground.Number(queue->PopRingFirst()));
            }
            _ = queue->ExchangeNext(ground.Make(2));
            popped.Add(ground.Number(queue->PopRingFirst()));
            popped.Add(queue->IsEmpty ? -1 : 0);
            return string.Join(' ', popped.Select(n => n < 0 ? "null" : $"{n}"));
        }
    }

    [Test]
    public async Task TakeHalfGivesTheOlderHalfOfAFullRing()
    {
        await Assert.That(Take()).IsNull();

        static unsafe string? Take()
        {
            using Ground ground = new(1, (int)Size, uint.MaxValue - 1);
            RunQueue* queue = ground.Queue(0);
            for (int i = 0; i < Size; i++)
            {
                _ = queue->TryPush(ground.Make(i));
            }
            int count = queue->TakeHalf(out uint first);
            if (count != Size / 2)
            {
                return $"{count} taken";
            }
            int n = 0;
            for (; n < count; n++)
            {
                if (ground.Number(queue->Slots[(first + (uint)n) % Size]) != n)
                {
                    return $"the {n}th of them is another";
                }
            }
            for (; n < Size; n++)
            {
                if (ground.Number(queue->Pop()) != n)
                {
                    return $"number {n} is not left in the ring";
                }
            }
            return queue->IsEmpty ? null : "something is left";
        }
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task FreshOnesGoNewestFirstInTurnWithTheRingAndTheOldestOnceInASlice(bool exclusive)
    {
        // Two rings' worth of numbers: 10 and 11 lie in the ring. Then, at a slice's end, the oldest.
        await Assert.That(Pop(exclusive)).IsEqualTo("3 10 2 11 0 1 null");

        static unsafe string Pop(bool exclusive)
        {
            using Ground ground = new(1, 12);
            RunQueue* queue = ground.Queue(0);
            queue->Exclusive = exclusive;
            for (int i = 0; i < 4; i++)
            {
                _ = queue->TryPushFresh(ground.Make(i));
            }
            _ = queue->TryPush(ground.Make(10));
            _ = queue->TryPush(ground.Make(11));
            List<int> popped = [];
            for (int i = 0; i < 7; i++)
            {
                OldestSince(ref *queue) = i == 4 ? Long : Never;
                popped.Add(ground.Number(queue->Pop()));
            }
            return string.Join(' ', popped.Select(n => n < 0 ? "null" : $"{n}"));
        }
    }

    [Test]
    public async Task AThiefTakesTheOlderHalfOfTheFreshOnesAndAFullStackGivesUpTheSame()
    {
        await Assert.That(Steal()).IsNull();

        static unsafe string? Steal()
        {
            for (int available = 0; available <= Size; available++)
            {
                using Ground ground = new(2, (int)Size + 1);
                RunQueue* victim = ground.Queue(0);
                for (int i = 0; i < available; i++)
                {
                    _ = victim->TryPushFresh(ground.Make(i));
                }
                if (available == Size && victim->TryPushFresh(ground.Make((int)Size)))
                {
                    return "a push where there is no room";
                }
                int half = (available + 1) / 2;
                Goroutine* stolen = ground.Queue(1)->StealFrom(victim, takeNext: false);
                if (ground.Number(stolen) != half - 1)
                {
                    return $"of {available} the thief runs number {ground.Number(stolen)}";
                }
                OldestSince(ref *victim) = Never;
                int left = available - half;
                int count = victim->TakeFreshHalf(out uint first);
                if (count != (left + 1) / 2)
                {
                    return $"of {left} {count} are given up";
                }
                for (int i = 0; i < count; i++)
                {
                    if (ground.Number(victim->FreshSlots[(first + (uint)i) % Size]) != half + i)
                    {
                        return $"of {left} number {i} that is given up is another";
                    }
                }
                for (int i = available - 1; i >= half + count; i--)
                {
                    if (ground.Number(victim->Pop()) != i)
                    {
                        return $"of {available} number {i} is not next";
                    }
                }
                if (!victim->IsEmpty)
                {
                    return $"of {available} something is left";
                }
            }
            return null;
        }
    }

    [Test]
    public async Task TheGlobalQueueIsInOrderOfArrivalAndGivesUpItsEnd()
    {
        await Assert.That(Use()).IsEqualTo("0 1 2 | 5 6 7 | 3 4 null");

        static unsafe string Use()
        {
            GlobalQueue queue = new(5); // Eight places: a power of two.
            using Ground ground = new(1, 8);
            for (int round = 0; round < 3; round++)
            {
                for (int i = 0; i < 8; i++)
                {
                    queue.Push(ground.Make(i));
                }
                for (int i = 0; i < 5 && round < 2; i++)
                {
                    _ = queue.Pop();
                }
                if (round < 2)
                {
                    queue.Drop(3);
                }
            }
            List<int> taken = [];
            for (int i = 0; i < 3; i++)
            {
                taken.Add(ground.Number(queue.Pop()));
            }
            List<int> last = [];
            for (int i = 0; i < 3; i++)
            {
                last.Add(ground.Number(queue.Last(i, 3)));
            }
            queue.Drop(3);
            List<int> rest = [];
            for (int i = 0; i < 3; i++)
            {
                rest.Add(ground.Number(queue.Pop()));
            }
            return $"{Text(taken)} | {Text(last)} | {Text(rest)}";
        }

        static string Text(List<int> numbers) =>
            string.Join(' ', numbers.Select(n => n < 0 ? "null" : $"{n}"));
    }

    // The owner does what a processor does: makes goroutines next or pushes them, takes half of a full
    // ring away, pops. The thieves steal from it and from each other, as machines without work do.
    [Test]
    [Arguments(0u)]
    [Arguments(uint.MaxValue - 10_000)]
    public async Task NothingIsLostOrDoubledBetweenAnOwnerAndThreeThieves(uint start)
    {
        const int Goroutines = 200_000;
        const int Thieves = 3;
        await Assert.That(Run(start)).IsNull();

        static unsafe string? Run(uint start)
        {
            using Ground ground = new(Thieves + 1, Goroutines, start);
            bool stop = false;
            Thread[] thieves = new Thread[Thieves];
            for (int i = 0; i < Thieves; i++)
            {
                int own = i + 1;
                thieves[i] = new Thread(() => StealUntil(ground, own, Thieves + 1, ref stop));
                thieves[i].Start();
            }
            Own(ground, Goroutines);
            Volatile.Write(ref stop, true);
            foreach (Thread thief in thieves)
            {
                thief.Join();
            }
            return ground.Wrong();
        }
    }

    // The last thief takes what it can and leaves the owner alone with its queue, at any moment of the
    // owner's: in the middle of a pop, for example.
    [Test]
    public async Task NothingIsDoubledWhenTheOwnerIsLeftAlone()
    {
        const int Rounds = 100_000;
        const int Each = 3;
        await Assert.That(Run()).IsNull();

        static unsafe string? Run()
        {
            using Ground ground = new(2, Rounds * Each);
            RunQueue* queue = ground.Queue(0);
            int begun = 0;
            int left = 0;
            Thread thief = new(() =>
            {
                for (int round = 1; round <= Rounds; round++)
                {
                    Await(ref begun, round);
                    Goroutine* stolen = ground.Queue(1)->StealFrom(queue, takeNext: false);
                    queue->Exclusive = true;
                    for (; stolen != null; stolen = ground.Queue(1)->Pop())
                    {
                        ground.Take(stolen);
                    }
                    Volatile.Write(ref left, round);
                }
            });
            thief.Start();
            for (int round = 1; round <= Rounds; round++)
            {
                queue->Exclusive = false;
                for (int i = 1; i <= Each; i++)
                {
                    Goroutine* g = ground.Make((round * Each) - i);
                    _ = round % 2 == 0 ? queue->TryPushFresh(g) : queue->TryPush(g);
                }
                Volatile.Write(ref begun, round);
                for (int i = 0; i < Each; i++)
                {
                    TakeIfAny(ground, queue->Pop());
                }
                Await(ref left, round);
                for (Goroutine* g = queue->Pop(); g != null; g = queue->Pop())
                {
                    ground.Take(g);
                }
            }
            thief.Join();
            return ground.Wrong();
        }

        static void Await(ref int value, int wanted)
        {
            SpinWait spin = default;
            while (Volatile.Read(ref value) != wanted)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }

    private static unsafe void Own(Ground ground, int goroutines)
    {
        RunQueue* queue = ground.Queue(0);
        Random random = new(1);
        for (int i = 0; i < goroutines; i++)
        {
            Goroutine* g = ground.Make(i);
            if (random.Next(3) == 0)
            {
                g = queue->ExchangeNext(g);
            }
            if (random.Next(4) == 0)
            {
                while (g != null && !queue->TryPushFresh(g))
                {
                    int count = queue->TakeFreshHalf(out uint first);
                    for (int j = 0; j < count; j++)
                    {
                        ground.Take(queue->FreshSlots[(first + (uint)j) % Size]);
                    }
                }
                g = null;
            }
            while (g != null && !queue->TryPush(g))
            {
                TakeHalf(ground, queue);
            }
            // Runs of pushes and of pops, so that the ring is full at times and empty at others.
            for (int pops = random.Next(i / 1000 % 2 == 0 ? 2 : 4); pops > 0; pops--)
            {
                OldestSince(ref *queue) = random.Next(8) == 0 ? Long : Never; // Now and then it is due.
                TakeIfAny(ground, random.Next(8) == 0 ? queue->PopRingFirst() : queue->Pop());
            }
        }
        for (Goroutine* g = queue->Pop(); g != null; g = queue->Pop())
        {
            ground.Take(g);
        }
    }

    private static unsafe void TakeHalf(Ground ground, RunQueue* queue)
    {
        int count = queue->TakeHalf(out uint first);
        for (int i = 0; i < count; i++)
        {
            ground.Take(queue->Slots[(first + (uint)i) % Size]);
        }
    }

    private static unsafe void StealUntil(Ground ground, int own, int queues, ref bool stop)
    {
        RunQueue* queue = ground.Queue(own);
        Random random = new(own);
        bool last;
        do
        {
            last = Volatile.Read(ref stop);
            int victim = random.Next(queues - 1);
            victim = victim >= own ? victim + 1 : victim;
            Goroutine* stolen = queue->StealFrom(ground.Queue(victim), takeNext: random.Next(4) == 0);
            TakeIfAny(ground, stolen);
            // Some stay for a moment, for others to steal.
            for (int rest = stolen == null ? 0 : random.Next(20); rest > 0; rest--)
            {
                Thread.SpinWait(5);
            }
            for (Goroutine* g = queue->Pop(); g != null; g = queue->Pop())
            {
                ground.Take(g);
            }
        }
        while (!last);
    }

    private static unsafe void TakeIfAny(Ground ground, Goroutine* g)
    {
        if (g != null)
        {
            ground.Take(g);
        }
    }

    // At all times one goroutine at least is in the queue, in the ring or as next. A machine that saw it
    // empty would go to sleep beside work.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task AQueueThatIsNotEmptyIsNeverCalledEmpty(bool ringFirst)
    {
        await Assert.That(Run(ringFirst)).IsEqualTo(0);

        static unsafe int Run(bool ringFirst)
        {
            using Ground ground = new(1, 2);
            RunQueue* queue = ground.Queue(0);
            _ = queue->TryPush(ground.Make(0));
            bool stop = false;
            int saidEmpty = 0;
            Thread looker = new(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    saidEmpty += queue->IsEmpty ? 1 : 0;
                }
            });
            looker.Start();
            for (int i = 0; i < 1_000_000; i++)
            {
                Goroutine* g = ground.Make((i + 1) & 1);
                if ((i & 2) == 0)
                {
                    g = queue->ExchangeNext(g);
                }
                if (g != null)
                {
                    _ = (i & 4) == 0 ? queue->TryPushFresh(g) : queue->TryPush(g);
                }
                _ = ringFirst ? queue->PopRingFirst() : queue->Pop();
            }
            Volatile.Write(ref stop, true);
            looker.Join();
            return saidEmpty;
        }
    }

    [Test]
    public async Task TheOrderOfStealingVisitsEveryPositionOnce()
    {
        List<string> wrong = [];
        Random random = new(7);
        for (uint count = 1; count <= 200; count++)
        {
            for (int attempt = 0; attempt < 50; attempt++)
            {
                uint seed = attempt == 0 ? 0 : attempt == 1 ? uint.MaxValue : (uint)random.NextInt64(1L << 32);
                int[] visits = new int[count];
                for (StealOrder order = new(count, seed); !order.Done; order.Advance())
                {
                    visits[order.Position]++;
                }
                if (visits.Any(n => n != 1))
                {
                    wrong.Add($"count {count}, random {seed}");
                }
            }
        }

        await Assert.That(string.Join(", ", wrong)).IsEqualTo("");
    }
}
