// A counter that others wait on until it is zero. Everything happens under the lock, so that whoever waits
// is woken by the zero that ends its own round, and by no other: a group may be used again at once.
//
// Rejected: changing the counter without the lock. Between a zero and its release somebody may have added
// and waited again, and would be released with the others; a refused Add would show to others meanwhile.
// Locks: _lock, a leaf but for the scheduler's.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Waits for a number of goroutines to finish. Go: sync.WaitGroup. Safe for any number of goroutines and
/// threads at once. Call <see cref="Add"/> before the goroutine starts, not inside it. What was written
/// before <see cref="Done"/> is seen after <see cref="Wait()"/>.
/// </summary>
[DebuggerDisplay("Count = {_count}")]
public sealed unsafe class WaitGroup : IParkLock, IParkPlace, ITokenQueue, IBubbled
{
    private readonly Bubble? _bubble = Bubble.OfCaller();
    private ShortLock _lock;
    private WaitQueue _waiters;
    private long _count;

    /// <summary>Adds to the counter. When it becomes zero, all who wait go on.</summary>
    /// <param name="delta">Any number; negative ones count down.</param>
    /// <exception cref="InvalidOperationException">The counter would be below zero; it is left as it
    /// was.</exception>
    /// <exception cref="InvalidOperationException">It was made in a bubble of <c>WeftTest.Run</c>, and the
    /// caller is not of it.</exception>
    public void Add(int delta = 1)
    {
        if (_bubble != null)
        {
            _bubble.CheckCaller("The WaitGroup");
            Bubble.Point();
        }
        if (!TryAdd(delta))
        {
            throw new InvalidOperationException(
                "The WaitGroup's counter would be below zero: more calls of Done than Add announced.");
        }
        if (_bubble != null)
        {
            Bubble.Point();
        }
    }

    bool IBubbled.IsOf(Bubble bubble) => _bubble == bubble;

    internal bool IsBubbled => _bubble != null;

    /// <summary>Add without a bubble's turns. False where the counter would be below zero; it is left as it
    /// was.</summary>
    internal bool TryAdd(int delta)
    {
        _lock.Enter();
        long count = _count + delta;
        if (count < 0)
        {
            _lock.Exit();
            return false;
        }
        // A zero says that all is seen that those have done who counted down: pairs with the look in Wait.
        Volatile.Write(ref _count, count);
        Goroutine* list = count == 0 ? _waiters.DequeueAll() : null;
        _lock.Exit();
        if (list != null)
        {
            Scheduler.ReadyAll(list);
        }
        return true;
    }

    /// <summary>Counts down by one.</summary>
    /// <exception cref="InvalidOperationException">The counter is zero.</exception>
    public void Done() => Add(-1);

    /// <summary>Runs <paramref name="action"/> in a goroutine that this group waits for. Go:
    /// WaitGroup.Go.</summary>
    /// <param name="action">What to run.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine; the counter is as it
    /// was.</exception>
    public void Go(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Add(1);
        try
        {
            Weft.Go.Run(static pair => pair.RunAndCountDown(), new Child(this, action));
        }
        catch
        {
            Done();
            throw;
        }
    }

    /// <summary>Waits until the counter is zero. A goroutine parks; any other thread blocks.</summary>
    public void Wait()
    {
        if (_bubble != null)
        {
            Bubble.Point();
        }
        if (Volatile.Read(ref _count) != 0)
        {
            _ = WaitSlow(default);
        }
    }

    /// <summary>Waits until the counter is zero, or the token is cancelled.</summary>
    /// <param name="token">Ends the wait. It does nothing to those who are waited for.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public void Wait(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (Volatile.Read(ref _count) != 0 && !WaitSlow(new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>For the C face. False when the wait was ended.</summary>
    internal bool Wait(in WaitEnd end) => Volatile.Read(ref _count) == 0 || WaitSlow(end);

    void IParkLock.Unlock() => _lock.Exit();

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        bool waits = _waiters.RemoveIfParked(g, this);
        _lock.Exit();
        return waits;
    }

    void ITokenQueue.CancelWait(TokenWait wait) => wait.CancelIn(ref _lock, ref _waiters);

    /// <summary>False when the wait was ended first.</summary>
    private bool WaitSlow(in WaitEnd end)
    {
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            Waiter* waiter = Goroutine.WaiterOf(g);
            wait = TokenWait.Register(this, waiter, end);
            _lock.Enter();
            bool isOver = _count == 0;
            if (isOver || wait is { IsCancelled: true })
            {
                _lock.Exit();
                return isOver;
            }
            _waiters.Enqueue(waiter);
            return TokenWait.Park(g, waiter, this, ParkReason.WaitGroup) != WaitResult.Cancelled;
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    private sealed class Child(WaitGroup group, Action action)
    {
        internal void RunAndCountDown()
        {
            Scheduler.TraceFunction(action);
            try
            {
                action();
            }
            finally
            {
                group.Done();
            }
        }
    }
}
