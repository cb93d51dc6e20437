// The clock of a bubble, and its end.
//
//   nobody can go on         who finds that out acts, on its system stack, until somebody can:
//     timers that are due    happen
//     WeftTest.Wait          returns
//     a timer that is set    the clock is put forward to it. Not once the body has ended, or somebody failed
//     else                   the bubble is over, or what is left waits for ever: the caller of Run goes on
//
//   the caller               takes those that are left out of their queues and makes all ready, with the
//                            exception of Go.Exit, as Go.FindLeaks does: their finally blocks run. Those may
//                            wait again, so it does that a number of times
//
// The times are those of a heap of the bubble's own (time/TimerHeap.cs). The clock begins where Go's does,
// at midnight UTC on 1 January 2000.
// Locks: see Bubble.cs.

namespace Weft.Runtime;

internal sealed unsafe partial class Bubble
{
    private const long Beginning = 1_000_000_000; // Of the monotonic clock: 0 means "not yet" to some.
    private const int MostRounds = 100;

    private static readonly DateTimeOffset s_utcAtBeginning = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private long _now = Beginning;

    /// <summary>In ns, instead of Os.NowNs.</summary>
    internal long Now => Volatile.Read(ref _now);

    internal DateTimeOffset UtcNow =>
        s_utcAtBeginning.AddTicks((Now - Beginning) / TimeSpan.NanosecondsPerTick);

    internal TimerHeap Heap => _heap;

    /// <summary>Nothing of it is used any more.</summary>
    internal bool IsOver => Volatile.Read(ref _isOver);

    /// <summary>The calling goroutine's time: that of its bubble, or the system's.</summary>
    internal static long NowOf(Goroutine* g) => g != null && g->IsBubbled ? Of(g).Now : Os.NowNs();

    /// <summary>Parks g until all others of the bubble wait, durably; it may have been abandoned then. False
    /// when somebody does so already.</summary>
    internal bool WaitForOthers(Goroutine* g)
    {
        _lock.Enter();
        if (_waiter != null)
        {
            _lock.Exit();
            return false;
        }
        _waiter = g;
        Goroutine.ParkObject(g) = this;
        Scheduler.Park(g, &ParkLock.Release, null, ParkReason.TestWait);
        Goroutine.ParkObject(g) = null;
        return true;
    }

    /// <summary>For who made the bubble: waits until nothing can happen in it any more.</summary>
    internal void WaitUntilStopped()
    {
        Goroutine* g = Scheduler.EnterWait();
        _lock.Enter();
        if (_stopped)
        {
            _lock.Exit();
        }
        else
        {
            _caller = g;
            Goroutine.ParkObject(g) = this;
            Scheduler.Park(g, &ParkLock.Release, null, ParkReason.TestRun);
            Goroutine.ParkObject(g) = null;
        }
        Scheduler.LeaveWait(g);
    }

    /// <summary>For who made the bubble, which has stopped: ends all that are left. False when some do not
    /// end.</summary>
    internal bool EndAll()
    {
        for (int round = 0; Total > 0 && round < MostRounds; round++)
        {
            Fail(); // The clock stands still from here on.
            if (!AbandonAll())
            {
                break;
            }
            WaitUntilStopped();
        }
        return Total == 0;
    }

    /// <summary>For who made the bubble: it is done with.</summary>
    internal void Close()
    {
        Volatile.Write(ref _isOver, true);
        _ = DropTimers();
        if (Total > 0)
        {
            return; // Those that are left look for it.
        }
        TimerHeap.GiveApart(_heap);
        lock (s_gate)
        {
            Bubbles.All[_number] = null;
            Bubbles.Count--;
        }
    }

    /// <summary>The clock is put forward no more.</summary>
    private void Fail() => Volatile.Write(ref _mainEnded, true);

    /// <summary>Nobody can go on, and the caller alone does something about it. Who is to be run, when
    /// somebody can; or null.</summary>
    private Goroutine* Advance()
    {
        while (true)
        {
            Goroutine* waiter = null;
            _lock.Enter();
            if (!IsIdle)
            {
                _advancing = false;
                Goroutine* next = _order == null ? _woken : Next();
                Goroutine* others = next == null || _order != null ? null : next->Link;
                _woken = null;
                _lock.Exit();
                Scheduler.DispatchAll(others);
                return next;
            }
            long when = _locked > 0 ? TimerNode.Never : _heap.Earliest;
            if (when > _now && _waiter != null && _locked == 0)
            {
                waiter = _waiter;
                _waiter = null;
            }
            else if (when > _now && when != TimerNode.Never && !_mainEnded && _failure == null)
            {
                Volatile.Write(ref _now, when);
            }
            else if (when > _now)
            {
                Goroutine* caller = _caller;
                _caller = null;
                _stopped = true;
                _lock.Exit();
                if (caller != null)
                {
                    Scheduler.Ready(caller);
                }
                return null;
            }
            _lock.Exit();
            if (waiter != null)
            {
                Scheduler.Ready(waiter);
            }
            else
            {
                RunDue();
            }
        }
    }

    private void RunDue()
    {
        long now = _now;
        while (_heap.TakeDue(now, TimerHeap.SleepersAtOnce, out Goroutine* sleepers, out TimerNode? node))
        {
            node?.Fire(now);
            Scheduler.ReadyAll(sleepers);
        }
    }

    /// <summary>Takes all timers out of the heap; those that slept, linked.</summary>
    private Goroutine* DropTimers()
    {
        Goroutine* all = null;
        while (_heap.TakeDue(TimerNode.Never - 1, 1, out Goroutine* sleepers, out _))
        {
            if (sleepers != null)
            {
                sleepers->Link = all;
                all = sleepers;
            }
        }
        return all;
    }

    /// <summary>All wait, and nobody else makes one ready. False when none could be taken out of its queue.
    /// </summary>
    private bool AbandonAll()
    {
        Goroutine* sleepers = DropTimers();
        List<nint> abandoned = [];
        for (Goroutine* g = sleepers; g != null; g = g->Link)
        {
            abandoned.Add((nint)g);
        }
        for (Goroutine* g = _members; g != null; g = g->Extra->BubbleNext)
        {
            if (g->State == GoroutineState.Waiting && g->Context.NativeDepth <= 0 && TakeOut(g))
            {
                abandoned.Add((nint)g);
            }
        }
        foreach (nint each in abandoned)
        {
            ((Goroutine*)each)->Abandoned = true;
        }
        if (abandoned.Count == 0)
        {
            return false;
        }
        _lock.Enter();
        _stopped = false;
        _lock.Exit();
        foreach (nint each in abandoned)
        {
            Scheduler.Ready((Goroutine*)each); // The clock is somebody's still: none of them runs yet.
        }
        Scheduler.Dispatch(Advance());
        return true;
    }

    private bool TakeOut(Goroutine* g)
    {
        if (g == _waiter)
        {
            _waiter = null;
            return true;
        }
        return g->Reason == ParkReason.Never
            || (Goroutine.ParkObject(g) is IParkPlace place && place.Abandon(g));
    }
}
