// Tests of concurrent code: a bubble of goroutines (sched/Bubble.cs) with a clock of its own, and if it is
// wanted an order of its own. TESTING.md is the page for users.
//
// It depends on no test framework: a failure is an exception.
//
// Rejected: the body on the calling thread (it has to be a goroutine, to wait as one). A random seed where
// none is given: one goroutine at a time, and none preempted, is another thing than Go's bubble; code that
// spins for another goroutine would never end.

using System.Globalization;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Runs tests of concurrent code in bubbles, where time is virtual: it stands still while any goroutine can
/// run, and jumps to the next timer when all wait. Go: testing/synctest. With a seed the order of goroutines
/// is drawn from it, so that a failure can be repeated. For any test framework: failures are exceptions.
/// </summary>
/// <remarks>
/// All goroutines that are started in a bubble are of the bubble. Threads, tasks and the thread pool are not,
/// and keep their time. <see cref="Go.Sleep"/>, <see cref="Timer"/>, <see cref="Ticker"/>,
/// <see cref="Time"/>, the deadlines of a <see cref="Context"/> and of <see cref="Net.Pipe"/>, and
/// <see cref="WeftTimeProvider"/> go by the bubble's clock; it begins at midnight UTC on 1 January 2000.
/// Time-outs of .NET's own and of sockets do not.
/// <para>A goroutine waits durably if only goroutines of its bubble, or the clock, can end the wait: on a
/// channel, a select, a WaitGroup, a Cond or a Semaphore that was made in the bubble, in Go.Sleep, or for a
/// null channel. When all wait durably <see cref="Wait"/> returns, or the clock is put forward, or the bubble
/// is deadlocked. Any other wait, for a Mutex, a socket, a task, keeps the clock still.</para>
/// </remarks>
public static unsafe class WeftTest
{
    /// <summary>A random generator. In a bubble with a seed it gives the same numbers in each run with the
    /// seed, and belongs to the bubble's goroutines; else it is <see cref="Random.Shared"/>.</summary>
    public static Random Random => Bubble.OfCaller()?.RandomOfSeed ?? Random.Shared;

    /// <summary>
    /// Runs a function as the first goroutine of a new bubble, and returns when all goroutines of the bubble
    /// have ended. Once the function has returned the clock stands still, so none of them may wait for it.
    /// Go: synctest.Test.
    /// </summary>
    /// <remarks>Blocks the calling thread, or parks the calling goroutine, in real time. Where it throws, the
    /// goroutines that are left have been ended as by <see cref="Go.Exit"/>: their finally blocks have run.
    /// Several bubbles may run at the same time.</remarks>
    /// <param name="body">What to run, with the caller's ExecutionContext. What it throws is thrown
    /// here.</param>
    /// <exception cref="ArgumentNullException">There is no function.</exception>
    /// <exception cref="InvalidOperationException">The caller is in a bubble.</exception>
    /// <exception cref="WeftTestException">The bubble is deadlocked; the message has the stacks. Or an
    /// exception in another goroutine of the bubble was not caught; it is the inner exception.</exception>
    public static void Run(Action body) => Execute(null, body, "");

    /// <summary>
    /// The same, with an order: one goroutine of the bubble runs at a time, no other interrupts it, and it is
    /// drawn from the seed who goes on, whenever one waits, and before and after each operation on a channel,
    /// a lock or the like that was made in the bubble; and which case a select chooses. So a run with the
    /// same seed does the same again, if the code asks nothing else that varies: no real time, no random
    /// numbers but <see cref="Random"/>, no thread, no task, no I/O.
    /// </summary>
    /// <param name="seed">Any number.</param>
    /// <param name="body">What to run.</param>
    /// <exception cref="ArgumentNullException">There is no function.</exception>
    /// <exception cref="InvalidOperationException">The caller is in a bubble.</exception>
    /// <exception cref="WeftTestException">As <see cref="Run(Action)"/>; and the inner exception where the
    /// function has thrown one. The message says how to run it again.</exception>
    /// <exception cref="PlatformNotSupportedException">The program runs on the JIT (<see cref="Go.Mode"/>),
    /// where goroutines are threads, and the system decides.</exception>
    public static void Run(long seed, Action body) => Execute(seed, body, "");

