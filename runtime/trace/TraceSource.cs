namespace Weft.Runtime;

/// <summary>What a trace is made of; the scheduler has it.</summary>
internal abstract unsafe class TraceSource
{
    /// <summary>Rings there are: of no processor, then of each.</summary>
    internal abstract int RingCount { get; }

    internal abstract TraceRing* Ring(int index);

    /// <summary>Turns the writing of events on or off; false if there is no memory.</summary>
    internal abstract bool Set(bool on);

    /// <summary>The name of the function that has its code there.</summary>
    internal abstract string NameOf(nint code);

    /// <summary>What a goroutine does that stopped for that reason.</summary>
    internal abstract string Describe(ParkReason reason);

    /// <summary>Tells the goroutines that there are, and what they run.</summary>
    internal abstract void NameAll(Action<long, string> tell);

    /// <summary>Figures to write at the end, by name.</summary>
    internal abstract (string Name, long Value)[] Figures();
}
