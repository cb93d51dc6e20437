// Waiting for a condition under a mutex. Who waits is in the queue before the mutex is unlocked, so a signal
// given after that is not missed; but it is parked only afterwards, since Unlock is not for the commit of a
// park. So a waiter is in the queue in one of two states: Entering, and then a signal only says Woken; or
// Waiting, and then a signal also makes it ready.
//
// Rejected: Go's tickets, taken before the unlock and looked up in the queue by number; the same thing with
// a search.
// Locks: _lock, a leaf but for the scheduler's. Never while the mutex is locked or unlocked.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// A condition that goroutines and threads wait for, and that is announced by others. Go: sync.Cond. The
/// state that the condition is about is guarded by <see cref="Mutex"/>.
/// </summary>
/// <example><code>
/// using (cond.Mutex.EnterScope())
/// {
///     while (!condition)
///     {
///         cond.Wait();
///     }
/// }
/// </code></example>
public sealed unsafe class Cond : IParkLock, IParkPlace, ITokenQueue, IBubbled
{
    private readonly Bubble? _bubble = Bubble.OfCaller();
    private ShortLock _lock;
    private WaitQueue _waiters;

    /// <summary>Makes one.</summary>
    /// <param name="mutex">Held by whoever calls <see cref="Wait()"/>. Several may share it.</param>
    /// <exception cref="ArgumentNullException">The mutex is null.</exception>
    public Cond(Mutex mutex)
    {
        ArgumentNullException.ThrowIfNull(mutex);
        Mutex = mutex;
    }

    /// <summary>What guards the condition. Go: Cond.L.</summary>
    public Mutex Mutex { get; }

    /// <summary>Unlocks the mutex, waits for a signal, and locks the mutex again. The condition may be false
    /// by then: call it in a loop. Those who wait are served in order of arrival.</summary>
    /// <exception cref="InvalidOperationException">The mutex is not locked.</exception>
    public void Wait() => _ = WaitUnlocked(default);

    /// <summary>The same, unless the token is cancelled first. The mutex is locked again in any case, and the
    /// token does not end the wait for that.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="InvalidOperationException">The mutex is not locked.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller has taken no signal,
    /// and has the mutex.</exception>
    public void Wait(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (!WaitUnlocked(new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>For the C face. False when the wait was ended: the caller has taken no signal. It has the
    /// mutex.</summary>
    internal bool Wait(in WaitEnd end) => WaitUnlocked(end);

    /// <summary>Wakes the one that has waited longest, if any waits. The caller may hold the mutex, but need
    /// not.</summary>
    /// <exception cref="InvalidOperationException">It was made in a bubble of <c>WeftTest.Run</c>, and the
    /// caller is not of it.</exception>
    public void Signal() => Wake(1);

    /// <summary>Wakes all who wait. The caller may hold the mutex, but need not.</summary>
    /// <exception cref="InvalidOperationException">As <see cref="Signal"/>.</exception>
    public void Broadcast() => Wake(int.MaxValue);

    void IParkLock.Unlock() => _lock.Exit();

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        bool waits = _waiters.RemoveIfParked(g, this);
        _lock.Exit();
        return waits;
    }

    // One that is Entering looks for itself.
    void ITokenQueue.CancelWait(TokenWait wait) => wait.CancelIn(ref _lock, ref _waiters);

    /// <summary>False when the wait was ended first. The mutex is locked.</summary>
    private bool WaitUnlocked(in WaitEnd end)
    {
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        bool signalled;
        bool abandoned = false;
        try
        {
            Waiter* waiter = Goroutine.WaiterOf(g);
            wait = TokenWait.Register(this, waiter, end);
            waiter->Goroutine = g;
            waiter->Result = WaitResult.Entering;
            _lock.Enter();
            _waiters.Enqueue(waiter);
            _lock.Exit();
            UnlockMutex(waiter);
            signalled = WaitQueued(g, waiter, wait, out abandoned);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
        Mutex.Lock(CancellationToken.None); // Whoever gave up has it too, as everybody who waited.
        if (abandoned)
        {
            throw new GoroutineExit(); // Not before: what unwinds will unlock the mutex.
        }
        return signalled;
    }

    private void UnlockMutex(Waiter* waiter)
    {
        try
        {
            Mutex.Unlock();
        }
        catch (InvalidOperationException)
        {
            Leave(waiter);
            throw;
        }
    }

    /// <summary>False when the token was cancelled first.</summary>
    private bool WaitQueued(Goroutine* g, Waiter* waiter, TokenWait? wait, out bool abandoned)
    {
        abandoned = false;
        _lock.Enter();
        if (waiter->Result == WaitResult.Woken)
        {
            _lock.Exit();
            return true;
        }
        if (wait is { IsCancelled: true })
        {
            _waiters.Remove(waiter);
            _lock.Exit();
            return false;
        }
        waiter->Result = WaitResult.Waiting;
        Goroutine.ParkObject(g) = this;
        Scheduler.Park(g, &ParkLock.Release, null, ParkReason.Cond);
        Goroutine.ParkObject(g) = null;
        abandoned = Scheduler.TakeAbandoned(g);
        return waiter->Result == WaitResult.Woken;
    }

    bool IBubbled.IsOf(Bubble bubble) => _bubble == bubble;

    private void Wake(int most)
    {
        if (_bubble != null)
        {
            _bubble.CheckCaller("The condition");
            Bubble.Point();
        }
        ReadyList list = default;
        _lock.Enter();
        for (; most > 0 && !_waiters.IsEmpty; most--)
        {
            Waiter* waiter = _waiters.Dequeue();
            bool parked = waiter->Result == WaitResult.Waiting;
            waiter->Result = WaitResult.Woken;
            if (parked)
            {
                list.Add(waiter->Goroutine);
            }
        }
        _lock.Exit();
        list.Ready();
    }

    /// <summary>The waiter will not wait after all; a signal that it was given goes to the next.</summary>
    private void Leave(Waiter* waiter)
    {
        _lock.Enter();
        bool signalled = waiter->Result == WaitResult.Woken;
        if (!signalled)
        {
            _waiters.Remove(waiter);
        }
        _lock.Exit();
        if (signalled)
        {
            Signal();
        }
    }
}
