// What Weft's meter measures, in the text format of Prometheus: by OpenTelemetry's rules for names, dots become
// underscores, and units and "total" are added.

using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using Weft;

namespace Weave.Http.Handlers;

internal sealed class MeterText : IDisposable
{
    private readonly WeftMetrics _metrics = new();
    private readonly MeterListener _listener = new();
    private readonly SortedDictionary<string, Family> _families = new(StringComparer.Ordinal);

    internal MeterText()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == WeftMetrics.MeterName)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Set(i, value, tags));
        _listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Set(i, value, tags));
        _listener.SetMeasurementEventCallback<double>((i, value, tags, _) => Set(i, value, tags));
        _listener.Start();
    }

    public void Dispose()
    {
        _listener.Dispose();
        _metrics.Dispose();
    }

    internal void WriteTo(StringBuilder text)
    {
        _listener.RecordObservableInstruments();
        lock (_families)
        {
            foreach (Family family in _families.Values)
            {
                family.WriteTo(text);
            }
        }
    }

    private void Set(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        lock (_families)
        {
            if (!_families.TryGetValue(instrument.Name, out Family? family))
            {
                family = new Family(instrument);
                _families.Add(instrument.Name, family);
            }

            family.Set(value, tags);
        }
    }

    /// <summary>An instrument and its values.</summary>
    private sealed class Family
    {
        private readonly string _head;
        private readonly string _name;
        private readonly double[] _bounds = [];
        private readonly long[] _buckets = [];
        private readonly SortedDictionary<string, double> _values = new(StringComparer.Ordinal);
        private double _sum;

        internal Family(Instrument instrument)
        {
            bool isCounter = instrument is ObservableCounter<long> or ObservableCounter<double>;
            string unit = instrument.Unit switch { "s" => "_seconds", "By" => "_bytes", _ => "" };
            _name = instrument.Name.Replace('.', '_') + unit + (isCounter ? "_total" : "");
            if (instrument is Histogram<double> { Advice.HistogramBucketBoundaries: { } bounds })
            {
                _bounds = [.. bounds];
                _buckets = new long[_bounds.Length + 1];
            }

            string kind = _bounds.Length > 0 ? "histogram" : isCounter ? "counter" : "gauge";
            _head = $"# HELP {_name} {instrument.Description}\n# TYPE {_name} {kind}\n";
        }

        internal void Set(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (_bounds.Length > 0)
            {
                int at = Array.FindIndex(_bounds, bound => value <= bound);
                _buckets[at < 0 ? _bounds.Length : at]++;
                _sum += value;
                return;
            }

            string labels = tags.Length == 0 ? "" : $"{{{tags[0].Key.Replace('.', '_')}=\"{tags[0].Value}\"}}";
            _values[labels] = value;
        }

        internal void WriteTo(StringBuilder text)
        {
            _ = text.Append(_head);
            foreach ((string labels, double value) in _values)
            {
                _ = text.Append(CultureInfo.InvariantCulture, $"{_name}{labels} {value}\n");
            }

            long count = 0;
            for (int i = 0; i < _buckets.Length; i++)
            {
                count += _buckets[i];
                string bound = i < _bounds.Length ? _bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
                _ = text.Append(CultureInfo.InvariantCulture, $"{_name}_bucket{{le=\"{bound}\"}} {count}\n");
            }

            if (_buckets.Length > 0)
            {
                _ = text.Append(CultureInfo.InvariantCulture, $"{_name}_sum {_sum}\n{_name}_count {count}\n");
            }
        }
    }
}
