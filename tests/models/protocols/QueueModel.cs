// core/RunQueue.cs, what its models have in common: queues, and goroutines each of which is to run once.
//
//   owner   [ queue ] <--steals-- thief [ a queue of its own ] <--steals-- another
//
// Must hold: every goroutine that was put in is taken once, by one of the threads or afterwards; and whoever
// takes it sees what was written before it was put in.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class QueueModel : Model
{
    private readonly int[] _taken = new int[Most];

    private protected const int Most = 6;

    private protected RunQueue* Queue { get; private set; }

    private protected RunQueue* Second { get; private set; }

    private protected RunQueue* Third { get; private set; }

    private protected Goroutine* Goroutines { get; private set; }

    /// <summary>How many are put in.</summary>
    private protected abstract int Count { get; }

    // A thief reads slots before the exchange that tells whether they were the victim's still.
    internal override string[] Races => ["slots", "second slots"];

    internal override void SetUp()
    {
        Queue = Make("queue", "slots");
        Second = Make("second queue", "second slots");
        Third = Make("third queue", "third slots");
        Goroutines = Explorer.Allocate<Goroutine>("goroutines", Most);
        Array.Clear(_taken);
    }

    internal override void AtEnd()
    {
        Empty(Queue);
        Empty(Second);
        Empty(Third);
        for (int i = 0; i < Most; i++)
        {
            Explorer.Assert(_taken[i] == (i < Count ? 1 : 0), $"Goroutine {i} ran {_taken[i]} times.");
        }
    }

    private protected Goroutine* Ready(int number)
    {
        Goroutines[number].Id = number + 1;
        return Goroutines + number;
    }

    private protected void Run(Goroutine* g)
    {
        if (g != null)
        {
            long number = g - Goroutines;
            Explorer.Assert(g->Id == number + 1, "What was written before it was put in is not seen.");
            g->Id = 0; // A second one that runs it finds this, if not before.
            _taken[number]++;
        }
    }

    private void Empty(RunQueue* queue)
    {
        for (Goroutine* g = queue->Pop(); g != null; g = queue->Pop())
        {
            Run(g);
        }
        Explorer.Assert(queue->IsEmpty, "An empty queue does not look empty.");
    }

    private static RunQueue* Make(string name, string slots)
    {
        RunQueue* queue = Explorer.Allocate<RunQueue>(name);
        queue->Initialize((Goroutine**)Explorer.Allocate<nint>(slots, 2 * Layout.RunQueueSize));
        return queue;
    }
}

/// <summary>The ring, which goes round once: two are stolen from, or taken by, its owner; and a thief's own ring,
/// which another steals from.</summary>
internal sealed unsafe class RingModel : QueueModel
{
    internal override int Depth => 2;

    private protected override int Count => 5;

    internal override (string, string)[] Barriers =>
    [
        ("ring-push", "RunQueue.TryPush VolatileWrite RunQueue._tail"),
        ("ring-steal", "RunQueue.StealFrom VolatileRead RunQueue._tail"),
        ("ring-stolen", "RunQueue.StealFrom VolatileWrite RunQueue._tail"),
    ];

    internal override Action[] Threads => [Owner, Thief, Another];

    internal override void SetUp()
    {
        base.SetUp();
        _ = Queue->TryPush(Ready(0));
        _ = Queue->TryPush(Ready(1));
    }

    private void Owner()
    {
        Explorer.Assert(Queue->TryPush(Ready(2)), "A queue with room is full.");
        Explorer.Assert(Queue->TryPush(Ready(3)), "A queue with room is full.");
        if (!Queue->TryPush(Ready(4)))
        {
            int count = Queue->TakeHalf(out uint start);
            for (int i = 0; i < count; i++)
            {
                Run(Queue->Slots[(start + (uint)i) % Layout.RunQueueSize]);
            }
            Explorer.Assert(Queue->TryPush(Goroutines + 4), "A queue with room is full.");
        }
        Run(Queue->Pop());
    }

    private void Thief()
    {
        Run(Second->StealFrom(Queue, takeNext: false));
        Run(Second->Pop());
        Run(Second->StealFrom(Queue, takeNext: false));
    }

    private void Another() => Run(Third->StealFrom(Second, takeNext: false));
}

/// <summary>What is next, beside the ring.</summary>
internal sealed unsafe class NextModel : QueueModel
{
    internal override int Depth => 4;

    private protected override int Count => 3;

    internal override (string, string)[] Barriers =>
    [
        ("next-exchange", "RunQueue.ExchangeNext Exchange RunQueue._next"),
    ];

