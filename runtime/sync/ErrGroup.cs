// Goroutines that work on one task: the first exception cancels the others and comes out of Wait.
//
// An exception is kept by whoever wins a compare-exchange; only that one cancels. It is kept in the source of
// the token, where the waits that the token ends find it (sched/CancelCause.cs). Callbacks of the token run
// there, on the goroutine that failed and outside its catch block, where it may be preempted; what they
// throw is kept too, since the goroutine has nobody to throw it to.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A group of goroutines that work on one task. Go: golang.org/x/sync/errgroup. The first one that fails, by
/// an exception, cancels <see cref="Token"/>; <see cref="Wait()"/> throws that exception when all have ended.
/// Safe for any number of goroutines and threads at once.
/// </summary>
[SuppressMessage(
    "Design", "CA1001", Justification = "A source without a timer and a wait handle has nothing to dispose.")]
public sealed class ErrGroup
{
    private readonly WaitGroup _children = new();
    private readonly CauseSource _source;
    private readonly GoScope? _scope;
    private readonly CancellationTokenRegistration _parent;
    private Semaphore? _slots;
    private int _running;
    private Exception? _callbackFailure;

    /// <summary>Makes an empty group.</summary>
    /// <param name="parent">Cancels <see cref="Token"/> too.</param>
    public ErrGroup(CancellationToken parent = default)
    {
        _source = new CauseSource(parent);
        Token = _source.Token;
        _parent = parent.UnsafeRegister(static group => ((ErrGroup)group!)._source.Cancel(), this);
    }

    internal ErrGroup(GoScope scope, CancellationToken parent)
        : this(parent) => _scope = scope;

    /// <summary>Cancelled when the first goroutine fails, when the parent is, and by Wait when all have
    /// ended.</summary>
    /// <remarks>A wait of Weft's that it ends throws an OperationCanceledException; what the goroutine threw
    /// is its InnerException. On a goroutine where nobody catches that, the wait throws what the goroutine
    /// threw itself.</remarks>
    public CancellationToken Token { get; }

    internal bool HasFailed => _source.Failure is not null;

    /// <summary>Runs the action in a goroutine of the group; waits first while as many run as SetLimit
    /// allows.</summary>
    /// <param name="action">What to run. It should end soon when <see cref="Token"/> is cancelled.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="InvalidOperationException">The limit is 0 (in Go the caller waits for
    /// ever).</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public void Go(Action action) => Go(action, CancellationToken.None);

    /// <summary>The same; the token ends the wait for the limit.</summary>
    /// <param name="action">What to run. It is not told of this token.</param>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="InvalidOperationException">The limit is 0.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: nothing was started.</exception>
    public void Go(Action action, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(action);
        Semaphore? slots = _slots;
        if (slots is { Size: 0 })
        {
            throw new InvalidOperationException("The limit of the group is 0.");
        }
        slots?.Acquire(1, token);
        Start(action, slots);
    }

    /// <summary>The same with the group's token as the argument.</summary>
    /// <param name="action">What to run.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    public void Go(Action<CancellationToken> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Go(() => action(Token));
    }

    /// <summary>Runs the action in a goroutine of the group if that keeps within the limit. Never
    /// waits.</summary>
    /// <param name="action">What to run.</param>
    /// <returns>Whether it was started.</returns>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    public bool TryGo(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Semaphore? slots = _slots;
        if (slots is not null && !slots.TryAcquire())
        {
            return false;
        }
        Start(action, slots);
        return true;
    }

    /// <summary>Sets how many goroutines of the group may run at the same time.</summary>
    /// <param name="limit">0 or more; a negative number is no limit. With 0 nothing can be started.</param>
    /// <exception cref="InvalidOperationException">Goroutines of the group are running.</exception>
    public void SetLimit(int limit)
    {
        if (Volatile.Read(ref _running) != 0)
        {
            throw new InvalidOperationException("The limit cannot change while goroutines run in the group.");
        }
        _slots = limit < 0 ? null : new Semaphore(limit);
    }

    /// <summary>Waits until all goroutines of the group have ended, cancels <see cref="Token"/>, and throws
    /// the first exception, if there was one, as it was thrown. The group is not for another task after
    /// that: its token stays cancelled.</summary>
    /// <exception cref="AggregateException">A callback of the token threw an exception: the first one and
    /// that.</exception>
    public void Wait() => Wait(CancellationToken.None);

    /// <summary>The same, unless the token is cancelled first: then the goroutines go on, and a later call
    /// may wait for them.</summary>
    /// <param name="token">Ends the wait. It is not <see cref="Token"/>, which asks the goroutines to
    /// end.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled; or a goroutine threw
    /// that.</exception>
    /// <exception cref="AggregateException">As Wait without a token.</exception>
    public void Wait(CancellationToken token)
    {
        WaitForChildren(token);
        Cancel();
        if (_callbackFailure is { } callback)
        {
            throw _source.Failure is null
                ? new AggregateException(callback)
                : new AggregateException(_source.Failure.SourceException, callback);
        }
        _source.Failure?.Throw();
    }

    /// <summary>Cancels the token. What its callbacks throw comes out of Wait.</summary>
    internal void Cancel()
    {
        try
        {
            _source.Cancel();
        }
        catch (AggregateException e)
        {
            _ = Interlocked.CompareExchange(ref _callbackFailure, e, null);
        }
    }

    internal void WaitForChildren(CancellationToken token)
    {
        _children.Wait(token);
        _ = _parent.Unregister();
    }

    private void Start(Action action, Semaphore? slots)
    {
        Interlocked.Increment(ref _running);
        _children.Add();
        try
        {
            Weft.Go.Run(static child => child.Run(), new Child(this, action, slots));
        }
        catch
        {
            End(slots);
            throw;
        }
    }

    private void End(Semaphore? slots)
    {
        Interlocked.Decrement(ref _running);
        slots?.Release();
        _children.Done();
    }

    private void Fail(ExceptionDispatchInfo failure)
    {
        if (_source.TryFail(failure))
        {
            _scope?.CountFailure();
            Cancel();
        }
    }

    private sealed class Child(ErrGroup group, Action action, Semaphore? slots)
    {
        internal void Run()
        {
            Scheduler.TraceFunction(action);
            try
            {
                if (Failure() is { } failure)
                {
                    group.Fail(failure);
                }
            }
            finally
            {
                group.End(slots); // After Go.Exit too, which is no failure.
            }
        }

        private ExceptionDispatchInfo? Failure()
        {
            try
            {
                action();
                return null;
            }
            catch (Exception e) when (e is not GoroutineExit)
            {
                return ExceptionDispatchInfo.Capture(e);
            }
        }
    }
}
