// What a debugger shows of a channel (DebuggerDisplay and DebuggerTypeProxy of Chan<T>). All threads stand
// while it is asked: so it takes no lock, asks no source, and enumerates nothing, which would receive. What
// it shows may be in the middle of a change.

using System.Diagnostics;

namespace Weft;

internal sealed class ChanDebugView<T>(Chan<T> channel)
{
    /// <summary>As Go's len and cap show it.</summary>
    public string State => channel.DebugText;

    /// <summary>Those in the buffer, in the order in which they will be received.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.RootHidden)]
    public T[] Elements => channel.CopyForDebugger();
}
