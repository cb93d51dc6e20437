// Metrics, for programs that want them: nothing of this is in the others.

using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using System.Diagnostics.Tracing;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Figures about goroutines and the scheduler as a <see cref="Meter"/> named "Weft", for OpenTelemetry, a
/// <see cref="MeterListener"/> or <c>dotnet-counters</c>, from its construction until it is disposed of. The
/// names are OpenTelemetry's: <c>weft.goroutine.count</c>, by state; <c>weft.goroutine.runs</c>;
/// <c>weft.goroutine.stops</c>, by reason; <c>weft.scheduler.latency</c>, a histogram of the seconds that
/// goroutines wait for a processor; and so on, in <c>runtime/INSIDE.md</c>. Go: the package runtime/metrics.
/// </summary>
/// <remarks>A program that is compiled with EventSourceSupport also has an event source "Weft" with the same
/// figures as counters. On the JIT (<see cref="Go.Mode"/>) there are the figures of <see cref="Go.Stats"/>.
/// </remarks>
public sealed class WeftMetrics : IDisposable
{
    /// <summary>The meter's name.</summary>
    public const string MeterName = "Weft";

    private static readonly ParkReason[] s_waits =
    [
        ParkReason.ChanSend, ParkReason.ChanReceive, ParkReason.Select, ParkReason.WaitGroup,
        ParkReason.Sleep, ParkReason.Mutex, ParkReason.RWMutex, ParkReason.Cond, ParkReason.Semaphore,
        ParkReason.Network,
        ParkReason.DotNetWait, ParkReason.Never,
    ];

    private static readonly Lazy<double> s_secondsPerTick = new(MeasureTick);

    private const string EventSourceSwitch = "System.Diagnostics.Tracing.EventSource.IsSupported";

    private readonly Meter _meter = new(MeterName);
    private readonly EventCounts? _events;
    private readonly WeftEventSource? _source;
    private Census _census = new();
    private long _censusAt = long.MinValue;
    private int _ended;