    internal override Action[] Threads => [Owner, Thief];

    private void Owner()
    {
        for (int i = 0; i < 3; i++)
        {
            Goroutine* displaced = Queue->ExchangeNext(Ready(i));
            if (displaced != null)
            {
                Explorer.Assert(Queue->TryPush(displaced), "A queue with room is full.");
            }
        }
        Run(Queue->Pop());
        Run(Queue->Pop());
    }

    private void Thief()
    {
        Run(Second->StealFrom(Queue, takeNext: true));
        Run(Second->Pop());
        Run(Second->StealFrom(Queue, takeNext: true));
    }
}

/// <summary>Fresh ones: the owner pops the newest, and pushes another in its place, while a thief copies the
/// older half.</summary>
internal sealed unsafe class FreshModel : QueueModel
{
    internal override int Depth => 4;

    private protected override int Count => 4;

    internal override (string, string)[] Barriers =>
    [
        ("fresh-push", "RunQueue.ExchangeFresh CompareExchange RunQueue._fresh"),
    ];

    internal override Action[] Threads => [Owner, Thief];

    private void Owner()
    {
        _ = Queue->TryPushFresh(Ready(0));
        _ = Queue->TryPushFresh(Ready(1));
        Run(Queue->Pop());
        Explorer.Assert(Queue->TryPushFresh(Ready(2)), "A queue with room is full.");
        Run(Queue->Pop());
        Explorer.Assert(Queue->TryPushFresh(Ready(3)), "A queue with room is full.");
    }

    private void Thief()
    {
        Run(Second->StealFrom(Queue, takeNext: false));
        Run(Second->StealFrom(Queue, takeNext: false));
    }
}

/// <summary>IsEmpty: the owner's queue always has somebody, now in one place, now in another, and never looks
/// empty.</summary>
internal sealed unsafe class EmptyModel : QueueModel
{
    internal override int Depth => 4;

    private protected override int Count => 3;

    internal override (string, string)[] Barriers =>
    [
        ("empty-next", "RunQueue.IsEmpty VolatileRead RunQueue._next"),
        ("empty-head", "RunQueue.IsEmpty VolatileRead RunQueue._head"),
    ];

    internal override Action[] Threads => [Owner, Looker];

    internal override void SetUp()
    {
        base.SetUp();
        _ = Queue->ExchangeNext(Ready(0));
    }

    private void Owner()
    {
        Explorer.Assert(Queue->TryPush(Queue->ExchangeNext(Ready(1))), "A queue with room is full.");
        Run(Queue->Pop()); // What is next; one is in the ring.
        Explorer.Assert(Queue->TryPushFresh(Ready(2)), "A queue with room is full.");
        Run(Queue->PopRingFirst()); // One is fresh.
    }

    private void Looker()
    {
        Explorer.Assert(!Queue->IsEmpty, "It looks empty.");
        Explorer.Assert(!Queue->IsEmpty, "It looks empty.");
    }
}

/// <summary>Exclusive: the last thief steals, and then retires its processor under the scheduler's lock, which
/// makes the queue the owner's alone. From then on the owner takes and exchanges with plain stores.
/// Retires is Scheduler.ShareOrUnshare in a line.</summary>
internal sealed unsafe class ExclusiveModel : QueueModel
{
    private ShortLock* _lock;

    internal override int Depth => 4;

    private protected override int Count => 4;

    internal override (string, string)[] Barriers =>
    [
        ("exclusive-read", "RunQueue.Exclusive VolatileRead RunQueue._exclusive"),
        ("exclusive-set", "RunQueue.Exclusive VolatileWrite RunQueue._exclusive"),
    ];

    internal override Action[] Threads => [Owner, Thief];

    internal override void SetUp()
    {
        base.SetUp();
        _lock = Explorer.Allocate<ShortLock>("lock");
        _ = Queue->TryPush(Ready(0));
        _ = Queue->ExchangeNext(Ready(1));
        _ = Queue->TryPushFresh(Ready(2));
    }

    private void Owner()
    {
        Run(Queue->Pop());
        Run(Queue->Pop());
        Run(Queue->ExchangeNext(Ready(3)));
        Run(Queue->PopRingFirst());
        Run(Queue->Pop());
    }

    private void Thief()
    {
        Run(Second->StealFrom(Queue, takeNext: true));
        nint next = Queue->NextSeen;
        Run(next == 0 ? null : Queue->StealNext(next));
        _lock->Enter();
        Queue->Exclusive = true;
        _lock->Exit();
    }
}
