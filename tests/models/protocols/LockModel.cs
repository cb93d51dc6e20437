// core/ShortLock.cs: two threads add to a number that the lock guards, one of them twice.
//
//   Enter   exchange, acquire <---.          what the last holder wrote is seen
//   Exit    store, release    ----'
//
// Must hold: no addition is lost, and the plain steps on the number are ordered.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal sealed unsafe class LockModel : Model
{
    private ShortLock* _lock;
    private int* _sum;

    internal override int Depth => 4;

    internal override (string, string)[] Barriers =>
    [
        ("lock-enter", "Switch.EnterLock CompareExchange ?"),
        ("lock-enter-contended", "ShortLock.EnterContended CompareExchange ShortLock._held"),
        ("lock-exit", "ShortLock.Release VolatileWrite ShortLock._held"),
    ];

    internal override Action[] Threads => [Twice, Once];

    internal override void SetUp()
    {
        _lock = Explorer.Allocate<ShortLock>("lock");
        _sum = Explorer.Allocate<int>("sum");
    }

    internal override void AtEnd() => Explorer.Assert(*_sum == 3, $"The sum is {*_sum}.");

    private void Twice()
    {
        Once();
        Once();
    }

    private void Once()
    {
        _lock->Enter();
        *_sum += 1;
        _lock->Exit();
    }
}
