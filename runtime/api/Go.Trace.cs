// The execution trace.

using Weft.Runtime;

namespace Weft;

public static unsafe partial class Go
{
    /// <summary>
    /// Begins to write what the scheduler does to a stream, until <see cref="StopTrace"/>: which goroutine
    /// runs on which processor and thread, what each waits for and who makes it runnable, native calls that
    /// block, looks at the network, collections, and the program's own regions and lines
    /// (<see cref="TraceRegion"/>, <see cref="TraceLog"/>). The format is Perfetto's: ui.perfetto.dev opens
    /// it. The environment variable WEFT_TRACE=FILE does the same from the start of the process to its end.
    /// Go: trace.Start.
    /// </summary>
    /// <remarks>
    /// An event costs some 20 ns, a read of the clock for the most part. A thread of its own reads the
    /// processors' events every 10 ms and writes to the stream, some 150 bytes for each run of a goroutine;
    /// what it does not manage in time is lost, and the trace says how much. Costs 4 MB for each processor,
    /// which stay. Begins with a collection that stops the world, to know what runs already, unless more than
    /// 100,000 goroutines do.
    /// </remarks>
    /// <param name="stream">Where to. Written by another thread until StopTrace has returned, and not
    /// closed.</param>
    /// <exception cref="ArgumentNullException">The stream is null.</exception>
    /// <exception cref="ArgumentException">The stream cannot be written.</exception>
    /// <exception cref="InvalidOperationException">A trace is being written already.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for the events.</exception>
    /// <exception cref="PlatformNotSupportedException">On the JIT (<see cref="Mode"/>); and as for
    /// <see cref="Run(Action)"/>.</exception>
    public static void StartTrace(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanWrite)
        {
            throw new ArgumentException("The stream cannot be written.", nameof(stream));
        }
        if (Jit.IsOn)
        {
            throw SchedulerTrace.NotOnJit("Go.StartTrace");
        }
        Scheduler.EnsureStarted();
        TraceSession.Start(SchedulerTrace.Source, stream, fromStart: false);
    }

    /// <summary>Ends the trace that <see cref="StartTrace"/> has begun, or WEFT_TRACE, and returns when all
    /// of it has been written. Does nothing where there is none. Go: trace.Stop.</summary>
    /// <exception cref="IOException">The stream has thrown, which is the inner exception; the trace had ended
    /// there.</exception>
    public static void StopTrace()
    {
        if (!Jit.IsOn)
        {
            _ = TraceSession.Stop();
        }
    }

    /// <summary>
    /// Begins a region: a slice of that name in the trace, on the goroutine's own track, until the result is
    /// disposed of, by the same goroutine: <c>using (Go.TraceRegion("parse")) { … }</c>. Regions nest. Costs
    /// a read of a word while nothing is traced. Go: trace.StartRegion.
    /// </summary>
    /// <param name="name">The name, of which 240 bytes of UTF-8 are kept.</param>
    /// <returns>Dispose of it once.</returns>
    /// <exception cref="ArgumentNullException">The name is null.</exception>
    public static TraceRegion TraceRegion(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        bool isOn = Scheduler.Traces;
        if (isOn)
        {
            WriteToTrace(TraceEvent.RegionBegin, name);
        }
        return new TraceRegion(isOn);
    }

    /// <summary>Writes a line to the trace, at this moment on the goroutine's own track. Costs a read of a
    /// word while nothing is traced; so build the text only if <see cref="IsTracing"/>. Go:
    /// trace.Log.</summary> <param name="message">The line, of which 240 bytes of UTF-8 are kept.</param>
    /// <exception cref="ArgumentNullException">The message is null.</exception>
    public static void TraceLog(string message)
    {
        ArgumentNullException.ThrowIfNull(message);
        if (Scheduler.Traces)
        {
            WriteToTrace(TraceEvent.Log, message);
        }
    }

    /// <summary>Whether a trace is written, or a flight recorder is on. Go: trace.IsEnabled.</summary>
    public static bool IsTracing => Scheduler.Traces;

    /// <summary>
    /// Starts a flight recorder: events are kept in memory, the last 260,000 of each processor, a few seconds
    /// of a busy program, and are written only when <see cref="FlightRecorder.WriteTo"/> asks, when a request
    /// took too long, say. Dispose of it to end that. Go: trace.FlightRecorder.
    /// </summary>
    /// <remarks>An event costs some 20 ns; memory as for <see cref="StartTrace"/>. Any number of recorders
    /// and a trace share the events.</remarks>
    /// <returns>The recorder, which has begun.</returns>
    /// <exception cref="InsufficientMemoryException">No memory for the events.</exception>
    /// <exception cref="PlatformNotSupportedException">On the JIT (<see cref="Mode"/>); and as for
    /// <see cref="Run(Action)"/>.</exception>
    public static FlightRecorder FlightRecorder()
    {
        if (Jit.IsOn)
        {
            throw SchedulerTrace.NotOnJit("Go.FlightRecorder");
        }
        Scheduler.EnsureStarted();
        return new FlightRecorder();
    }

    internal static void WriteToTrace(TraceEvent what, string text)
    {
        Span<byte> bytes = stackalloc byte[TraceRing.MostText];
        Scheduler.TraceText(what, bytes[..TraceRing.Encode(text, bytes)]);
    }
}
