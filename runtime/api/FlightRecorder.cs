using Weft.Runtime;

namespace Weft;

/// <summary>Keeps the last events of the scheduler in memory, until somebody wants to see them:
/// <see cref="Go.FlightRecorder"/>. May be used from any number of goroutines and threads at once.</summary>
public sealed class FlightRecorder : IDisposable
{
    private readonly long _start = Ticks.Now();
    private int _ended;

    internal FlightRecorder() => TraceUse.Begin(SchedulerTrace.Source);

    /// <summary>
    /// Writes the last part of what happened, as a trace (<see cref="Go.StartTrace"/>), and goes on. It
    /// begins where the events of all processors are there, and with what ran then. Go:
    /// FlightRecorder.WriteTo. </summary>
    /// <remarks>Takes some 0.2 s, in which others run, and a collection that stops the world, for the names
    /// of what runs; allocates 4 MB for each processor and what it writes.</remarks>
    /// <param name="stream">Where to; not closed.</param>
    /// <param name="most">How much at most, from now back; all there is if it is not given.</param>
    /// <exception cref="ArgumentNullException">The stream is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The time is not positive.</exception>
    /// <exception cref="ObjectDisposedException">The recorder has been disposed of.</exception>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public void WriteTo(Stream stream, TimeSpan? most = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        TimeSpan length = most ?? TimeSpan.FromDays(1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(length, TimeSpan.Zero, nameof(most));
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _ended) != 0, this);
        FlightRecord.Write(SchedulerTrace.Source, stream, _start, (long)length.TotalNanoseconds);
    }

    /// <summary>Ends the recording. A second call does nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            TraceUse.End(SchedulerTrace.Source);
        }
    }
}
