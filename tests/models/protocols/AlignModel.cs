// time/TimerHeap.cs: a timer is set and stopped while its old entry comes due. Update, Align and TakeDue are
// transcribed, since references are no memory of the model's: a heap is a number here, and holds one entry.
//
//   changes    When, barrier, in which heap is it: align the entry there; in none: claim it for the caller's
//   aligns     heap's lock, exchange: the node is this heap's; When is read, and the entry is made to say that
//   takes      heap's lock, the entry goes, the node is in no heap; then it fires, if When says so
//
// Must hold: in the end there is an entry for When, and only one, or none where the timer is not set.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal sealed unsafe class AlignModel : Model
{
    private const long Never = TimerNode.Never;
    private const long Due = 10;
    private const long Later = 50;
    private const int None = 0;

    private struct Heap
    {
        internal ShortLock Lock;
        internal long Entry;
    }

    private Heap* _heaps; // 1 and 2.
    private ShortLock* _nodeLock;
    private long* _when;
    private int* _heap;

    internal override int Depth => 2;

    internal override bool NeedsFullExchanges => true;

    internal override (string, string)[] Barriers =>
    [
        ("align-update", "AlignModel.Update MemoryBarrier ?"),
        ("align-claim", "AlignModel.Align CompareExchange ?"),
    ];

    internal override Action[] Threads => [() => Change(Never, 1), () => Change(Later, 2), TakeDue];

    internal override void SetUp()
    {
        _heaps = Explorer.Allocate<Heap>("heaps", 3);
        _nodeLock = Explorer.Allocate<ShortLock>("node");
        _when = Explorer.Allocate<long>("when");
        _heap = Explorer.Allocate<int>("heap");
        *_when = Due;
        *_heap = 1;
        _heaps[1].Entry = Due;
        _heaps[2].Entry = Never;
    }

    internal override void AtEnd()
    {
        long when = *_when;
        Explorer.Assert(
            (when == Never) == (*_heap == None) && (when == Never || _heaps[*_heap].Entry == when),
            "The entry does not say when.");
        Explorer.Assert(*_heap == 1 || _heaps[1].Entry == Never, "There is an entry too many.");
        Explorer.Assert(*_heap == 2 || _heaps[2].Entry == Never, "There is an entry too many.");
    }

    private void Change(long when, int own)
    {
        _nodeLock->Enter();
        Volatile.Write(ref *_when, when);
        _nodeLock->Exit();
        Update(own);
    }

    private void Update(int own)
    {
        Interlocked.MemoryBarrier();
        int heap;
        do
        {
            heap = Volatile.Read(ref *_heap);
            if (heap == None)
            {
                if (Volatile.Read(ref *_when) == Never)
                {
                    return;
                }
                heap = own;
            }
        }
        while (!Align(heap));
    }

    /// <summary>False: it is in another heap.</summary>
    private bool Align(int heap)
    {
        _heaps[heap].Lock.Enter();
        int owner = Interlocked.CompareExchange(ref *_heap, heap, None);
        bool isHere = owner == None || owner == heap;
        if (isHere)
        {
            long when = Volatile.Read(ref *_when);
            _heaps[heap].Entry = when;
            if (when == Never)
            {
                Volatile.Write(ref *_heap, None);
            }
        }
        _heaps[heap].Lock.Exit();
        return isHere;
    }

    private void TakeDue()
    {
        _heaps[1].Lock.Enter();
        bool isDue = _heaps[1].Entry <= Due;
        if (isDue)
        {
            _heaps[1].Entry = Never;
            Volatile.Write(ref *_heap, None);
        }
        _heaps[1].Lock.Exit();
        if (isDue)
        {
            _nodeLock->Enter();
            if (Volatile.Read(ref *_when) <= Due)
            {
                Volatile.Write(ref *_when, Never);
            }
            _nodeLock->Exit();
        }
    }
}
