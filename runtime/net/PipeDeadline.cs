// When the reads, or the writes, of a pipe's end stop waiting: a channel that is closed then. A later
// deadline makes a new one; those who wait already have the old one, unless that was still open: it serves
// on.
//
// Locks: an ordinary one, held for a few steps.

using Weft.Runtime;

namespace Weft;

internal sealed class PipeDeadline
{
    private readonly Lock _gate = new();
    private readonly Bubble? _bubble = Bubble.OfCaller();
    private Chan<Unit> _expired;
    private Timer? _timer;
    private int _version;

    internal PipeDeadline() => _expired = new Chan<Unit>(0, _bubble);

    /// <summary>Closed once the deadline has passed.</summary>
    internal Chan<Unit> Expired => Volatile.Read(ref _expired);

    /// <summary>Sets it anew. Timeout.InfiniteTimeSpan is never.</summary>
    internal void Set(TimeSpan fromNow)
    {
        Chan<Unit> open = new(0, _bubble);
        lock (_gate)
        {
            int version = ++_version;
            _ = _timer?.Halt();
            _timer = null;
            if (fromNow != Timeout.InfiniteTimeSpan && fromNow <= TimeSpan.Zero)
            {
                _ = _expired.TryClose();
                return;
            }
            if (_expired.IsClosed)
            {
                Volatile.Write(ref _expired, open);
            }
            if (fromNow != Timeout.InfiniteTimeSpan)
            {
                _timer = Timer.AfterFunc(fromNow, () => Expire(version));
            }
        }
    }

    private void Expire(int version)
    {
        lock (_gate)
        {
            if (version == _version)
            {
                _ = _expired.TryClose();
            }
        }
    }
}
