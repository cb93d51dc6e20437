// Elements of every kind, over every path through a channel: straight to a receiver that waits, straight
// from a sender that waits, through the buffer, and from a waiting sender into the buffer.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ChanElementTests(int procs)
{
    private enum Color : byte
    {
        Red,
        Green,
        Blue,
    }

    private readonly record struct Empty;

    private readonly record struct Small(byte Value);

    private readonly record struct Named(string Name, int Number);

    [InlineArray(30)]
    private struct Words
    {
        private long _first;
    }

    /// <summary>Two references with 240 bytes between them.</summary>
    private struct Large : IEquatable<Large>
    {
        internal string Head;
        internal Words Middle;
        internal object Tail;

        internal static Large Of(int n)
        {
            Large large = new() { Head = $"head {n}", Tail = new List<int> { n } };
            for (int i = 0; i < 30; i++)
            {
                large.Middle[i] = ((long)n << 32) + i;
            }
            return large;
        }

        public readonly bool Equals(Large other)
        {
            bool same = Head == other.Head
                && (Tail as List<int>)?[0] == (other.Tail as List<int>)?[0];
            for (int i = 0; i < 30; i++)
            {
                same &= Middle[i] == other.Middle[i];
            }
            return same;
        }

        public override readonly bool Equals(object? obj) => obj is Large other && Equals(other);

        public override readonly int GetHashCode() => Head.Length;
    }

    [Test]
    public async Task Numbers()
    {
        await Check(n => n);
        await Check(n => (byte)n);
        await Check(n => (short)-n);
        await Check(n => (long)n << 40);
        await Check(n => n / 3.0);
        await Check(n => (Int128)n << 100);
        await Check(n => (decimal)n / 7);
    }

    [Test]
    public async Task References()
    {
        await Check(n => $"text {n}");
        await Check(n => n % 3 == 0 ? null : (object)n);
        await Check<IComparable>(n => n % 2 == 0 ? n : "odd");
        Chan<int> inner = new();
        await Check(n => n % 2 == 0 ? inner : null);
    }

    [Test]
    public async Task Structs()
    {
        await Check(n => (Color)(n % 3));
        await Check(n => new Small((byte)n));
        await Check(n => new Named($"name {n}", n));
        await Check(n => (n, $"second {n}", (object)n, n / 2.0));
        await Check<int?>(n => n % 2 == 0 ? null : n);
        await Check(n => new DateTime(2026, 1, 1).AddDays(n));
    }

    [Test]
    public async Task AStructWithoutFields() => await Check(_ => default(Empty));

    [Test]
    public async Task ALargeStructWithReferences() => await Check(Large.Of);

    private async Task Check<T>(Func<int, T> make)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ToWaitingReceivers(crew, make);
            FromWaitingSenders(crew, make, capacity: 0);
            FromWaitingSenders(crew, make, capacity: 1);
            FromWaitingSenders(crew, make, capacity: 7);
            Alternate(crew, make, capacity: 0);
            Alternate(crew, make, capacity: 3);
            WithThreads(crew, make, capacity: 0);
            WithThreads(crew, make, capacity: 2);
        });

        await Assert.That(failure).IsNull().Because(typeof(T).Name);
    }

    private static void ToWaitingReceivers<T>(Crew crew, Func<int, T> make)
    {
        Chan<T> chan = new();
        WaitGroup done = new();
        for (int i = 0; i < 20; i++)
        {
            int n = i;
            done.Add();
            crew.GoAndPark(ParkReason.ChanReceive, () =>
            {
                T own = make(n);
                crew.Expect(chan.Receive(out T value), "closed?");
                crew.Equal(value, own, "what a waiting receiver got");
                done.Done();
            });
        }
        for (int i = 0; i < 20; i++)
        {
            chan.Send(make(i));
        }
        done.Wait();
    }

    private static void FromWaitingSenders<T>(Crew crew, Func<int, T> make, int capacity)
    {
        Chan<T> chan = new(capacity);
        for (int i = 0; i < capacity; i++)
        {
            chan.Send(make(i));
        }
        for (int i = 0; i < 20; i++)
        {
            int n = capacity + i;
            crew.GoAndPark(ParkReason.ChanSend, () => chan.Send(make(n)));
        }
        for (int i = 0; i < capacity + 20; i++)
        {
            crew.Equal(chan.Receive(), make(i), "what a waiting sender sent");
        }
    }

    private static void Alternate<T>(Crew crew, Func<int, T> make, int capacity)
    {
        Chan<T> chan = new(capacity);
        crew.Go(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                chan.Send(make(i));
            }
            chan.Close();
        });
        int received = 0;
        foreach (T value in chan)
        {
            crew.Equal(value, make(received), "an element");
            received++;
        }
        crew.Equal(received, 200, "the number of elements");
        crew.Expect(!chan.Receive(out T none), "received from a closed channel");
        crew.Equal(none, default, "the value from a closed channel");
    }

    private static void WithThreads<T>(Crew crew, Func<int, T> make, int capacity)
    {
        Chan<T> there = new(capacity);
        Chan<T> back = new(capacity);
        crew.Thread(() =>
        {
            foreach (T value in there)
            {
                back.Send(value);
            }
            back.Close();
        });
        for (int i = 0; i < 20; i++)
        {
            there.Send(make(i));
            crew.Equal(back.Receive(), make(i), "what a thread sent back");
        }
        there.Close();
        crew.Expect(!back.Receive(out _), "the thread sent more than it got");
    }
}
