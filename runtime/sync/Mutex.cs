// Go's mutex. In the normal mode whoever comes first takes it: a goroutine that runs already beats one that
// was woken and has yet to get a processor, which is fast and unfair. A waiter that was woken, lost, and has
// waited for more than 1 ms puts the mutex into starvation mode: then Unlock hands it to the longest waiting,
// newcomers queue up behind, and nobody spins. The mode ends with an owner that waited less, or was the last.
//
// The state, one word:
//   Locked     somebody owns it
//   Woken      somebody who wants it is awake (spins, or was woken): Unlock need not wake another. Whoever
//              that is clears it when it takes the mutex or waits again.
//   Starving   set and cleared only while Locked; a hand-off leaves both set
//   Waiting    the queue is not empty. Changed only under _lock, together with the queue.
//   Bubbled    made in a bubble of WeftTest.Run, for good: so both fast ways fail, and the slow ones are the
//              bubble's points (sched/Bubble.Order.cs)
//
// Go counts the waiters in the word and keeps them in a semaphore apart from it. Here the queue and what the
// word says of it change together, so that a waiter may leave it early: for one that is counted but not yet
// queued, or the other way round, nobody could tell whose wake-up it takes along.
//
// Rejected: hand-off always (each Unlock of a contended mutex would be a switch). Starving implies Locked,
// unlike in Go, so a free mutex is free for anybody who sees it.
// Locks: _lock, a leaf but for the scheduler's.

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Mutual exclusion. Go: sync.Mutex. A goroutine that waits parks, any other thread blocks. Not reentrant:
/// who locks twice waits for ever. It belongs to nobody in particular: another goroutine or thread may
/// unlock it. What was written before Unlock is seen after the next Lock.
/// </summary>
/// <remarks>
/// Where both <c>using System.Threading</c> (an implicit one) and <c>using Weft</c> are in force, the name
/// needs <c>using Mutex = Weft.Mutex;</c>. System.Threading.Mutex is for threads: it belongs to the one that
/// took it, and a goroutine may go on in another.
/// </remarks>
[DebuggerDisplay("Locked = {(_state & Locked) != 0}")]
public sealed unsafe class Mutex : IParkLock, IParkPlace, ITokenQueue, IBubbled
{
    private const int Locked = 1;
    private const int Woken = 2;
    private const int Starving = 4;
    private const int Waiting = 8;
    private const int Bubbled = 16;

    /// <summary>Further away than ShortLock's: who has lost it has just had it, mostly, and each early look
    /// costs the next owner the cache line (16 cores that all want it: 123 ns with 100, 73 so).</summary>
    private const int FirstLookNs = 800;

    private const long StarvesAfterNs = 1_000_000;

    private int _state = Bubble.OfCaller() == null ? 0 : Bubbled;
    private ShortLock _lock;
    private WaitQueue _waiters;
    private int _spinNs = BriefSpin.LeastNs; // For how long to spin: a guess, by all who have waited.

    /// <summary>Locks it; waits while it is locked.</summary>
    public void Lock()
    {
        int seen = Interlocked.CompareExchange(ref _state, Locked, 0);
        if (seen != 0)
        {
            LockNotFree(seen);
        }
    }

