// A weighted semaphore. All of it happens under the lock; whoever frees something gives it to those who wait,
// in their order, and stops at the first that does not fit. So a big request is not starved by small
// ones: what is free stays free until there is enough for it.
//
// One that gives up may have been what the others waited behind: then they are looked at again.
// Locks: _lock, a leaf but for the scheduler's.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A number of units that many share, each taking as many as it needs. Go: golang.org/x/sync/semaphore. Those
/// who wait are served in order of arrival, whatever they ask for. Goroutines park, other threads block.
/// </summary>
/// <remarks>
/// Where both <c>using System.Threading</c> (an implicit one) and <c>using Weft</c> are in force, the name
/// needs <c>using Semaphore = Weft.Semaphore;</c>.
/// </remarks>
[DebuggerDisplay("Held = {_held} of {Size}")]
public sealed unsafe class Semaphore : IParkLock, IParkPlace, ITokenQueue, IBubbled
{
    private readonly Bubble? _bubble = Bubble.OfCaller();
    private ShortLock _lock;
    private WaitQueue _waiters;
    private long _held;

    /// <summary>Makes one, all of it free.</summary>
    /// <param name="size">How many units there are; 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is negative.</exception>
    public Semaphore(long size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        Size = size;
    }

    /// <summary>How many units there are.</summary>
    public long Size { get; }

    /// <summary>Takes units; waits until there are as many, and those who came before have theirs.</summary>
    /// <param name="count">How many; 0 to <see cref="Size"/>. 0 waits for its turn too.</param>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative, or more than there will ever be
    /// (in Go the caller waits for its context then).</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller has taken
    /// nothing.</exception>
    public void Acquire(long count = 1, CancellationToken token = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Size);
        CancelCause.ThrowIfCancelled(token);
        if (!TryAcquire(count) && !AcquireSlow(count, new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>For the C face. False when the wait was ended: the caller has taken nothing. Throws for the
    /// same counts.</summary>
    internal bool Acquire(long count, in WaitEnd end)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Size);
        return TryAcquire(count) || AcquireSlow(count, end);
    }

    /// <summary>Takes units if there are as many, and nobody waits. Never waits.</summary>
    /// <param name="count">How many; 0 or more.</param>
    /// <returns>Whether the caller has them now.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative.</exception>
    public bool TryAcquire(long count = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Point();
        _lock.Enter();
        bool taken = TryTake(count);
        _lock.Exit();
        Point();
        return taken;
    }

    /// <summary>Gives units back.</summary>
    /// <param name="count">How many; 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative.</exception>
    /// <exception cref="InvalidOperationException">More than are taken; nothing was given back.</exception>
    public void Release(long count = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        Point();
        _lock.Enter();
        if (count > _held)
        {
            _lock.Exit();
            throw new InvalidOperationException("Release of more than was taken from the Semaphore.");
        }
        _held -= count;
        ReadyList list = Serve();
        _lock.Exit();
        list.Ready();
        Point();
    }

    bool IBubbled.IsOf(Bubble bubble) => _bubble == bubble;

    private void Point()
    {
        if (_bubble != null)
        {
            Bubble.Point();
        }
    }

    void IParkLock.Unlock() => _lock.Exit();

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        bool waits = _waiters.RemoveIfParked(g, this);
        if (waits)
        {
            Goroutine.WaiterOf(g)->Result = WaitResult.Cancelled;
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
            bool wasFirst = _waiters.First == wait.Waiter;
            _waiters.Remove(wait.Waiter);
            list = wasFirst ? Serve() : default;
            list.Add(wait.Waiter->Goroutine);
        }
        _lock.Exit();
        list.Ready();
    }

    /// <summary>False when the wait was ended first.</summary>
    private bool AcquireSlow(long count, in WaitEnd end)
    {
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            Waiter* waiter = Goroutine.WaiterOf(g);
            wait = TokenWait.Register(this, waiter, end);
            _lock.Enter();
            bool cancelled = wait is { IsCancelled: true };
            if (cancelled || TryTake(count))
            {
                _lock.Exit();
                return !cancelled;
            }
            waiter->Amount = count;
            _waiters.Enqueue(waiter);
            return TokenWait.Park(g, waiter, this, ParkReason.Semaphore) == WaitResult.Given;
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    /// <summary>Under the lock.</summary>
    private bool TryTake(long count)
    {
        if (!_waiters.IsEmpty || count > Size - _held)
        {
            return false;
        }
        _held += count;
        return true;
    }

    /// <summary>Under the lock: gives the first ones what they wait for, as far as it goes.</summary>
    private ReadyList Serve()
    {
        ReadyList list = default;
        while (!_waiters.IsEmpty && _waiters.First->Amount <= Size - _held)
        {
            Waiter* waiter = _waiters.Dequeue();
            _held += waiter->Amount;
            waiter->Result = WaitResult.Given;
            list.Add(waiter->Goroutine);
        }
        return list;
    }
}
