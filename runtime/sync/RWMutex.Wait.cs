// The waits of an RWMutex: how readers and the one writer that has shut the gate wait for each other, let
// each other in, and give up. The counts: RWMutex.cs.
//
// Who waits is counted nowhere but in the queue, under _lock, so who gives up leaves it and nothing else. A
// reader gets into the queue only while the gate is shut, and says so in the word of the gate: whoever opens
// it lets the whole queue in. So a reader waits for two writers at most: the one that it finds at the gate,
// and one that shuts it again before the reader is in the queue.

using System.Runtime.CompilerServices;
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
            _ = TakeWaitingWriter();
            Interlocked.Add(ref _state, -Shut);
        }
        else
        {
            waits = _waitingReaders.RemoveIfParked(g, this);
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
            if (_waitingWriter == g)
            {
                _ = TakeWaitingWriter();
                OpenGate(ref list);
            }
            else
            {
                _waitingReaders.Remove(wait.Waiter);
            }
            list.Add(g);
        }
        _lock.Exit();
        list.Ready();
    }

    /// <summary>What RUnlock does in stripes when the count is negative now, or a writer has parked or
    /// writes.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RUnlockSlow(long[] stripes, int here, long count)
    {
        bool isNewLow = ReaderStripes.IsNewLow(stripes, here, count);
        // While somebody writes nobody reads; or the caller has left just before.
        if (!isNewLow && (Volatile.Read(ref _state) & Writing) == 0)
        {
            LookAfterWriter();
            return;
        }
        _lock.Enter();
        Interlocked.Add(ref _state, Counting); // Pairs with each reader that adds, then looks.
        long readers = Readers();
        bool tooMany = readers < 0;
        if (tooMany)
        {
            readers++;
            Interlocked.Increment(ref ReaderStripes.Count(stripes, here));
        }
        else if (isNewLow)
        {
            ReaderStripes.SetLow(stripes, here, count);
        }
        if (readers == 0)
        {
            Interlocked.Add(ref _state, ReaderStripes.TakeAll(stripes) * One);
        }
        Interlocked.Add(ref _state, -Counting);
        Goroutine* writer = readers <= 0 ? TakeWaitingWriter() : null;
        _lock.Exit();
        if (writer != null)
        {
            Scheduler.Ready(writer);
        }
        if (tooMany)
        {
            ThrowNotReading();
        }
    }

    /// <summary>Unlock while somebody waits to read.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void UnlockSlow()
    {
        ReadyList list = default;
        _lock.Enter();
        bool wrote = (Volatile.Read(ref _state) & Writing) != 0;
        if (wrote)
        {
            OpenGate(ref list);
        }
        _lock.Exit();
        list.Ready();
        if (!wrote)
        {
            ThrowNotWriting();
        }
    }

    /// <summary>For the C face. False when the wait was ended: the caller does not have the lock.</summary>
    internal bool RLock(in WaitEnd end) => TryRLock() || RLockSlow(end);

    /// <summary>The same for writing. Throws as Lock does.</summary>
    internal bool Lock(in WaitEnd end)
    {
        if (!_writers.Lock(end))
        {
            return false;
        }
        bool locked = false;
        try
        {
            locked = LockSlow(end);
        }
        finally
        {
            if (!locked)
            {
                _writers.Unlock();
            }
        }
        return locked;
    }

    /// <summary>False when the wait was ended first.</summary>
    private bool RLockSlow(in WaitEnd end)
    {
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            wait = TokenWait.Register(this, Goroutine.WaiterOf(g), end);
            return WaitForWriter(g, wait);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    /// <summary>The caller holds _writers. False when the wait was ended first.</summary>
    private bool LockSlow(in WaitEnd end)
    {
        if (TryShutGate())
        {
            return true;
        }
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            wait = TokenWait.Register(this, Goroutine.WaiterOf(g), end); // May throw: the gate is open yet.
            return ShutGate() == 0 || WaitForReaders(g, wait);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WaitForWriter()
    {
        Goroutine* g = EnterWait();
        _ = WaitForWriter(g, null);
        LeaveWait(g);
    }

    /// <summary>The caller is not counted. False when the token was cancelled first.</summary>
    private bool WaitForWriter(Goroutine* g, TokenWait? wait)
    {
        if (g != null && SpinForWriter())
        {
            return true;
        }
        bool polls = false;
        while (true)
        {
            _lock.Enter();
            bool entered = polls ? _admitted > 0 : TryEnterOrSayWaits();
            if (entered || wait is { IsCancelled: true })
            {
                _admitted -= polls ? 1 : 0; // Who polls has no token.
                _lock.Exit();
                return entered;
            }
            if (g != null)
            {
                Waiter* waiter = Goroutine.WaiterOf(g);
                waiter->Amount = ReaderStripes.Here();
                _waitingReaders.Enqueue(waiter);
                return Park(g, waiter);
            }
            _polling += polls ? 0 : 1;
            polls = true;
            _lock.Exit();
            Thread.Sleep(1);
        }
    }

    /// <summary>Under _lock. True: the caller is counted. False: the gate is shut, and whoever opens it will
    /// look at the queue.</summary>
    private bool TryEnterOrSayWaits()
    {
        while (!TryEnter())
        {
            long old = Volatile.Read(ref _state);
            while ((old & Shut) != 0)
            {
                long seen = Interlocked.CompareExchange(ref _state, old | ReadersWait, old);
                if (seen == old)
                {
                    return false;
                }
                old = seen;
            }
        }
        return true;
    }

    /// <summary>The caller holds _writers, and has shut the gate. If this throws, it has neither.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WaitForReaders()
    {
        Goroutine* g = EnterWait();
        try
        {
            _ = WaitForReaders(g, null);
        }
        catch
        {
            _writers.Unlock();
            throw;
        }
        finally
        {
            LeaveWait(g);
        }
    }

    /// <summary>The caller has shut the gate. False when the token was cancelled first.</summary>
    private bool WaitForReaders(Goroutine* g, TokenWait? wait)
    {
        bool left = (g != null && SpinForReaders()) || ParkForReaders(g, wait);
        if (left)
        {
            Interlocked.Add(ref _state, Writing);
        }
        return left;
    }

    private bool ParkForReaders(Goroutine* g, TokenWait? wait)
    {
        while (true)
        {
            ReadyList list = default;
            _lock.Enter();
            if (g != null)
            {
                // Pairs with each reader that subtracts, then looks.
                Interlocked.Add(ref _state, WriterParks);
            }
            long readers = Readers();
            bool cancelled = readers > 0 && wait is { IsCancelled: true };
            if (readers > 0 && !cancelled && g != null)
            {
                Waiter* waiter = Goroutine.WaiterOf(g);
                waiter->IsQueued = true;
                _waitingWriter = g;
                return Park(g, waiter);
            }
            if (g != null)
            {
                Interlocked.Add(ref _state, -WriterParks);
            }
            if (cancelled)
            {
                OpenGate(ref list);
            }
            _lock.Exit();
            list.Ready();
            if (readers <= 0)
            {
                ThrowIfTooFew(readers);
                return true;
            }
            if (cancelled)
            {
                return false;
            }
            Thread.Sleep(1);
        }
    }

    /// <summary>The caller holds _writers, has shut the gate, and does not wait for readers.</summary>
    private bool IsFreeAfterAll()
    {
        ReadyList list = default;
        _lock.Enter();
        long readers = Readers();
        if (readers > 0)
        {
            OpenGate(ref list);
        }
        _lock.Exit();
        list.Ready();
        if (readers > 0)
        {
            return false;
        }
        ThrowIfTooFew(readers);
        Interlocked.Add(ref _state, Writing);
        return true;
    }

    /// <summary>The caller has shut the gate, and nobody is inside. Who has called RUnlock too often need not
    /// have found it out: RWMutex.cs.</summary>
    private void ThrowIfTooFew(long readers)
    {
        if (readers >= 0)
        {
            return;
        }
        ReadyList list = default;
        _lock.Enter();
        readers = Readers();
        bool tooFew = readers < 0; // Who has called it may have put it right since.
        if (tooFew)
        {
            Interlocked.Add(ref _state, -readers * One);
            OpenGate(ref list);
        }
        _lock.Exit();
        list.Ready();
        if (tooFew)
        {
            throw new InvalidOperationException("RUnlock of an RWMutex was called more often than RLock.");
        }
    }

    /// <summary>Whether the caller has it for reading now, because the writer has left soon.</summary>
    private bool SpinForWriter()
    {
        BriefSpin spinning = default;
        while ((Volatile.Read(ref _state) & WriterParks) == 0 && spinning.MayGoOn(BriefSpin.LeastNs))
        {
            spinning.Spin();
            if (IsOpen(Volatile.Read(ref _state)))
            {
                if (TryEnter())
                {
                    return true;
                }
                LookAfterWriter();
            }
        }
        return false;
    }

    /// <summary>Whether those inside have left soon.</summary>
    private bool SpinForReaders()
    {
        BriefSpin spinning = default;
        while (spinning.MayGoOn(BriefSpin.LeastNs))
        {
            spinning.Spin();
            if (Readers() == 0)
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>Lets the writer in that has parked, if nobody is inside any more. Fewer than none: somebody
    /// has called RUnlock too often.</summary>
    private void LookAfterWriter()
    {
        if ((Volatile.Read(ref _state) & WriterParks) == 0 || Readers() > 0)
        {
            return; // In the latter case another one looks, later.
        }
        _lock.Enter();
        Goroutine* g = Readers() <= 0 ? TakeWaitingWriter() : null;
        _lock.Exit();
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    /// <summary>Under _lock. Null when none waits.</summary>
    private Goroutine* TakeWaitingWriter()
    {
        Goroutine* g = _waitingWriter;
        _waitingWriter = null;
        if (g != null)
        {
            Goroutine.WaiterOf(g)->IsQueued = false;
            Interlocked.Add(ref _state, -WriterParks);
        }
        return g;
    }

    /// <summary>Under _lock, which it releases. False when the token was cancelled first.</summary>
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
