// A crowd of goroutines, all waiting on one channel until it is closed. For questions about what
// goroutines cost while they wait.

using System.Diagnostics;

namespace Weft.Bench;

internal sealed class Parked
{
    private readonly Chan<int> _gate = new();
    private readonly WaitGroup _done = new();
    private readonly int _count;
    private readonly bool _native;
    private int _arrived;

    /// <summary>Starts them and returns when all wait; where native is true each calls a C function
    /// first, which gives it a larger stack. On a goroutine.</summary>
    internal Parked(int count, bool native = false)
    {
        _count = count;
        _native = native;
        _done.Add(count);
        for (int i = 0; i < count; i++)
        {
            Go.Run(static crowd => crowd.Wait(), this);
        }
        while (Volatile.Read(ref _arrived) < count)
        {
            Go.Yield();
        }
    }

    /// <summary>Wakes them and returns when all have ended; nanoseconds. On a goroutine.</summary>
    internal double Wake()
    {
        Drive.Check(_arrived == _count, "somebody passed the gate twice");
        long start = Stopwatch.GetTimestamp();
        _gate.Close();
        _done.Wait();
        return Drive.Since(start);
    }

    private void Wait()
    {
        if (_native)
        {
            NativeCalls.Nothing();
        }
        Interlocked.Increment(ref _arrived);
        _ = _gate.Receive();
        _done.Done();
    }
}
