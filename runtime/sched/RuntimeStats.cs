namespace Weft;

/// <summary>
/// What the scheduler has and has done; see <see cref="Go.Stats"/>. The counters only grow; the other
/// figures were right a moment ago, each by itself.
/// </summary>
public readonly record struct RuntimeStats
{
    /// <summary>Goroutines that exist: <see cref="Go.Count"/>.</summary>
    public long Goroutines { get; init; }

    /// <summary>How many goroutines may run at the same time: <see cref="Go.MaxProcs"/>.</summary>
    public int Processors { get; init; }

    /// <summary>Processors that nobody uses at the moment.</summary>
    public int IdleProcessors { get; init; }

    /// <summary>OS threads that run goroutines, are in native code called by one, or sleep until they are
    /// needed.</summary>
    public int Machines { get; init; }

    /// <summary>Those that sleep.</summary>
    public int IdleMachines { get; init; }

    /// <summary>Those that have no processor and do not sleep: their goroutines are in a native call that
    /// blocks (a file, a look-up of a name, foreign code), have come back from one and wait for a processor,
    /// or are locked to them and wait. At most <see cref="Go.MaxThreads"/>.</summary>
    public int BlockedMachines { get; init; }

    /// <summary>How often a goroutine was given a processor.</summary>
    public long Runs { get; init; }

    /// <summary>How often a processor without work took half of another's queue.</summary>
    public long Steals { get; init; }

    /// <summary>How often somebody asked the system which descriptors are ready.</summary>
    public long Polls { get; init; }
}