    /// <summary>Makes the meter. Starts the runtime if it has not started.</summary>
    /// <param name="events">Whether there are also <c>weft.scheduler.latency</c> and
    /// <c>weft.goroutine.stops</c>. For these the scheduler notes what it does, as for
    /// <see cref="Go.StartTrace"/>, some 40 ns for each run of a goroutine, and a thread counts it, as much
    /// again. Without them the meter costs nothing until it is read.</param>
    /// <exception cref="InsufficientMemoryException">No memory for the events.</exception>
    /// <exception cref="PlatformNotSupportedException">As for <see cref="Go.Run(Action)"/>.</exception>
    public WeftMetrics(bool events = true)
    {
        Scheduler.EnsureStarted();
        MakeInstruments();
        if (events && !Jit.IsOn)
        {
            Histogram<double> latency = _meter.CreateHistogram<double>(
                "weft.scheduler.latency", "s", "How long goroutines wait for a processor.", tags: null,
                new InstrumentAdvice<double>
                {
                    HistogramBucketBoundaries = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1],
                });
            _events = new EventCounts(SchedulerTrace.Source, latency.Record);
            _ = _meter.CreateObservableCounter(
                "weft.goroutine.stops", Stops, "{stop}", "How often goroutines stopped, by reason.");
            _ = _meter.CreateObservableCounter(
                "weft.events.lost", () => _events.Lost, "{event}", "Events that were overwritten unread.");
        }
        if (HasEventSources)
        {
            _source = new WeftEventSource();
        }
    }

    /// <summary>Whether the program is built with them: EventSourceSupport. The native compiler
    /// knows.</summary>
    [FeatureSwitchDefinition(EventSourceSwitch)]
    internal static bool HasEventSources =>
        !AppContext.TryGetSwitch(EventSourceSwitch, out bool isOn) || isOn;

    /// <summary>Ends the meter. A second call does nothing.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            _meter.Dispose();
            _events?.Dispose();
            _source?.Dispose();
        }
    }

    private void MakeInstruments()
    {
        _ = _meter.CreateObservableUpDownCounter(
            "weft.goroutine.count", Goroutines, "{goroutine}", "Goroutines that exist, by what they do.");
        _ = _meter.CreateObservableUpDownCounter(
            "weft.processor.count", Processors, "{processor}", "Go.MaxProcs, by whether they are used.");
        _ = _meter.CreateObservableUpDownCounter(
            "weft.thread.count", Threads, "{thread}", "OS threads that run goroutines, by what they do.");
        _ = _meter.CreateObservableCounter(
            "weft.goroutine.runs", () => Go.Stats().Runs, "{run}", "Times one was given a processor.");
        _ = _meter.CreateObservableCounter(
            "weft.scheduler.steals", () => Go.Stats().Steals, "{steal}", "Times half a queue was taken.");
        _ = _meter.CreateObservableCounter(
            "weft.scheduler.polls", () => Go.Stats().Polls, "{poll}", "Looks at the network.");
        _ = _meter.CreateObservableUpDownCounter(
            "weft.timer.count", () => Look().Timers, "{timer}", "Timers that are set.");
        if (Jit.IsOn)
        {
            return;
        }
        _ = _meter.CreateObservableCounter(
            "weft.scheduler.preemptions", () => Scheduler.Preemptions, "{preemption}",
            "Times a goroutine was stopped in the middle.");
        _ = _meter.CreateObservableUpDownCounter(
            "weft.stack.reserved", () => Look().StackBytes, "By", "Address space of stacks.");
        _ = _meter.CreateObservableUpDownCounter(
            "weft.stack.used", () => Look().StackBytesInUse, "By", "What who waits uses of its stack.");
        _ = _meter.CreateObservableCounter(
            "weft.gc.pauses", PauseCount, "{pause}", "Times a collection stopped the world.");
        _ = _meter.CreateObservableCounter(
            "weft.gc.pause.time", () => Seconds(PauseTicks()), "s", "How long, together.");
        _ = _meter.CreateObservableCounter(
            "weft.gc.scan.time", () => Seconds(ScanTicks()), "s", "Of that, what goroutines' stacks took.");
    }

    private IEnumerable<Measurement<long>> Goroutines()
    {
        Census census = Look();
        if (Jit.IsOn)
        {
            yield return new Measurement<long>(Go.Count, State("exists"));
            yield break;
        }
        yield return new Measurement<long>(census.Running, State("running"));
        yield return new Measurement<long>(census.Runnable, State("runnable"));
        foreach (ParkReason reason in s_waits)
        {
            yield return new Measurement<long>(
                census.Waiting(reason), State(StackDump.Describe(GoroutineState.Waiting, reason)));
        }
    }

    private static IEnumerable<Measurement<int>> Processors()
    {
        RuntimeStats stats = Go.Stats();
        yield return new Measurement<int>(stats.Processors - stats.IdleProcessors, State("used"));
        yield return new Measurement<int>(stats.IdleProcessors, State("idle"));
    }

    private static IEnumerable<Measurement<int>> Threads()
    {
        RuntimeStats stats = Go.Stats();
        yield return new Measurement<int>(
            Math.Max(0, stats.Machines - stats.IdleMachines - stats.BlockedMachines), State("running"));
        yield return new Measurement<int>(stats.IdleMachines, State("idle"));
        yield return new Measurement<int>(stats.BlockedMachines, State("blocked"));
    }

    private IEnumerable<Measurement<long>> Stops()
    {
        (string Name, ParkReason Reason)[] others =
        [
            ("yield", ParkReason.Yield), ("exit", ParkReason.Exit), ("preempted", ParkReason.Preempted),
            ("native return", ParkReason.NativeReturn), ("system stack", ParkReason.SystemStack),
        ];
        foreach (ParkReason reason in s_waits)
        {
            yield return new Measurement<long>(
                _events!.Stops(reason), Reason(StackDump.Describe(GoroutineState.Waiting, reason)));
        }
        foreach ((string name, ParkReason reason) in others)
        {
            yield return new Measurement<long>(_events!.Stops(reason), Reason(name));
        }
    }

    private static KeyValuePair<string, object?> State(string state) => new("weft.state", state);

    private static KeyValuePair<string, object?> Reason(string reason) => new("weft.reason", reason);

    /// <summary>One census for all instruments that are read together.</summary>
    private Census Look()
    {
        const long freshNs = 50_000_000;
        lock (_meter)
        {
            long now = Os.NowNs();
            if (now - _censusAt > freshNs || _censusAt == long.MinValue)
            {
                _census = Census.Take();
                _censusAt = now;
            }
            return _census;
        }
    }

    private static unsafe long PauseCount() => Volatile.Read(ref Pauses.All->Count);

    private static unsafe long PauseTicks() => Volatile.Read(ref Pauses.All->Ticks);

    private static unsafe long ScanTicks() => Volatile.Read(ref Pauses.All->ScanTicks);

    private static double Seconds(long ticks) => ticks * s_secondsPerTick.Value;

    // Once: what only grows must not shrink because a tick is measured anew.
    private static double MeasureTick()
    {
        if (!Ticks.AreCounted)
        {
            return 1e-9;
        }
        TickClock clock = TickClock.Start();
        Thread.Sleep(2);
        clock.Sync();
        return clock.NsPerTick * 1e-9;
    }

    /// <summary>The same for dotnet-counters and dotnet-trace by their own protocol.</summary>
    [EventSource(Name = MeterName)]
    private sealed class WeftEventSource : EventSource
    {
        private List<DiagnosticCounter>? _counters;

        protected override void OnEventCommand(EventCommandEventArgs command)
        {
            if (command.Command == EventCommand.Enable)
            {
                _counters ??= [.. MakeCounters()];
            }
        }

        protected override void Dispose(bool disposing)
        {
            _counters?.ForEach(counter => counter.Dispose());
            base.Dispose(disposing);
        }

        private IEnumerable<DiagnosticCounter> MakeCounters()
        {
            yield return Gauge("goroutines", "Goroutines", () => Go.Count);
            yield return Gauge("processors-idle", "Idle processors", () => Go.Stats().IdleProcessors);
            yield return Gauge("threads", "Threads", () => Go.Stats().Machines);
            yield return Gauge("threads-blocked", "Blocked threads", () => Go.Stats().BlockedMachines);
            yield return Rate("runs", "Runs of goroutines", () => Go.Stats().Runs);
            yield return Rate("steals", "Steals", () => Go.Stats().Steals);
            yield return Rate("polls", "Looks at the network", () => Go.Stats().Polls);
        }

        private PollingCounter Gauge(string name, string title, Func<double> value) =>
            new(name, this, value) { DisplayName = title };

        private IncrementingPollingCounter Rate(string name, string title, Func<double> value) =>
            new(name, this, value) { DisplayName = title, DisplayRateTimeScale = TimeSpan.FromSeconds(1) };
    }
}
