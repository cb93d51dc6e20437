// Structured concurrency: goroutines that do not outlive a block. An ErrGroup whose Wait is Dispose.
//
// Whether the block itself is left by an exception, Dispose sees by the exceptions in flight: they are
// more than when the scope was made (sched/ExceptionMark.cs). Then the children are cancelled, or they
// might wait for ever for what the block would have done. The first failure wins: of the children's
// exceptions none comes out, but for one that was there before, of which the block's is most likely a
// consequence (a wait that the token ended).
//
// Dispose runs only if somebody catches what the block is left by. So the first that fails counts at the
// goroutine whose scope it is, and its root catches the exception then (sched/CancelCause.cs). A thread has
// no such root.
//
// Rejected: a scope that must be completed, as TransactionScope: forgotten once, it cancels what was right.
// A method that takes the block as a delegate: the block could not return, nor use ref locals or await.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// A block that waits for the goroutines started in it:
/// <c>using (GoScope scope = new()) { scope.Go(…); scope.Go(…); }</c>. The first failure, of a goroutine
/// or of the block itself, cancels <see cref="Token"/>, and comes out of the block when all have ended.
/// </summary>
/// <remarks>
/// Starting may be done by any goroutine or thread; Dispose is for the one that made the scope. In a
/// goroutine a <c>catch</c> of what a goroutine of the scope threw is enough, whatever the block waits for.
/// On a thread, .NET ends the process before Dispose runs if nobody catches what the block is left by, an
/// OperationCanceledException perhaps: <see cref="WeftHost"/> makes main a goroutine.
/// </remarks>
public sealed unsafe class GoScope : IDisposable
{
    private readonly ErrGroup _group;
    private readonly CancellationToken _parent;
    private readonly ExceptionMark _before;
    private readonly Goroutine* _owner;
    private readonly long _ownerId;
    private bool _counted;
    private bool _cancelled;
    private int _disposed;

    /// <summary>Opens a scope.</summary>
    /// <param name="parent">Cancels <see cref="Token"/> too.</param>
    /// <exception cref="PlatformNotSupportedException">See <see cref="Weft.Go.Run(Action)"/>.</exception>
    public GoScope(CancellationToken parent = default)
    {
        Scheduler.EnsureStarted();
        _parent = parent;
        _group = new ErrGroup(this, parent);
        _owner = Current.GoroutineOrNull();
        _ownerId = _owner == null ? 0 : _owner->Id;
        _before = ExceptionMark.Now();
    }

    /// <summary>Cancelled when a goroutine or the block fails, by <see cref="Cancel"/>, when the parent is,
    /// and after Dispose. A wait of Weft's that it ends throws an OperationCanceledException; what the
    /// goroutine threw is its InnerException.</summary>
    public CancellationToken Token => _group.Token;

    /// <summary>Runs the action in a goroutine that the scope waits for. An OperationCanceledException of the
    /// cancelled <see cref="Token"/> is no failure, but an end as good as another.</summary>
    /// <param name="action">What to run. It should end soon when the token is cancelled.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="ObjectDisposedException">The scope is closed: Dispose has returned.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public void Go(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) == 2, this);
        _group.Go(() => RunChild(action));
    }

    /// <summary>The same with the scope's token as the argument.</summary>
    /// <param name="action">What to run.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="ObjectDisposedException">The scope is closed: Dispose has returned.</exception>
    public void Go(Action<CancellationToken> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Go(() => action(Token));
    }

    /// <summary>Cancels <see cref="Token"/>: asks the goroutines to end. Does not wait.</summary>
    public void Cancel() => _group.Cancel();

    /// <summary>
    /// Waits until all goroutines of the scope have ended, and throws the first exception of theirs, as it
    /// was thrown. If the block is left by an exception, cancels the token first, and throws only what a
    /// goroutine threw before that; what callbacks of the token throw is lost then. A second call does
    /// nothing.
    /// </summary>
    /// <exception cref="OperationCanceledException">The parent was cancelled, and a goroutine ended for
    /// that.</exception>
    /// <exception cref="AggregateException">A callback of the token threw an exception: the first one and
    /// that.</exception>
    public void Dispose()
    {
        if (Interlocked.CompareExchange(ref _disposed, 1, 0) != 0)
        {
            return;
        }
        bool unwinding = _before.IsPassedByException();
        bool failedBefore = _group.HasFailed;
        if (unwinding)
        {
            _group.Cancel();
        }
        _group.WaitForChildren(CancellationToken.None);
        Volatile.Write(ref _disposed, 2);
        if (_counted)
        {
            Interlocked.Decrement(ref _owner->FailedScopes);
        }
        if (unwinding && !failedBefore)
        {
            return;
        }
        _group.Wait();
        if (Volatile.Read(ref _cancelled))
        {
            _parent.ThrowIfCancellationRequested();
        }
    }

    /// <summary>A goroutine has failed, the first one; the token is not cancelled yet.</summary>
    internal void CountFailure()
    {
        if (_owner != null && _owner->Id == _ownerId) // Else it ended without disposing of the scope.
        {
            _counted = true;
            Interlocked.Increment(ref _owner->FailedScopes);
        }
    }

    private void RunChild(Action action)
    {
        try
        {
            Scheduler.TraceFunction(action);
            action();
        }
        catch (OperationCanceledException e)
            when (e.CancellationToken == Token && Token.IsCancellationRequested)
        {
            Volatile.Write(ref _cancelled, true);
        }
    }
}
