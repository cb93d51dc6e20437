// Goroutines taken out of a queue under its lock, to be made ready once it is released. Linked through
// Goroutine.Link, which no other list uses while they wait.

using Weft.Runtime;

namespace Weft;

internal unsafe struct ReadyList
{
    private Goroutine* _first;
    private Goroutine* _last;

    internal void Add(Goroutine* g)
    {
        g->Link = null;
        if (_last == null)
        {
            _first = g;
        }
        else
        {
            _last->Link = g;
        }
        _last = g;
    }

    /// <summary>In order of Add. Not under a lock.</summary>
    internal readonly void Ready() => Scheduler.ReadyAll(_first);
}
