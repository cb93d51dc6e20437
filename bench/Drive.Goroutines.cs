// What every benchmark of Weft needs: a driver goroutine on a given number of processors.
//
// The driver matters. Goroutines started by an ordinary thread begin one by one, as the thread
// hands them over; started by a goroutine on one processor, none runs before the driver waits for
// them.

using System.Diagnostics;

namespace Weft.Bench;

internal static partial class Drive
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

    /// <summary>So many times the same, at once.</summary>
    internal static double Time(int goroutines, Action function) =>
        Time([.. Enumerable.Repeat(function, goroutines)]);
}