    /// <summary>Locks it; waits while it is locked, and the token is not cancelled.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// mutex.</exception>
    public void Lock(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (!TakeAtOnce() && !LockSlow(new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>For the C face. False when the wait was ended: the caller does not have it.</summary>
    internal bool Lock(in WaitEnd end) => TakeAtOnce() || LockSlow(end);

    /// <summary>Locks it if it is free. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    public bool TryLock()
    {
        int old = Volatile.Read(ref _state);
        PointIf(old);
        while ((old & Locked) == 0)
        {
            int seen = Interlocked.CompareExchange(ref _state, old | Locked, old);
            if (seen == old)
            {
                return true;
            }
            old = seen;
        }
        return false;
    }

    /// <summary>Unlocks it; wakes one who waits. Any goroutine or thread may.</summary>
    /// <exception cref="InvalidOperationException">It is not locked.</exception>
    public void Unlock()
    {
        int old = Volatile.Read(ref _state);
        if (old != Locked || Interlocked.CompareExchange(ref _state, 0, Locked) != Locked)
        {
            UnlockSlow();
        }
    }

    /// <summary>Locks it until the scope is disposed: <c>using (mutex.EnterScope()) { … }</c>.</summary>
    /// <returns>What unlocks it.</returns>
    public Scope EnterScope()
    {
        Lock();
        return new Scope(this);
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>What unlocks it.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// mutex.</exception>
    public Scope EnterScope(CancellationToken token)
    {
        Lock(token);
        return new Scope(this);
    }

    /// <summary>Whether it was free, with or without others that want it: they do not make its owner slower
    /// than it would be alone.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool TakeAtOnce()
    {
        int seen = Interlocked.CompareExchange(ref _state, Locked, 0);
        return seen == 0 || TakeFrom(seen);
    }

    private bool TakeFrom(int seen) => (seen & (Locked | Bubbled)) == 0
        && Interlocked.CompareExchange(ref _state, seen | Locked, seen) == seen;

    /// <summary>The rest of Lock, which does this last and so has no frame: RWMutex.Counts.cs.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void LockNotFree(int seen)
    {
        if (!TakeFrom(seen))
        {
            _ = LockSlow(default);
        }
    }

    bool IBubbled.IsOf(Bubble bubble) => (Volatile.Read(ref _state) & Bubbled) != 0;

    private static void PointIf(int state)
    {
        if ((state & Bubbled) != 0)
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
            ClearWaitingIfNone();
        }
        _lock.Exit();
        return waits;
    }

    void ITokenQueue.CancelWait(TokenWait wait)
    {
        _lock.Enter();
        bool queued = wait.Cancel();
        if (queued)
        {
            _waiters.Remove(wait.Waiter);
            ClearWaitingIfNone();
        }
        _lock.Exit();
        if (queued)
        {
            Scheduler.Ready(wait.Waiter->Goroutine);
        }
    }

    /// <summary>False when the wait was ended first.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool LockSlow(WaitEnd end)
    {
        PointIf(Volatile.Read(ref _state));
        Goroutine* g = Scheduler.EnterWait();
        TokenWait? wait = null;
        try
        {
            wait = TokenWait.Register(this, Goroutine.WaiterOf(g), end);
            return LockAs(g, wait);
        }
        finally
        {
            wait?.End();
            Scheduler.LeaveWait(g);
        }
    }

    private bool LockAs(Goroutine* g, TokenWait? wait)
    {
        bool awake = false; // Woken is set, and stands for the caller.
        bool starving = false;
        long since = 0;
        BriefSpin spinning = default;
        while (true)
        {
            int old = Volatile.Read(ref _state);
            if ((old & Locked) == 0)
            {
                if (Change(old, Locked, awake ? Woken : 0))
                {
                    Learn(spinning, hasPaid: true);
                    return true;
                }
            }
            else if ((old & Starving) == 0 && spinning.MayGoOn(_spinNs, FirstLookNs))
            {
                awake = awake || ((old & (Waiting | Woken)) == Waiting && Change(old, Woken, 0));
                spinning.Spin();
            }
            else
            {
                Learn(spinning, hasPaid: false);
                switch (Wait(g, wait, awake, starving, ref since))
                {
                    case WaitResult.Given:
                        LeaveStarvation(g, since);
                        return true;

                    case WaitResult.Cancelled:
                        return false;

                    case WaitResult.Woken:
                        awake = true;
                        starving = starving || IsLong(g, since);
                        spinning = default;
                        break;
                }
            }
        }
    }

    /// <summary>Who waits next spins a little longer if it was enough, less if it was in vain. What others
    /// write meanwhile may be lost.</summary>
    private void Learn(in BriefSpin spun, bool hasPaid)
    {
        int old = _spinNs;
        int next = hasPaid
            ? Math.Min(old + BriefSpin.LeastNs, spun.MostNs)
            : Math.Max(old - (2 * BriefSpin.LeastNs), BriefSpin.LeastNs);
        if (spun.Ns > 0 && next != old)
        {
            _spinNs = next;
        }
    }

    /// <summary>Waits in the queue; in front, if the caller has waited before. Entering: the mutex was free
    /// by then, nothing was done.</summary>
    private WaitResult Wait(Goroutine* g, TokenWait? wait, bool awake, bool starving, ref long since)
    {
        bool again = since != 0;
        since = again ? since : Bubble.NowOf(g);
        _lock.Enter();
        bool cancelled = wait is { IsCancelled: true };
        int set = cancelled ? 0 : Waiting | (starving ? Starving : 0);
        // The owner finds Woken cleared when it unlocks, and wakes the next one.
        if (!ChangeWhileLocked(set, awake ? Woken : 0))
        {
            since = again ? since : 0;
            _lock.Exit();
            return WaitResult.Entering;
        }
        if (cancelled)
        {
            _lock.Exit();
            return WaitResult.Cancelled;
        }
        Waiter* waiter = Goroutine.WaiterOf(g);
        if (again)
        {
            _waiters.EnqueueFirst(waiter);
        }
        else
        {
            _waiters.Enqueue(waiter);
        }
        return TokenWait.Park(g, waiter, this, ParkReason.Mutex);
    }

    /// <summary>The caller was handed the mutex.</summary>
    private void LeaveStarvation(Goroutine* g, long since)
    {
        int old = Volatile.Read(ref _state);
        while ((!IsLong(g, since) || (old & Waiting) == 0) && !Change(old, 0, Starving))
        {
            old = Volatile.Read(ref _state);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void UnlockSlow()
    {
        int old = Volatile.Read(ref _state);
        while (true)
        {
            if ((old & Locked) == 0)
            {
                ThrowNotLocked();
            }
            if ((old & Starving) != 0)
            {
                HandOff();
                return;
            }
            int seen = Interlocked.CompareExchange(ref _state, old & ~Locked, old);
            if (seen == old)
            {
                if ((old & (Waiting | Woken)) == Waiting)
                {
                    WakeOne();
                }
                PointIf(old);
                return;
            }
            old = seen;
        }
    }

    /// <summary>The mutex was free a moment ago. If it still is, and nobody who wants it is awake, wakes the
    /// first.</summary>
    private void WakeOne()
    {
        _lock.Enter();
        int old = Volatile.Read(ref _state);
        while ((old & (Locked | Woken | Waiting)) == Waiting && !Change(old, Woken, 0))
        {
            old = Volatile.Read(ref _state);
        }
        Goroutine* g = null;
        if ((old & (Locked | Woken | Waiting)) == Waiting)
        {
            g = Dequeue(WaitResult.Woken);
        }
        _lock.Exit();
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    /// <summary>Makes the first its owner, and lets it run at once: else its share would be the rest of our
    /// time slice, or what comes after it.</summary>
    private void HandOff()
    {
        _lock.Enter();
        Goroutine* next = Dequeue(WaitResult.Given);
        if (next == null)
        {
            Interlocked.And(ref _state, ~(Locked | Starving)); // Their tokens have taken them all.
        }
        _lock.Exit();
        if (next == null)
        {
            return;
        }
        Scheduler.Ready(next);
        Goroutine* g = Current.Goroutine();
        if (g != null)
        {
            Scheduler.Yield(g);
        }
    }

    /// <summary>Under _lock. Null when none waits.</summary>
    private Goroutine* Dequeue(WaitResult result)
    {
        Waiter* waiter = _waiters.Dequeue();
        if (waiter == null)
        {
            return null;
        }
        waiter->Result = result;
        ClearWaitingIfNone();
        return waiter->Goroutine;
    }

    /// <summary>Under _lock.</summary>
    private void ClearWaitingIfNone()
    {
        if (_waiters.IsEmpty)
        {
            Interlocked.And(ref _state, ~Waiting);
        }
    }

    /// <summary>False when it was free instead.</summary>
    private bool ChangeWhileLocked(int set, int clear)
    {
        while (true)
        {
            int old = Volatile.Read(ref _state);
            if ((old & Locked) == 0)
            {
                return false;
            }
            if (Change(old, set, clear))
            {
                return true;
            }
        }
    }

    private bool Change(int old, int set, int clear)
    {
        Check.Debug((old & clear) == clear, "mutex: clears what is not set"u8);
        return Interlocked.CompareExchange(ref _state, (old | set) & ~clear, old) == old;
    }

    private static bool IsLong(Goroutine* g, long since) => Bubble.NowOf(g) - since > StarvesAfterNs;

    [DoesNotReturn]
    private static void ThrowNotLocked() =>
        throw new InvalidOperationException("Unlock of a Mutex that is not locked.");

    /// <summary>Unlocks a mutex when it is disposed.</summary>
    public ref struct Scope
    {
        private Mutex? _mutex;

        internal Scope(Mutex mutex) => _mutex = mutex;

        /// <summary>Unlocks it. A second call does nothing.</summary>
        /// <exception cref="InvalidOperationException">It is not locked any more.</exception>
        public void Dispose()
        {
            Mutex? mutex = _mutex;
            _mutex = null;
            mutex?.Unlock();
        }
    }
}
