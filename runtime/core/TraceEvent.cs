// The kinds of events of the execution trace: core/TraceRing.cs.

namespace Weft.Runtime;

internal enum TraceEvent : byte
{
    /// <summary>Overwritten, or the rest of a text.</summary>
    None,

    /// <summary>A goroutine runs on this processor; the reason is why the one before it stopped, None if
    /// nobody ran.</summary>
    Run,

    /// <summary>A goroutine has stopped, and the machine's loop looks for the next one.</summary>
    Stop,

    /// <summary>A goroutine was made runnable; the reason is what it waited for, None if it is new.</summary>
    Ready,

    /// <summary>The function that a goroutine runs. The number is the code's address, and the goroutine the
    /// one that runs.</summary>
    Function,

    /// <summary>A machine has got this processor: its thread and its id.</summary>
    Hold,

    /// <summary>It has given it up.</summary>
    Release,

    /// <summary>Sysmon has taken it from a machine whose goroutine is in native code.</summary>
    Taken,

    /// <summary>A goroutine whose processor was taken is back from native code.</summary>
    NativeEnd,

    /// <summary>A look at the network, and how many it found.</summary>
    Poll,

    /// <summary>Half of another processor's queue was taken; whose.</summary>
    Steal,

    /// <summary>Sysmon has asked what runs on a processor to stop; which.</summary>
    AskedToStop,

    /// <summary>Sysmon collects, so that stacks come down.</summary>
    CollectForStacks,

    /// <summary>The thread that the next event is about, where no goroutine runs: its number.</summary>
    OnThread,

    /// <summary>A region begins: goroutine; the reason is the length of its name, which follows.</summary>
    RegionBegin,

    RegionEnd,

    /// <summary>A line of the program's, as a region.</summary>
    Log,

    /// <summary>15 bytes of a text.</summary>
    Text,
}
