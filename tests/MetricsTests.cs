// The meter "Weft", and the event source.

using System.Diagnostics.Metrics;
using System.Diagnostics.Tracing;

namespace Weft.Tests;

internal sealed class MetricsTests
{
    [Test]
    [NotOnJit("goroutines by state, and the scheduler's events, are not there")]
    public async Task TheMeterHasWhatTheSchedulerHas()
    {
        const int count = 5;
        Dictionary<string, double> values = [];
        RuntimeStats before = Go.Stats();
        RuntimeStats after = default;
        string? failure = Crew.Run(2, crew =>
        {
            using WeftMetrics metrics = new();
            using MeterListener listener = Listen(values);
            Chan<int> gate = new();
            WaitGroup done = new();
            for (int i = 0; i < count; i++)
            {
                done.Go(() => _ = gate.Receive());
            }
            for (int i = 0; i < 100; i++)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(3)); // 300 ms: counted ten times a second.
            }
            listener.RecordObservableInstruments();
            for (int i = 0; i < count; i++)
            {
                gate.Send(i);
            }
            done.Wait();
            after = Go.Stats();
        });

        await Assert.That(failure).IsNull();
        string all = string.Join('\n', values.Select(pair => $"{pair.Key} {pair.Value}"));
        await Assert.That(values["weft.goroutine.count chan receive"]).IsGreaterThanOrEqualTo(count).Because(all);
        await Assert.That(values["weft.goroutine.runs"]).IsBetween(before.Runs, after.Runs);
        await Assert.That(values["weft.processor.count used"] + values["weft.processor.count idle"]).IsEqualTo(2);
        await Assert.That(values["weft.goroutine.stops chan receive"]).IsGreaterThanOrEqualTo(count).Because(all);
        await Assert.That(values["weft.goroutine.stops sleep"]).IsGreaterThanOrEqualTo(50).Because(all);
        await Assert.That(values["weft.scheduler.latency"]).IsGreaterThanOrEqualTo(50).Because(all);
        await Assert.That(values["weft.stack.reserved"]).IsGreaterThanOrEqualTo(count * 1000);
        await Assert.That(values["weft.stack.used"]).IsGreaterThan(count * 100);
        await Assert.That(Go.IsTracing).IsFalse();
    }

    // Each collection's pause is counted, and the part of it that is Weft's.
    [Test]
    [NotOnJit("no hooks in the collector")]
    public async Task PausesAreCounted()
    {
        Dictionary<string, double> before = [];
        Dictionary<string, double> after = [];
        string? failure = Crew.Run(2, crew =>
        {
            using WeftMetrics metrics = new(events: false);
            using (MeterListener listener = Listen(before))
            {
                listener.RecordObservableInstruments();
            }
            for (int i = 0; i < 10; i++)
            {
                GC.Collect();
            }
            Go.Sleep(TimeSpan.FromMilliseconds(5));
            using (MeterListener listener = Listen(after))
            {
                listener.RecordObservableInstruments();
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(after["weft.gc.pauses"] - before["weft.gc.pauses"]).IsGreaterThanOrEqualTo(10);
        await Assert.That(after["weft.gc.scan.time"]).IsGreaterThan(before["weft.gc.scan.time"]);
        await Assert.That(after["weft.gc.pause.time"]).IsGreaterThan(after["weft.gc.scan.time"]);
        await Assert.That(after.ContainsKey("weft.goroutine.stops sleep")).IsFalse();
    }

    // The programs that have event sources are those that say so, and all on the JIT.
    [Test]
    public async Task TheEventSourceHasCounters()
    {
        if (!WeftMetrics.HasEventSources)
        {
            Skip.Test("this program is built without event sources");
        }
        using Counters counters = new();
        using WeftMetrics metrics = new(events: false);
        for (int i = 0; i < 100 && counters.Count < 7; i++)
        {
            Thread.Sleep(100);
        }

        await Assert.That(counters.Count).IsEqualTo(7);
    }

    private static MeterListener Listen(Dictionary<string, double> values)
    {
        MeterListener listener = new()
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == WeftMetrics.MeterName)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Set(i, value, tags));
        listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Set(i, value, tags));
        listener.SetMeasurementEventCallback<double>((i, value, tags, _) => Set(i, value, tags));
        listener.Start();
        return listener;

        void Set(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            lock (values)
            {
                if (instrument is Histogram<double>)
                {
                    values[instrument.Name] = values.GetValueOrDefault(instrument.Name) + 1;
                    return;
                }
                values[tags.Length == 0 ? instrument.Name : $"{instrument.Name} {tags[0].Value}"] = value;
            }
        }
    }

    private sealed class Counters : EventListener
    {
        private readonly HashSet<string> _names = [];

        internal int Count
        {
            get
            {
                lock (_names)
                {
                    return _names.Count;
                }
            }
        }

        protected override void OnEventSourceCreated(EventSource eventSource)
        {
            if (eventSource.Name == WeftMetrics.MeterName)
            {
                EnableEvents(
                    eventSource, EventLevel.Verbose, EventKeywords.All,
                    new Dictionary<string, string?> { ["EventCounterIntervalSec"] = "1" });
            }
        }

        protected override void OnEventWritten(EventWrittenEventArgs eventData)
        {
            if (eventData.EventName == "EventCounters" && eventData.Payload is [IDictionary<string, object> payload])
            {
                lock (_names)
                {
                    _ = _names.Add((string)payload["Name"]);
                }
            }
        }
    }
}
