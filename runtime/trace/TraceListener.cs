namespace Weft.Runtime;

/// <summary>Is told all events in the order of time: TraceReading.</summary>
internal abstract class TraceListener
{
    /// <summary>Whether it only listens, until Speak.</summary>
    internal bool IsSilent { get; set; }

    /// <summary>An event of that ring; the cursor stands at it, may be asked what follows, and goes past it.
    /// </summary>
    internal abstract void Add(int ring, in TraceRecord record, long ns, TraceCursor cursor);

    /// <summary>Events of that ring were overwritten before they were read.</summary>
    internal abstract void Lose(int ring, long count, long ns);

    /// <summary>A collection's pause, which is over.</summary>
    internal virtual void AddPause(long begin, long stopped, long end, long generation)
    {
    }

    /// <summary>What happens from here on is wanted.</summary>
    internal virtual void Speak(long ns) => IsSilent = false;
}
