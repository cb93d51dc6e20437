// Once means once, and nobody goes on before it is over.

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class OnceTests(int procs)
{
    [Test]
    public async Task ItIsDoneOnceAndOverWhenAnybodyReturns()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 200; round++)
            {
                Once once = new();
                WaitGroup done = new();
                int started = 0;
                int ended = 0;
                for (int i = 0; i < 10; i++)
                {
                    done.Add();
                    crew.Start(i == 0 && round % 20 == 0, () =>
                    {
                        once.Do(() =>
                        {
                            Interlocked.Increment(ref started);
                            Go.Yield();
                            Volatile.Write(ref ended, 1);
                        });
                        crew.Equal(Volatile.Read(ref ended), 1, "Do returned early; ended");
                        done.Done();
                    });
                }
                done.Wait();
                crew.Equal(started, 1, "how often it was done");
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AnExceptionCountsAndGoesToTheFirstCaller()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Once once = new();
            crew.Throws<FormatException>(() => once.Do(() => throw new FormatException()), "the first");
            once.Do(() => crew.Expect(false, "done again"));
            crew.Throws<ArgumentNullException>(() => once.Do(null!), "null");

            Once exits = new();
            WaitGroup done = new();
            done.Go(() => exits.Do(Go.Exit));
            done.Wait();
            exits.Do(() => crew.Expect(false, "done again after Exit"));
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AValueIsComputedOnceForAll()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 200; round++)
            {
                int calls = 0;
                OnceValue<string> value = new(() =>
                {
                    Go.Yield();
                    return $"value {Interlocked.Increment(ref calls)}";
                });
                WaitGroup done = new();
                for (int i = 0; i < 10; i++)
                {
                    done.Add();
                    crew.Go(() =>
                    {
                        crew.Equal(value.Value, "value 1", "the value");
                        done.Done();
                    });
                }
                done.Wait();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TheExceptionOfAValueIsThrownByEveryCall()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int calls = 0;
            OnceValue<int> value = new(() =>
            {
                calls++;
                return ThrowHere();
            });
            FormatException? first = crew.Throws<FormatException>(() => _ = value.Value, "the first");
            FormatException? second = crew.Throws<FormatException>(() => _ = value.Value, "the second");
            crew.Expect(ReferenceEquals(first, second), "the same exception");
            crew.Expect(second!.StackTrace!.Contains(nameof(ThrowHere)), $"its trace: {second.StackTrace}");
            crew.Equal(calls, 1, "calls");

            OnceValue<int> exits = new(() =>
            {
                Go.Exit();
                return 1;
            });
            WaitGroup done = new();
            done.Go(() => _ = exits.Value);
            done.Wait();
            crew.Throws<InvalidOperationException>(() => _ = exits.Value, "after Exit");
            crew.Throws<ArgumentNullException>(() => _ = new OnceValue<int>(null!), "null");
        });

        await Assert.That(failure).IsNull();
    }

    private static int ThrowHere() => throw new FormatException();
}
