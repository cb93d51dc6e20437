// A wait in a ByteChan that a scope may end: the C face's. It is one object for each scope, used again.
//
// Rejected: the channel itself as what the scope tells. It does not know whose wait, nor in which queue.

namespace Weft.Runtime;

internal sealed unsafe class ScopedChanWait : IScopedWait
{
    private ByteChan? _channel;
    private bool _sends;

    internal Waiter* Waiter { get; private set; }

    /// <summary>Guarded by the channel's lock.</summary>
    internal bool IsEnded { get; set; }

    internal static ScopedChanWait Of(WaitScope scope, ByteChan channel, Waiter* waiter, bool sends)
    {
        if (scope.SpareOfChan is not ScopedChanWait wait)
        {
            scope.SpareOfChan = wait = new ScopedChanWait();
        }
        wait._channel = channel;
        wait._sends = sends;
        wait.Waiter = waiter;
        wait.IsEnded = false;
        return wait;
    }

    /// <summary>Nothing keeps the channel alive.</summary>
    internal void Forget() => _channel = null;

    void IScopedWait.EndWait() => _channel!.EndWait(this, _sends);
}
