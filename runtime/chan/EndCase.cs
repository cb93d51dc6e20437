// The case of a select by which a scope ends its wait: one more, on a channel that nothing is ever sent to.
// So it takes part in the race of the others, under the same locks (SelectRound.cs).
//
// Rejected: a channel that is closed, as for a token: closed for good, so one for each wait.

namespace Weft.Runtime;

/// <summary>Used again by the selects of one goroutine: Begin before, scope.End after each.</summary>
internal sealed unsafe class EndCase : SelectCase, IScopedWait
{
    private readonly EndChan _ends;

    internal EndCase()
        : this(new EndChan())
    {
    }

    private EndCase(EndChan ends)
        : base(ends) => _ends = ends;

    /// <summary>False when the wait has to end at once.</summary>
    internal bool Begin(WaitScope scope, long deadline)
    {
        _ends.IsEnded = false;
        return scope.Begin(this, deadline);
    }

    void IScopedWait.EndWait() => _ends.End();

    internal override bool LooksReady => _ends.IsEnded;

    internal override Outcome Attempt(out Goroutine* peer)
    {
        peer = null;
        return _ends.IsEnded ? Outcome.Done : Outcome.Waits;
    }

    internal override void Enqueue(Waiter* waiter) => _ends.EnqueueReceiver(waiter);

    internal override void Remove(Waiter* waiter) => _ends.RemoveReceiver(waiter);

    internal override Outcome Finish(bool success) => Outcome.Done;

    internal override void Invoke()
    {
    }

    private sealed class EndChan() : Chan(0, null)
    {
        /// <summary>Guarded by the lock, but before the wait begins.</summary>
        internal bool IsEnded { get; set; }

        internal override bool CanSendNow => false;

        internal void End()
        {
            _lock.Enter();
            IsEnded = true;
            Goroutine* waiting = _receivers.DequeueAll();
            _lock.Exit();
            Scheduler.ReadyAll(waiting);
        }
    }
}
