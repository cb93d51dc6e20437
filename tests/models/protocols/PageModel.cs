// stack/Homes.cs: two goroutines whose homes share a page. Who comes while the other one's stack is there goes to a
// page of its own. EnterSharing and LeaveSharing are transcribed: Homes needs address space for millions.
//
//   enters     exchange: the page's state from 0 to Taken        or a page of its own
//   leaves     the state 0, a release store: its stack is gone
//
// Must hold: one stack at a time is in the page, and the next one is written after all that the one before did there.

namespace Weft.Models.Protocols;

internal sealed unsafe class PageModel : Model
{
    private const byte Taken = 1;

    private byte* _state;
    private int* _page;
    private int _shared;

    internal override (string, string)[] Barriers =>
    [
        ("page-enter", "PageModel.Enter CompareExchange ?"),
        ("page-leave", "PageModel.Leave VolatileWrite ?"),
    ];

    internal override Action[] Threads => [Live, Live, Live];

    internal override void SetUp()
    {
        _state = Explorer.Allocate<byte>("state");
        _page = Explorer.Allocate<int>("page");
        _shared = 0;
    }

    internal override void AtEnd()
    {
        Explorer.Assert(*_state == 0, "It is taken, and nobody is there.");
        Explorer.Assert(_shared > 0, "Nobody was there.");
    }

    private void Live()
    {
        if (Enter())
        {
            *_page = Explorer.Local.Id;
            _shared++;
            Explorer.Assert(*_page == Explorer.Local.Id, "Another stack is there.");
            Leave();
        }
    }

    private bool Enter() => Interlocked.CompareExchange(ref *_state, Taken, 0) == 0;

    private void Leave() => Volatile.Write(ref *_state, 0);
}
