// A bubble: the goroutines of one WeftTest.Run, whose clock stands still while any of them can go on. Go:
// runtime/synctest.go.
//
//   running   those that do not wait durably: they run, are ready, or wait for what is not of the bubble
//   locked    of these, who wait for a lock that was made in the bubble
//
//   running == locked          nobody can go on: who is in WeftTest.Wait does, else the clock is put forward
//                              to the next timer, else the bubble is over, or deadlocked (Bubble.Clock.cs)
//
// Whether a wait is durable is decided by what is waited on: a channel, a WaitGroup, a semaphore, a condition
// that was made in the bubble, a sleep, nothing at all. A lock is not durable, as in Go, where its owner may
// be of no bubble. But if nobody else can go on, one that was made in the bubble will not be unlocked, and
// that is a deadlock here; in Go the test hangs.
//
// How a wait counts is in the goroutine (Extra.BubbleWait) before anybody can see that it waits. Who makes it
// ready adds it to the running, whoever completes its stop takes it off them afterwards: in this order the
// number is never too small.
//
// Nothing of this is on the way of others. A goroutine of a bubble stops in a loop and needs one to go on
// (Goroutine.StopsInLoop, NeedsLoop), and those questions were asked before: Complete, SubmitGlobal and
// RunDelegate call what is here. A spawn looks whether the caller is of a bubble, and so does who makes a
// channel, a lock, a timer, while there are bubbles at all.
//
// With a seed one goroutine of the bubble runs at a time: Bubble.Order.cs.
// Rejected: a driver goroutine that is woken for each step of the clock, as in Go (two switches each).
// Locks: _lock, a leaf.

using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Weft.Runtime;

/// <summary>What may have been made in a bubble.</summary>
internal interface IBubbled
{
    /// <summary>Who waits for it waits for goroutines of this bubble.</summary>
    public bool IsOf(Bubble bubble);
}

/// <summary>How many there are. Apart from Bubble, which has to be constructed.</summary>
internal static class Bubbles
{
    internal static int Count;
    internal static Bubble?[] All = null!;
}

internal sealed unsafe partial class Bubble : IParkLock
{
    private const int FirstRoom = 16;

    private static readonly Lock s_gate = new();

    private readonly int _number;
    private readonly TimerHeap _heap = TimerHeap.CreateApart();
    private ShortLock _lock;
    private int _total;
    private int _running;
    private int _locked;
    private Goroutine* _members;
    private Goroutine* _caller;
    private Goroutine* _waiter;
    private Goroutine* _woken; // By the clock, without an order: in order, to be run when it is put down.
    private Goroutine* _lastWoken;
    private bool _advancing; // Somebody puts the clock forward, or ends it.
    private bool _stopped;   // Nothing can happen any more, until the caller says so.
    private bool _mainEnded;
    private bool _isOver;
    private ExceptionDispatchInfo? _failure;
    private long _failedId;
    private long _mainId;

    internal Bubble(long? seed)
    {
        _order = seed is long given ? new BubbleOrder(given) : null;
        lock (s_gate)
        {
            Bubble?[] all = Bubbles.All ?? new Bubble?[FirstRoom];
            int free = Array.IndexOf(all, null);
            if (free < 0)
            {
                free = all.Length;
                Array.Resize(ref all, 2 * all.Length); // A copy: others read without the lock.
            }
            all[free] = this;
            _number = free;
            Volatile.Write(ref Bubbles.All, all);
            Bubbles.Count++;
        }
    }

    /// <summary>What a goroutine threw that nobody caught; the first one's.</summary>
    internal ExceptionDispatchInfo? Failure => Volatile.Read(ref _failure);

    /// <summary>The goroutine's number, or 0 if it was the body.</summary>
    internal long FailedId => _failedId == _mainId ? 0 : _failedId;

    internal bool MainEnded => Volatile.Read(ref _mainEnded);

    /// <summary>For who made it, when it has stopped: whether that is because of a lock of the
    /// bubble's.</summary>
    internal bool WaitsForLock => Volatile.Read(ref _locked) > 0;

    internal int Total => Volatile.Read(ref _total);

    /// <summary>Extra.BubbleNumber of its goroutines.</summary>
    internal int Number => _number;

    /// <summary>That of the calling goroutine; null outside of all, and on a system stack.</summary>
    internal static Bubble? OfCaller() => Volatile.Read(ref Bubbles.Count) == 0 ? null : Find();

    internal static Bubble Of(Goroutine* g) => Bubbles.All[g->Extra->BubbleNumber]!;

    void IParkLock.Unlock() => _lock.Exit();

    /// <summary>For what was made in this bubble: throws where the caller is not of it.</summary>
    internal void CheckCaller(string what)
    {
        if (Find() != this)
        {
            ThrowOutside(what);
        }
    }

    /// <summary>Adds one that has not started to the bubble.</summary>
    internal void Add(Goroutine* g)
    {
        GoroutineExtra* extra = GoroutineExtras.Of(g);
        extra->BubbleNumber = _number;
        extra->BubbleWait = BubbleWait.Foreign;
        g->IsBubbled = true;
        nint[]? room = _order?.MakeRoom(_total + 1);
        _lock.Enter();
        _order?.Use(room);
        extra->BubblePrevious = null;
        extra->BubbleNext = _members;
        if (_members != null)
        {
            _members->Extra->BubblePrevious = g;
        }
        _members = g;
        _total++;
        _running++;
        if (_order != null)
        {
            extra->BubbleRank = _order.NewRank();
        }
        _lock.Exit();
    }

