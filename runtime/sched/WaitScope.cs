// What may end the waits of one goroutine from outside: a time, and whoever has reasons for it. It serves for
// all its waits, one after the other, and allocates nothing for them. The C face's (weft_with, weft_task).
//
//   waiter   Begin: no reason yet? the wait is known here;  enqueue, park;  End: it is no more
//   ender    Set: the reason stays; a wait that is known is told, IScopedWait.EndWait
//   timer    Fire: the same, if the deadline of the wait that is known has passed
//
// All three hold _lock, so no one is told of a wait that is over: the waiter's place in a queue may serve for
// its next wait at once, and a late timer finds another deadline. Between Begin and the queue the wait looks
// by itself, under the queue's lock, whether it has been told (TokenWait.IsCancelled and the like).
//
// What waits in a descriptor is ended by a token, which is made when one is wanted and is replaced once it
// was cancelled.
//
// The timer stays in its heap for a while after the wait (Scheduler.LetLinger), and is not moved for a later
// deadline: When is the deadline or a time before it.
//
// Rejected: a CancellationTokenSource and a timer for each wait: some 1 KB and a microsecond, for what mostly
// ends otherwise. A CancellationToken for all reasons: it cannot say which, nor be taken back.
// Locks: _lock, before a queue's, and before the scheduler's.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

/// <summary>Why a wait was ended.</summary>
[Flags]
internal enum WaitReason
{
    None = 0,

    /// <summary>For good.</summary>
    Cancelled = 1,

    /// <summary>As long as the context is the scope's.</summary>
    Context = 2,

    /// <summary>One wait only.</summary>
    Interrupted = 4,

    /// <summary>Its deadline has passed.</summary>
    Expired = 8,
}

/// <summary>A wait that a scope may end.</summary>
internal interface IScopedWait
{
    /// <summary>Takes the waiter out of its queue and makes it ready, if it is there; else the waiter finds
    /// out. On any stack, under the scope's lock: it must be short.</summary>
    public void EndWait();
}

/// <summary>How a wait may end but for what it waits for: not at all, by a token, or by a scope.</summary>
internal readonly struct WaitEnd
{
    internal WaitEnd(CancellationToken token) => Token = token;

    internal WaitEnd(WaitScope scope, long deadline)
    {
        WaitScope = scope;
        Deadline = deadline;
    }

    internal CancellationToken Token { get; }

    internal WaitScope? WaitScope { get; }

    /// <summary>A time of Os.NowNs, or TimerNode.Never.</summary>
    internal long Deadline { get; }
}

/// <summary>What a goroutine has as its StateObject whose waits others may end.</summary>
internal abstract class ScopeOwner
{
    /// <summary>Null while only deadlines end its waits.</summary>
    internal WaitScope? WaitScope { get; set; }

    /// <summary>The one that ends all waits of a goroutine, or null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe WaitScope? ScopeOf(Goroutine* g)
    {
        object? state = Goroutine.StateObject(g);
        return state == null ? null : (state as ScopeOwner)?.WaitScope;
    }
}

internal sealed class WaitScope : TimerNode
{
    private ShortLock _lock;
    private IScopedWait? _wait;
    private long _deadline = Never;
    private WaitReason _reasons;
    private WaitReason _ended; // Why the last wait was.
    private CancellationTokenSource? _source;

    /// <summary>What each kind of wait keeps for the next one.</summary>
    internal object? SpareOfSync { get; set; }

    internal object? SpareOfChan { get; set; }

    /// <summary>Why waits end now, but for their deadlines.</summary>
    internal WaitReason Reasons
    {
        get
        {
            _lock.Enter();
            WaitReason reasons = _reasons;
            _lock.Exit();
            return reasons;
        }
    }

    /// <summary>A wait begins. False when it has to end at once. Call End after it in any case. Throws
    /// InsufficientMemoryException; the wait has not begun then.</summary>
    internal bool Begin(IScopedWait wait, long deadline)
    {
        bool moved = false;
        _lock.Enter();
        _ended = _reasons != WaitReason.None ? _reasons
            : deadline <= Scheduler.CoarseNow ? WaitReason.Expired // One just past is the timer's to tell.
            : WaitReason.None;
        bool begins = _ended == WaitReason.None;
        if (begins)
        {
            _wait = wait;
            _deadline = deadline;
            moved = deadline < When;
            When = moved ? deadline : When;
        }
        _lock.Exit();
        if (moved)
        {
            try
            {
                Scheduler.UpdateTimer(this);
            }
            catch (InsufficientMemoryException)
            {
                End();
                throw;
            }
        }
        return begins;
    }

    /// <summary>The wait is over.</summary>
    internal void End()
    {
        _lock.Enter();
        _wait = null;
        _deadline = Never;
        bool lingers = When != Never;
        _lock.Exit();
        if (lingers)
        {
            Scheduler.LetLinger(this);
        }
    }

    /// <summary>Why the wait was ended that has just said that it was. It is told once of an
    /// interruption.</summary>
    internal WaitReason TakeReason()
    {
        _lock.Enter();
        WaitReason reason = _ended != WaitReason.None ? _ended : _reasons;
        _ended = WaitReason.None;
        reason = (reason & WaitReason.Cancelled) != 0 ? WaitReason.Cancelled
            : (reason & WaitReason.Context) != 0 ? WaitReason.Context
            : reason;
        _reasons &= reason == WaitReason.Interrupted ? ~WaitReason.Interrupted : ~WaitReason.None;
        _lock.Exit();
        return reason;
    }

    /// <summary>From now on waits end for this reason, that under way too. Any thread.</summary>
    internal void Set(WaitReason reason)
    {
        _lock.Enter();
        _reasons |= reason;
        EndWait(reason);
        CancellationTokenSource? source = _source;
        _source = null;
        _lock.Exit();
        source?.Cancel();
    }

    /// <summary>They do no more.</summary>
    internal void Clear(WaitReason reason)
    {
        _lock.Enter();
        _reasons &= ~reason;
        _lock.Exit();
    }

    /// <summary>For a wait that is ended by a token: cancelled by the next reason.</summary>
    internal CancellationToken Token()
    {
        CancellationTokenSource? made = Volatile.Read(ref _source) == null ? new() : null;
        _lock.Enter();
        _ended = WaitReason.None;
        bool ends = _reasons != WaitReason.None;
        CancellationTokenSource? source = ends ? null : _source ??= made;
        _lock.Exit();
        return source?.Token ?? new CancellationToken(canceled: true);
    }

    internal override void GiveUp()
    {
        _lock.Enter();
        long when = _wait != null ? _deadline : Never;
        bool moved = when != When;
        When = when;
        _lock.Exit();
        if (moved)
        {
            Scheduler.UpdateTimer(this);
        }
    }

    internal override void Fire(long now)
    {
        _lock.Enter();
        bool again = _wait != null && _deadline != Never && _deadline > now;
        When = again ? _deadline : Never;
        if (!again && _deadline <= now)
        {
            EndWait(WaitReason.Expired);
        }
        _lock.Exit();
        if (again)
        {
            Scheduler.UpdateTimer(this);
        }
    }

    /// <summary>Under the lock.</summary>
    private void EndWait(WaitReason reason)
    {
        if (_wait != null)
        {
            _ended = _ended == WaitReason.None ? reason : _ended;
            _wait.EndWait();
        }
    }
}
