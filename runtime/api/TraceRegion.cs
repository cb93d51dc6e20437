using Weft.Runtime;

namespace Weft;

/// <summary>A region of the trace: see <see cref="Go.TraceRegion"/>. The default value is none.</summary>
public readonly struct TraceRegion : IDisposable, IEquatable<TraceRegion>
{
    private readonly bool _isOn;

    internal TraceRegion(bool isOn) => _isOn = isOn;

    /// <summary>Ends the region. By the goroutine, or thread, that has begun it, once.</summary>
    public void Dispose()
    {
        if (_isOn)
        {
            Scheduler.TraceText(TraceEvent.RegionEnd, default);
        }
    }

    /// <inheritdoc/>
    public bool Equals(TraceRegion other) => _isOn == other._isOn;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is TraceRegion other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _isOn.GetHashCode();

    /// <summary>Whether both are regions, or neither is.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>Whether they are equal.</returns>
    public static bool operator ==(TraceRegion left, TraceRegion right) => left.Equals(right);

    /// <summary>The opposite.</summary>
    /// <param name="left">One.</param>
    /// <param name="right">The other.</param>
    /// <returns>Whether they differ.</returns>
    public static bool operator !=(TraceRegion left, TraceRegion right) => !left.Equals(right);
}
