// The waits of an RWMutex: how readers and the one writer that has announced itself wait for each other, let
// each other in, and give up. The counts, and why giving up is one exchange: RWMutex.cs.

using Weft.Runtime;

namespace Weft;

public sealed unsafe partial class RWMutex
{
    void IParkLock.Unlock() => _lock.Exit();

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        bool waits = true;
        if (_waitingWriter == g)
        {
            // Nobody who has it for reading will leave. Those who wait to read are abandoned as well.
            waits = TryTakeBack(out _);
        }
        else if (_waitingReaders.RemoveIfParked(g, this))
        {
            Interlocked.Decrement(ref _state);
        }
        else
        {
            waits = false;
        }
        _lock.Exit();
        return waits;
    }

    void ITokenQueue.CancelWait(TokenWait wait)
    {
        ReadyList list = default;
        _lock.Enter();
        if (wait.Cancel())
        {
            Goroutine* g = wait.Waiter->Goroutine;
            if (_waitingWriter == g ? GiveUpWriting(ref list) : TryGiveUpReading())
            {
                if (wait.Waiter->IsQueued)
                {
                    _waitingReaders.Remove(wait.Waiter);
                }
                list.Add(g);
            }
            else
            {
                wait.Waiter->Result = WaitResult.Waiting; // Too late: it gets the lock in a moment.
            }
        }
        _lock.Exit();
        list.Ready();
    }

    /// <summary>False when the token was cancelled first.</summary>
    private bool RLockSlow(CancellationToken token)
    {
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            wait = TokenWait.Register(this, Goroutine.WaiterOf(g), token); // May throw: not counted yet.
            return Interlocked.Increment(ref _state) >= 0 || WaitForWriter(g, wait);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    /// <summary>The caller holds _writers. False when the token was cancelled first.</summary>
    private bool LockSlow(CancellationToken token)
    {
        if (Interlocked.CompareExchange(ref _state, Announced, 0) == 0)
        {
            return true;
        }
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            wait = TokenWait.Register(this, Goroutine.WaiterOf(g), token); // May throw: as above.
            return Announce() == 0 || WaitForReaders(g, wait);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    private void WaitForWriter()
    {
        Goroutine* g = EnterWait();
        _ = WaitForWriter(g, null);
        LeaveWait(g);
    }

    /// <summary>False when the token was cancelled first.</summary>
    private bool WaitForWriter(Goroutine* g, TokenWait? wait)
    {
        while (true)
        {
            _lock.Enter();
            bool admitted = _admitted > 0;
            if (admitted)
            {
                _admitted--;
            }
            if (admitted || (wait is { IsCancelled: true } && TryGiveUpReading()))
            {
                _lock.Exit();
                return admitted;
            }
            if (g != null)
            {
                Waiter* waiter = Goroutine.WaiterOf(g);
                _waitingReaders.Enqueue(waiter);
                return Park(g, waiter);
            }
            _lock.Exit();
            Thread.Sleep(1);
        }
    }

    private void WaitForReaders()
    {
        Goroutine* g = EnterWait();
        _ = WaitForReaders(g, null);
        LeaveWait(g);
    }

    /// <summary>False when the token was cancelled first.</summary>
    private bool WaitForReaders(Goroutine* g, TokenWait? wait)
    {
        while (true)
        {
            ReadyList list = default;
            _lock.Enter();
            bool admitted = _writerMayGo;
            _writerMayGo = false;
            if (admitted || (wait is { IsCancelled: true } && GiveUpWriting(ref list)))
            {
                _lock.Exit();
                list.Ready();
                return admitted;
            }
            if (g != null)
            {
                Waiter* waiter = Goroutine.WaiterOf(g);
                waiter->IsQueued = true;
                _waitingWriter = g;
                return Park(g, waiter);
            }
            _lock.Exit();
            Thread.Sleep(1);
        }
    }

    /// <summary>Under the lock: count readers may go on.</summary>
    private void AdmitReaders(int count, ref ReadyList list)
    {
        for (; count > 0 && !_waitingReaders.IsEmpty; count--)
        {
            list.Add(_waitingReaders.Dequeue()->Goroutine);
        }
        _admitted += count;
    }

    private void AdmitWriter()
    {
        _lock.Enter();
        Goroutine* g = TakeWaitingWriter();
        _writerMayGo = g == null;
        _lock.Exit();
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    /// <summary>Under the lock. False when a writer has let it in: none is announced then, because that one
    /// keeps _writers until all have been told.</summary>
    private bool TryGiveUpReading()
    {
        long old = Volatile.Read(ref _state);
        while (old < 0)
        {
            long seen = Interlocked.CompareExchange(ref _state, old - 1, old);
            if (seen == old)
            {
                return true;
            }
            old = seen;
        }
        return false;
    }

    /// <summary>Under the lock: the writer that waits for readers gives up, and those behind it go on. False
    /// when the last reader has left.</summary>
    private bool GiveUpWriting(ref ReadyList list)
    {
        if (!TryTakeBack(out int behind))
        {
            return false;
        }
        AdmitReaders(behind, ref list);
        return true;
    }

    /// <summary>Under the lock: takes the announcement of a writer back that waits for readers, and the
    /// writer out of its place. False when the last reader has left.</summary>
    private bool TryTakeBack(out int behind)
    {
        behind = 0;
        long old = Volatile.Read(ref _state);
        while (Leaving(old) != 0)
        {
            long seen = Interlocked.CompareExchange(ref _state, Readers(old), old);
            if (seen == old)
            {
                behind = Readers(old) - Leaving(old);
                _ = TakeWaitingWriter();
                return true;
            }
            old = seen;
        }
        return false;
    }

    /// <summary>With the lock held. Null when none waits.</summary>
    private Goroutine* TakeWaitingWriter()
    {
        Goroutine* g = _waitingWriter;
        _waitingWriter = null;
        if (g != null)
        {
            Goroutine.WaiterOf(g)->IsQueued = false;
        }
        return g;
    }

    /// <summary>With the lock held, which it releases. False when the token was cancelled first.</summary>
    private bool Park(Goroutine* g, Waiter* waiter) =>
        TokenWait.Park(g, waiter, this, ParkReason.RWMutex) != WaitResult.Cancelled;

    /// <summary>Null for a thread when there is no stand-in to be had.</summary>
    private static Goroutine* EnterWait()
    {
        try
        {
            return Scheduler.EnterWait();
        }
        catch (Exception)
        {
            return null;
        }
    }

    private static void LeaveWait(Goroutine* g)
    {
        if (g != null)
        {
            Scheduler.LeaveWait(g);
        }
    }
}
