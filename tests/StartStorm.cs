// Goroutines that start others while signals come as fast as can be: whoever starts one holds what belongs to its
// processor, and may not be moved to another one in between.
//
// start-storm PROCS SECONDS. Each of some starters starts waves of each kind: with a value, with an object, on a
// stack of fixed size, and each looks whether all of its wave have run once, with what they were given.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal static class StartStorm
{
    private const int EachKind = 30;

    internal static int Program(string[] args)
    {
        int procs = int.Parse(args[0], CultureInfo.InvariantCulture);
        Go.MaxProcs = procs;
        TimeSpan limit = TimeSpan.FromSeconds(double.Parse(args[1], CultureInfo.InvariantCulture));
        using PreemptionTests.SignalSender sender = new();
        long start = Stopwatch.GetTimestamp();
        WaitGroup starters = new();
        long started = 0;
        int wrong = 0;
        for (int i = 0; i < 2 * procs; i++)
        {
            starters.Go(() =>
            {
                while (Stopwatch.GetElapsedTime(start) < limit)
                {
                    Interlocked.Add(ref wrong, new Wave().Run());
                    Interlocked.Add(ref started, 3 * EachKind);
                }
            });
        }
        starters.Wait();
        Console.WriteLine($"{started} started, {wrong} wrong");
        return wrong == 0 && started > 0 ? 0 : 1;
    }

    private sealed class Wave
    {
        private readonly WaitGroup _group = new();
        private readonly int[] _ran = new int[3 * EachKind];

        /// <summary>How many have not run once.</summary>
        internal int Run()
        {
            GCHandle self = GCHandle.Alloc(this);
            _group.Add(_ran.Length);
            for (int i = 0; i < _ran.Length; i += 3)
            {
                int third = i + 2;
                Go.Run(static one => one.Ran(), new One(this, i));
                Go.Run(static value => value.Ran(), new Value((nint)self, i + 1));
                Go.Run(() => Ran(third), StackOptions.Fixed(64 * 1024));
            }
            _group.Wait();
            self.Free();
            return _ran.Count(static times => times != 1);
        }

        private void Ran(int number)
        {
            Interlocked.Increment(ref _ran[number]);
            _group.Done();
        }

        private sealed class One(Wave wave, int number)
        {
            internal void Ran() => wave.Ran(number);
        }

        private readonly struct Value(nint wave, int number)
        {
            internal void Ran() => ((Wave)GCHandle.FromIntPtr(wave).Target!).Ran(number);
        }
    }
}
