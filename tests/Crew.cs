// The goroutines and threads of one test. A goroutine may not fail by an exception, which would end the
// process, and TUnit's assertions belong to the test's own thread: so the crew collects the first failure
// and gives it back as text.
//
//   string? failure = Crew.Run(procs, crew => { crew.Go(…); crew.Equal(…); });
//   await Assert.That(failure).IsNull();
//
// The body is a goroutine itself. A crew that does not end is a failure too, which says who is left.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed unsafe class Crew
{
    // Far more than any test needs on a busy machine; short of what a build waits for.
    private static readonly TimeSpan s_limit = Qemu.Limit(TimeSpan.FromSeconds(60));

    // So many processors where a test asks for several: more than the machine has, for example.
    private static readonly int s_several =
        int.TryParse(Environment.GetEnvironmentVariable("WEFT_TESTS_PROCS"), out int count) ? count : 4;

    private readonly WaitGroup _group = new();
    private int _started;
    private int _ended;
    private string? _failure;

    /// <summary>Whether something has failed: loops that would wait for the others should end.</summary>
    internal bool Failed => Volatile.Read(ref _failure) is not null;

    /// <summary>Runs the body with that many processors (4: WEFT_TESTS_PROCS, if it is set) and then sets them as
    /// they were. Returns what failed first, when all goroutines and threads of the crew have ended, or
    /// null.</summary>
    internal static string? Run(int procs, Action<Crew> body)
    {
        int before = Weft.Go.MaxProcs;
        procs = procs == 4 ? s_several : procs;
        Weft.Go.MaxProcs = procs;
        Crew crew = new();
        using (ExecutionContext.SuppressFlow()) // The framework's: most goroutines have none.
        {
            crew.Go(() => body(crew));
        }
        Thread waiter = new(crew._group.Wait) { IsBackground = true };
        waiter.Start();
        if (!waiter.Join(s_limit))
        {
            int left = Volatile.Read(ref crew._started) - Volatile.Read(ref crew._ended);
            return $"MaxProcs {procs}: {left} of {crew._started} have not ended after "
                + $"{s_limit.TotalSeconds} s; {crew._failure ?? "nothing failed before"}";
        }
        Weft.Go.MaxProcs = before;
        return crew.Failed ? $"MaxProcs {procs}: {crew._failure}" : null;
    }

    /// <summary>The same for a program of its own, with an exit code: 1 after it has printed what failed.</summary>
    internal static int Report(int procs, Action<Crew> body)
    {
        string? failure = Run(procs, body);
        Console.Write(failure);
        return failure is null ? 0 : 1;
    }

    /// <summary>Runs the action in a goroutine of the crew.</summary>
    internal void Go(Action action)
    {
        Interlocked.Increment(ref _started);
        _group.Go(() => Guarded(action));
    }

    /// <summary>Runs the action in a thread of the crew.</summary>
    internal void Thread(Action action)
    {
        Interlocked.Increment(ref _started);
        _group.Add();
        Thread thread = new(() =>
        {
            Guarded(action);
            _group.Done();
        })
        {
            IsBackground = true,
        };
        thread.Start();
    }

    /// <summary>The same in either.</summary>
    internal void Start(bool asThread, Action action)
    {
        if (asThread)
        {
            Thread(action);
        }
        else
        {
            Go(action);
        }
    }

    /// <summary>Forces compacting collections of all generations in turn, in a thread of the crew, until the
    /// condition holds. Without the pause the world stands still nearly all the time: a thread that wakes
    /// from one collection finds the next one wanted already.</summary>
    internal void CollectUntil(Func<bool> ended) => Thread(() => Collect(ended));

    /// <summary>The same on the calling thread, for no crew.</summary>
    internal static void Collect(Func<bool> ended)
    {
        for (int i = 0; !ended(); i++)
        {
            GC.Collect(i % 3, GCCollectionMode.Forced, blocking: true, compacting: true);
            System.Threading.Thread.Sleep(1);
        }
    }

    /// <summary>Runs the action in a goroutine, and returns when that waits for the reason.</summary>
    internal void GoAndPark(ParkReason reason, Action action)
    {
        nint started = 0;
        Go(() =>
        {
            Volatile.Write(ref started, (nint)Current.Goroutine());
            action();
        });
        Until(() => Volatile.Read(ref started) != 0, "the goroutine to start");
        Goroutine* g = (Goroutine*)started;
        Until(() => g->State == GoroutineState.Waiting && g->Reason == reason, "the goroutine to park");
    }

    /// <summary>Lets others run until the condition holds.</summary>
    internal void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > s_limit / 2)
            {
                throw new TimeoutException($"waited for {what} until {s_limit.TotalSeconds / 2} s");
            }
            Weft.Go.Yield();
        }
    }

    /// <summary>Lets others run many times: what does not happen now was not about to.</summary>
    internal static void LetOthersRun()
    {
        // On the JIT each may take a time slice of whoever else is on the machine.
        int times = Weft.Go.Mode == GoMode.Jit ? 5 : 50;
        for (int i = 0; i < times; i++)
        {
            Weft.Go.Yield();
        }
    }

    internal void Expect(bool condition, string what)
    {
        if (!condition)
        {
            Fail(what);
        }
    }

    internal void Equal<T>(T actual, T expected, string what)
    {
        if (!EqualityComparer<T>.Default.Equals(actual, expected))
        {
            Fail($"{what}: {actual} instead of {expected}");
        }
    }

    /// <summary>Expects exactly this exception, and returns it.</summary>
    internal TException? Throws<TException>(Action action, string what)
        where TException : Exception
    {
        try
        {
            action();
        }
        catch (Exception e) when (e.GetType() == typeof(TException))
        {
            return (TException)e;
        }
        Fail($"{what}: no {typeof(TException).Name}");
        return null;
    }

    private void Guarded(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is not GoroutineExit)
        {
            Fail(e.ToString());
        }
        finally
        {
            Interlocked.Increment(ref _ended);
        }
    }

    private void Fail(string what) => _ = Interlocked.CompareExchange(ref _failure, what, null);
}
