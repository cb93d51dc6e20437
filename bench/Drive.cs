// What every benchmark needs: a driver goroutine on a given number of processors, and a clock.
//
// The driver matters. Goroutines started by an ordinary thread begin one by one, as the thread
// hands them over; started by a goroutine on one processor, none runs before the driver waits for
// them.

using System.Diagnostics;

namespace Weft.Bench;

internal static class Drive
{
    /// <summary>Runs the benchmark in a goroutine, with that many processors; returns what it
    /// returns.</summary>
    internal static T On<T>(int processors, Func<T> benchmark)
    {
        Go.MaxProcs = processors;
        T result = default!;
        WaitGroup done = new();
        done.Go(() => result = benchmark());
        done.Wait();
        return result;
    }

    /// <summary>Runs the functions, each in a goroutine, and waits; wall-clock nanoseconds. On a
    /// goroutine.</summary>
    internal static double Time(params Action[] functions)
    {
        WaitGroup done = new();
        long start = Stopwatch.GetTimestamp();
        foreach (Action function in functions)
        {
            done.Go(function);
        }
        done.Wait();
        return Since(start);
    }

    /// <summary>Starts tasks that run on as many threads of the pool at a time.</summary>
    internal static TaskFactory Tasks(int processors) => new(
        new ConcurrentExclusiveSchedulerPair(TaskScheduler.Default, processors).ConcurrentScheduler);

    /// <summary>Nanoseconds since a time stamp.</summary>
    internal static double Since(long start) => Stopwatch.GetElapsedTime(start).TotalNanoseconds;

    /// <summary>A benchmark that did not do its work must not give a number.</summary>
    internal static void Check(bool condition, string what)
    {
        if (!condition)
        {
            throw new InvalidOperationException($"benchmark: {what}");
        }
    }
}
