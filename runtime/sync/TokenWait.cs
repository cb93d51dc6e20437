// A wait that a CancellationToken may end, or a WaitScope, for which "token" stands below too. The race
// between the wake-up and the token has one judge, the lock of what is waited on:
//
//   waiter     Register, then lock: not cancelled yet? enqueue, park
//   waker      lock: dequeue, Result = Woken or Given, unlock, Ready
//   token      lock: IsCancelled; if still queued: remove, Result = Cancelled, unlock, Ready
//
// So exactly one takes the waiter out of the queue, and only that one readies it. What was given before the
// token fired is the waiter's: it is not told of the token. Register comes before the enqueueing because
// it calls back at once when the token was cancelled already.
//
// The registration is ended before the waiter is used for anything else; that waits for a callback that is
// running. Rejected: a callback that only sets a flag, and readies: the waiter would have to look for
// itself in the queue, and a wake-up meant for the next one could go to one that leaves.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

/// <summary>What has waiters that a token may take out of its queue.</summary>
internal interface ITokenQueue
{
    /// <summary>The token of this wait is cancelled: takes the lock, calls wait.Cancel, and if that is true
    /// removes the waiter, makes it ready, and sees that others lose nothing.</summary>
    public void CancelWait(TokenWait wait);
}

/// <summary>One wait. Fields are guarded by the queue's lock.</summary>
internal sealed unsafe class TokenWait : IScopedWait
{
    private readonly WaitScope? _scope; // Then it serves again, for the scope's next wait.
    private ITokenQueue _queue;
    private CancellationTokenRegistration _registration;

    private TokenWait(ITokenQueue queue, Waiter* waiter, WaitScope? scope)
    {
        _queue = queue;
        Waiter = waiter;
        _scope = scope;
    }

    internal Waiter* Waiter { get; private set; }

    internal bool IsCancelled { get; private set; }

    /// <summary>Not under the lock. Null when nothing will ever cancel it.</summary>
    internal static TokenWait? Register(ITokenQueue queue, Waiter* waiter, in WaitEnd end)
    {
        if (end.WaitScope != null)
        {
            return Begin(queue, waiter, end);
        }
        if (!end.Token.CanBeCanceled)
        {
            return null;
        }
        TokenWait wait = new(queue, waiter, null);
        wait._registration = end.Token.UnsafeRegister(
            static state => ((TokenWait)state!)._queue.CancelWait((TokenWait)state), wait);
        return wait;
    }

    void IScopedWait.EndWait() => _queue.CancelWait(this);

    /// <summary>Under the lock, by CancelWait. True when the waiter is still queued: the caller has to take
    /// it out.</summary>
    internal bool Cancel()
    {
        IsCancelled = true;
        if (!Waiter->IsQueued || Waiter->Result != WaitResult.Waiting)
        {
            return false;
        }
        Waiter->Result = WaitResult.Cancelled;
        return true;
    }

    /// <summary>CancelWait for a queue whose others are not concerned when one leaves.</summary>
    internal void CancelIn(ref ShortLock queueLock, ref WaitQueue waiters)
    {
        queueLock.Enter();
        bool queued = Cancel();
        if (queued)
        {
            waiters.Remove(Waiter);
        }
        queueLock.Exit();
        if (queued)
        {
            Scheduler.Ready(Waiter->Goroutine);
        }
    }

    /// <summary>The wait itself, with a token or without: under the lock of the place, an IParkLock, which it
    /// releases, with the waiter in its queue. Returns how it ended.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static WaitResult Park(Goroutine* g, Waiter* waiter, object place, ParkReason reason)
    {
        waiter->Goroutine = g;
        waiter->Result = WaitResult.Waiting;
        Goroutine.ParkObject(g) = place;
        Scheduler.Park(g, &ParkLock.Release, null, reason);
        Goroutine.ParkObject(g) = null;
        Scheduler.ExitIfAbandoned(g);
        return waiter->Result;
    }

    /// <summary>Not under the lock. After it the callback neither runs nor will.</summary>
    internal void End()
    {
        if (_scope != null)
        {
            _scope.End();
        }
        else
        {
            _registration.Dispose();
        }
    }

    private static TokenWait Begin(ITokenQueue queue, Waiter* waiter, in WaitEnd end)
    {
        WaitScope scope = end.WaitScope!;
        if (scope.SpareOfSync is not TokenWait wait)
        {
            scope.SpareOfSync = wait = new TokenWait(queue, waiter, scope);
        }
        wait._queue = queue;
        wait.Waiter = waiter;
        wait.IsCancelled = false; // Before Begin: others may set it from there on.
        if (!scope.Begin(wait, end.Deadline))
        {
            wait.IsCancelled = true;
        }
        return wait;
    }
}