    /// <summary>g, of this bubble, is runnable: one that has begun, or was waiting and is counted. What is to
    /// be run now, or null.</summary>
    internal Goroutine* Place(Goroutine* g)
    {
        _lock.Enter();
        Goroutine* next = Put(g);
        _lock.Exit();
        return next;
    }

    /// <summary>g was waiting, and is runnable. Who is to be run now, or null.</summary>
    internal Goroutine* Readied(Goroutine* g)
    {
        _lock.Enter();
        BubbleWait wait = g->Extra->BubbleWait;
        g->Extra->BubbleWait = BubbleWait.Foreign;
        _running += wait == BubbleWait.Durable ? 1 : 0;
        _locked -= wait == BubbleWait.Lock ? 1 : 0;
        Goroutine* next = Put(g);
        _lock.Exit();
        return next;
    }

    /// <summary>g is about to wait: nobody has been told yet. How that counts.</summary>
    internal BubbleWait Parking(Goroutine* g) => g->Extra->BubbleWait = Classify(g);

    /// <summary>One that was Parking waits now; it may have gone on already. Who is to be run now, or
    /// null.</summary>
    internal Goroutine* Parked(BubbleWait wait)
    {
        _lock.Enter();
        _running -= wait == BubbleWait.Durable ? 1 : 0;
        _locked += wait == BubbleWait.Lock ? 1 : 0;
        return Leave();
    }

    /// <summary>g ends: it is one of the bubble no more. Then Ended.</summary>
    internal void Remove(Goroutine* g)
    {
        GoroutineExtra* extra = g->Extra;
        _lock.Enter();
        if (extra->BubblePrevious == null)
        {
            _members = extra->BubbleNext;
        }
        else
        {
            extra->BubblePrevious->Extra->BubbleNext = extra->BubbleNext;
        }
        if (extra->BubbleNext != null)
        {
            extra->BubbleNext->Extra->BubblePrevious = extra->BubblePrevious;
        }
        _lock.Exit();
        g->IsBubbled = false;
    }

    /// <summary>One has ended. Who is to be run now, or null.</summary>
    internal Goroutine* Ended()
    {
        _lock.Enter();
        _total--;
        _running--;
        return Leave();
    }

    /// <summary>g, runnable, has let others run, in a bubble with an order. Who is to be run now.</summary>
    internal Goroutine* Yielded(Goroutine* g)
    {
        _lock.Enter();
        _order!.Push(g);
        _order.Free();
        Goroutine* next = Next();
        _lock.Exit();
        return next;
    }

    /// <summary>The filter of a goroutine's root: nobody catches the exception. True when that is the
    /// bubble's failure, and not the end of the process.</summary>
    internal static bool Takes(Goroutine* g, Exception e)
    {
        if (!g->IsBubbled)
        {
            return false;
        }
        Bubble bubble = Of(g);
        if (Interlocked.CompareExchange(ref bubble._failure, ExceptionDispatchInfo.Capture(e), null) == null)
        {
            bubble._failedId = g->Id;
        }
        return true;
    }

    /// <summary>The bubble's first goroutine runs this.</summary>
    internal void RunMain(Action body)
    {
        _mainId = Current.Goroutine()->Id;
        try
        {
            body();
        }
        finally
        {
            Volatile.Write(ref _mainEnded, true);
        }
    }

    /// <summary>Under the lock: g may run. Who is to be run now, or null.</summary>
    private Goroutine* Put(Goroutine* g)
    {
        if (_order != null)
        {
            _order.Push(g);
            return Next();
        }
        if (!_advancing || _stopped || Jit.IsOn)
        {
            return g;
        }
        g->Link = null;
        if (_woken == null)
        {
            _woken = g;
        }
        else
        {
            _lastWoken->Link = g;
        }
        _lastWoken = g;
        return null;
    }

    private static BubbleWait ByPlace(Goroutine* g, Bubble bubble, BubbleWait wait) =>
        Goroutine.ParkObject(g) is IBubbled place && place.IsOf(bubble) ? wait : BubbleWait.Foreign;

    private BubbleWait Classify(Goroutine* g)
    {
        switch (g->Reason)
        {
            case ParkReason.Sleep:
            case ParkReason.Never:
            case ParkReason.TestWait:
                return BubbleWait.Durable;

            case ParkReason.ChanSend:
            case ParkReason.ChanReceive:
            case ParkReason.Select:
            case ParkReason.WaitGroup:
            case ParkReason.Cond:
            case ParkReason.Semaphore:
                return ByPlace(g, this, BubbleWait.Durable);

            case ParkReason.Mutex:
            case ParkReason.RWMutex:
                return ByPlace(g, this, BubbleWait.Lock);

            default:
                return BubbleWait.Foreign;
        }
    }

    /// <summary>Under the lock, which it releases. Who ran has stopped: who is to be run now, or null.
    /// </summary>
    private Goroutine* Leave()
    {
        _order?.Free();
        Goroutine* next = Next();
        bool advance = IsIdle && !_advancing;
        _advancing |= advance;
        _lock.Exit();
        return advance ? Advance() : next;
    }

    /// <summary>Under the lock: nobody can go on.</summary>
    private bool IsIdle => _running == _locked;

    /// <summary>Under the lock: whose turn it is, where it is somebody's; null where one runs, or none can.
    /// </summary>
    private Goroutine* Next() => _order == null || _advancing ? null : _order.Next();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Bubble? Find()
    {
        Goroutine* g = Current.GoroutineOrNull();
        return g != null && g->IsBubbled ? Of(g) : null;
    }

    private static void ThrowOutside(string what) => throw new InvalidOperationException(
        $"{what} was made in a bubble of WeftTest.Run, and is used outside of it: by an ordinary thread, a "
        + "task, another bubble, or after the bubble's end.");
}
