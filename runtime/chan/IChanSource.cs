// Who sends to a channel only when somebody is there to receive: a timer (api/Alarm.cs). The channel refers
// to it, and nothing of Weft's to the two while nobody waits. So that nobody notices,
//
//   who looks    whether an element is there calls Poll first
//   who waits    is counted, from before it looks for the last time until it has stopped waiting
//
// All three are called with no lock held: the source's own comes before the channel's.

namespace Weft.Runtime;

internal interface IChanSource
{
    /// <summary>Sends what is due.</summary>
    public void Poll();

    /// <summary>From now on it sends by itself. Counts even if it throws
    /// InsufficientMemoryException.</summary>
    public void Watch();

    /// <summary>Ends one Watch.</summary>
    public void Unwatch();
}