    /// <summary>Runs a function with many seeds, one after the other, until one fails.</summary>
    /// <param name="runs">How many; 1 or more.</param>
    /// <param name="body">What to run: it must begin anew each time.</param>
    /// <param name="firstSeed">The first seed; the others follow. Another one here tries others.</param>
    /// <exception cref="ArgumentNullException">There is no function.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of runs is below 1.</exception>
    /// <exception cref="InvalidOperationException">The caller is in a bubble.</exception>
    /// <exception cref="WeftTestException">The first failure; it has the seed.</exception>
    /// <exception cref="PlatformNotSupportedException">As <see cref="Run(long, Action)"/>.</exception>
    public static void Explore(int runs, Action body, long firstSeed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(runs, 1);
        for (int i = 0; i < runs; i++)
        {
            Execute(unchecked(firstSeed + i), body, string.Create(
                CultureInfo.InvariantCulture, $"Run {i + 1} of {runs} failed. "));
        }
    }

    /// <summary>Waits until all other goroutines of the caller's bubble wait durably. The clock stands still.
    /// Go: synctest.Wait.</summary>
    /// <exception cref="InvalidOperationException">The caller is in no bubble, or another goroutine of the
    /// bubble is in here.</exception>
    public static void Wait()
    {
        Bubble bubble = Bubble.OfCaller() ?? throw new InvalidOperationException(
            "WeftTest.Wait: the caller is no goroutine of a bubble (WeftTest.Run).");
        Goroutine* g = Current.Goroutine();
        if (!bubble.WaitForOthers(g))
        {
            throw new InvalidOperationException(
                "WeftTest.Wait: another goroutine of the bubble is in there already.");
        }
        Scheduler.ExitIfAbandoned(g);
    }

    /// <summary><see cref="Go.Sleep"/>, then <see cref="Wait"/>: what others do at that time is done when it
    /// returns. Go: synctest.Sleep.</summary>
    /// <param name="duration">How long.</param>
    /// <exception cref="InvalidOperationException">As <see cref="Wait"/>.</exception>
    public static void Sleep(TimeSpan duration)
    {
        Go.Sleep(duration);
        Wait();
    }

    /// <summary>In a bubble with a seed, a point where another goroutine may go on: between two steps on
    /// plain memory, say, where nothing of Weft's is called. Anywhere else it does nothing.</summary>
    public static void Point() => Bubble.Point();

    private static void Execute(long? seed, Action body, string which)
    {
        ArgumentNullException.ThrowIfNull(body);
        if (Bubble.OfCaller() != null)
        {
            throw new InvalidOperationException("WeftTest.Run: the caller is in a bubble already.");
        }
        if (seed != null && Jit.IsOn)
        {
            throw new PlatformNotSupportedException(
                "WeftTest.Run with a seed, and WeftTest.Explore, need the native program: on the JIT "
                + "goroutines are threads, and the system decides which of them runs.");
        }
        Scheduler.EnsureStarted();
        Bubble bubble = new(seed);
        Go.RunIn(ContextFlow.Capture(), () => bubble.RunMain(body), bubble);
        bubble.WaitUntilStopped();
        string? deadlock = bubble.Total > 0 && bubble.Failure == null ? Describe(bubble) : null;
        bool ended = bubble.EndAll();
        bubble.Close();
        Report(bubble, seed, which, deadlock, ended);
    }

    private static string Describe(Bubble bubble)
    {
        using StringWriter text = new();
        text.WriteLine(bubble.MainEnded
            ? "Deadlock: the body has ended, so the clock stands still, and others wait for ever."
            : "Deadlock: all goroutines of the bubble wait, and no timer is set.");
        if (bubble.WaitsForLock)
        {
            text.WriteLine("Some wait for a lock of the bubble, and nobody is left to unlock it.");
        }
        text.WriteLine();
        StackDump.Write(text, each: true, bubble.Number);
        return text.ToString();
    }

    private static void Report(Bubble bubble, long? seed, string which, string? deadlock, bool ended)
    {
        if (bubble.Failure == null && deadlock == null)
        {
            return;
        }
        if (seed == null && bubble.Failure != null && bubble.FailedId == 0)
        {
            bubble.Failure.Throw();
        }
        Exception? inner = bubble.Failure?.SourceException;
        string what = deadlock ?? (bubble.FailedId == 0 ? inner!.Message : string.Create(
            CultureInfo.InvariantCulture, $"Goroutine {bubble.FailedId} threw: {inner!.Message}"));
        string again = seed == null ? "" : string.Create(
            CultureInfo.InvariantCulture, $"{which}To run it again: WeftTest.Run({seed}, …)\n\n");
        string left = ended ? "" : "\nSome of its goroutines did not end: they catch every exception.\n";
        throw new WeftTestException(again + what + left, inner, seed);
    }
}
