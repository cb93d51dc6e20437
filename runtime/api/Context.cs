// What a request carries along: when to give up, and values. A Context is immutable; what can happen to it
// happens in its scope (CancelScope.cs), which a context made by WithValue shares with its parent.
//
//   Background ---- WithValue ---- WithTimeout ---- WithValue
//   no scope        no scope       a scope           the same scope
//
// Rejected: an interface, as in Go, so that others may implement it: each of them would need a goroutine to
// carry the cancellation over; FromToken does that for what .NET has.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// Carries a deadline, a cancellation and values from a caller to all that works for it. Contexts form a
/// tree: cancelling one cancels those made from it, and never its parent. Go: context.Context. Safe for any
/// number of goroutines and threads at once; no member waits.
/// </summary>
/// <remarks>Call the cancel function that a With method returns as soon as the work is done, whatever
/// happened: until then the parent, and the timer, keep the context alive.</remarks>
public sealed class Context
{
    private readonly Context? _parent;
    private readonly CancelScope? _scope;
    private readonly object? _key;
    private readonly object? _value;

    private Context(
        Context? parent,
        CancelScope? scope,
        DateTimeOffset? deadline,
        object? key = null,
        object? value = null)
    {
        _parent = parent;
        _scope = scope;
        Deadline = deadline;
        _key = key;
        _value = value;
    }

    /// <summary>The root: never cancelled, no deadline, no values. Go: context.Background.</summary>
    public static Context Background { get; } = new(null, null, null);

    /// <summary>When it is cancelled by itself, or null.</summary>
    public DateTimeOffset? Deadline { get; }

    /// <summary>Closed when the context is cancelled; nothing is ever sent. That of a context that
    /// cannot be cancelled is null: a receive waits for ever.</summary>
    public ReceiveChan<Unit> Done => _scope?.Done;

    /// <summary>Why <see cref="Done"/> is closed: an OperationCanceledException (Go: Canceled) or a
    /// TimeoutException (Go: DeadlineExceeded). Null while it is open. It is one object for all: wrap it
    /// rather than throw it.</summary>
    public Exception? Err => _scope?.Error;

    /// <summary>What was given as the cause of the cancellation, here or in a parent; else
    /// <see cref="Err"/>. Go: context.Cause.</summary>
    public Exception? Cause => _scope?.Cause;

    /// <summary>A token that is cancelled with the context. Its callbacks run on whoever cancels the
    /// context; at a deadline that is a goroutine of the timer's, where an exception of theirs ends the
    /// process.</summary>
    public CancellationToken Token => _scope?.Token ?? CancellationToken.None;

    /// <summary>For tests.</summary>
    internal int ListenerCount => _scope?.ListenerCount ?? 0;

    /// <summary>A context that is cancelled with the token, or not at all if the token cannot be. It has no
    /// values. The token's source keeps it alive.</summary>
    /// <param name="token">Any token.</param>
    /// <returns>The context.</returns>
    public static Context FromToken(CancellationToken token)
    {
        if (!token.CanBeCanceled)
        {
            return Background;
        }
        CancelScope scope = new(null);
        _ = token.UnsafeRegister(
            static (state, token) => ((CancelScope)state!).Cancel(
                Cancelled(token), CancelCause.Of(token)?.SourceException),
            scope);
        return new Context(null, scope, null);
    }

    /// <summary>A child that is cancelled by a call. Go: context.WithCancel.</summary>
    /// <returns>The child, and the function that cancels it: it returns when all contexts below are cancelled
    /// and all callbacks of tokens have run. Calls after the first do nothing.</returns>
    public (Context Context, Action Cancel) WithCancel()
    {
        CancelScope scope = new(_scope);
        return (new Context(this, scope, Deadline), () => CancelByCall(scope, null));
    }

    /// <summary>The same; the function takes the cause, or null. Go: context.WithCancelCause.</summary>
    /// <returns>The child, and the function that cancels it.</returns>
    public (Context Context, Action<Exception?> Cancel) WithCancelCause()
    {
        CancelScope scope = new(_scope);
        return (new Context(this, scope, Deadline), cause => CancelByCall(scope, cause));
    }

    /// <summary>A child that is cancelled after some time, or by a call. Go: context.WithTimeout,
    /// WithTimeoutCause.</summary>
    /// <param name="timeout">After how long; zero or less is at once.</param>
    /// <param name="cause">What Cause is when the time has passed; null is a TimeoutException.</param>
    /// <param name="timeProvider">The clock to use instead of the system's.</param>
    /// <returns>The child, and the function that cancels it earlier and frees the timer.</returns>
    public (Context Context, Action Cancel) WithTimeout(
        TimeSpan timeout, Exception? cause = null, TimeProvider? timeProvider = null)
    {
        DateTimeOffset now = Clock.UtcNow(timeProvider);
        DateTimeOffset deadline = timeout <= TimeSpan.Zero ? now
            : timeout < DateTimeOffset.MaxValue - now ? now + timeout
            : DateTimeOffset.MaxValue;
        return WithTimer(deadline, timeout, cause, timeProvider);
    }

    /// <summary>The same at a point in time, as the clock shows it now: changing the clock afterwards does
    /// not move it. Go: context.WithDeadline, WithDeadlineCause.</summary>
    /// <param name="deadline">The time. A parent's deadline that is earlier counts instead.</param>
    /// <param name="cause">What Cause is when the time has passed; null is a TimeoutException.</param>
    /// <param name="timeProvider">The clock to use instead of the system's.</param>
    /// <returns>The child, and the function that cancels it earlier and frees the timer.</returns>
    public (Context Context, Action Cancel) WithDeadline(
        DateTimeOffset deadline, Exception? cause = null, TimeProvider? timeProvider = null)
    {
        DateTimeOffset now = Clock.UtcNow(timeProvider);
        return WithTimer(deadline, deadline - now, cause, timeProvider);
    }

    /// <summary>A child with one value more. Go: context.WithValue.</summary>
    /// <typeparam name="T">The value.</typeparam>
    /// <param name="key">The key; a parent's value under it is hidden.</param>
    /// <param name="value">The value.</param>
    /// <returns>The child.</returns>
    /// <exception cref="ArgumentNullException">The key is null.</exception>
    public Context WithValue<T>(ContextKey<T> key, T value)
    {
        ArgumentNullException.ThrowIfNull(key);
        return new Context(this, _scope, Deadline, key, value);
    }

    /// <summary>A child with the values, but neither the cancellation nor the deadline. Go:
    /// context.WithoutCancel.</summary>
    /// <returns>The child.</returns>
    public Context WithoutCancel() => new(this, null, null);

    /// <summary>The value under the key, or the default when there is none. Takes time in proportion to how
    /// deep the context is. Go: Context.Value.</summary>
    /// <typeparam name="T">The value.</typeparam>
    /// <param name="key">The key.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ArgumentNullException">The key is null.</exception>
    public T? Value<T>(ContextKey<T> key) => TryGetValue(key, out T? value) ? value : default;

    /// <summary>The same for values whose default means something.</summary>
    /// <typeparam name="T">The value.</typeparam>
    /// <param name="key">The key.</param>
    /// <param name="value">The value, or the default.</param>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="ArgumentNullException">The key is null.</exception>
    public bool TryGetValue<T>(ContextKey<T> key, out T? value)
    {
        ArgumentNullException.ThrowIfNull(key);
        for (Context? context = this; context != null; context = context._parent)
        {
            if (context._key == key)
            {
                value = (T?)context._value;
                return true;
            }
        }
        value = default;
        return false;
    }

    /// <summary>Runs a function in a new goroutine once the context is cancelled; at once if it is. Go:
    /// context.AfterFunc.</summary>
    /// <param name="action">What to run, with the caller's ExecutionContext.</param>
    /// <returns>A function that gives it up: true when the action will not run because of this call, false
    /// when it was started, or given up before. It does not wait for the action.</returns>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    public Func<bool> AfterFunc(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        Listener listener = new(action, ContextFlow.Capture());
        CancelScope scope = _scope ?? new CancelScope(null); // One that nobody cancels.
        if (!scope.Register(listener))
        {
            Go.Run(action);
        }
        return () => scope.Unregister(listener);
    }

    private static OperationCanceledException Cancelled(CancellationToken token = default) =>
        new("The context was cancelled.", token);

    private static void CancelByCall(CancelScope scope, Exception? cause)
    {
        if (!scope.IsCancelled)
        {
            scope.Cancel(Cancelled(), cause);
        }
    }

    private (Context Context, Action Cancel) WithTimer(
        DateTimeOffset deadline, TimeSpan delay, Exception? cause, TimeProvider? provider)
    {
        if (Deadline <= deadline)
        {
            return WithCancel();
        }
        CancelScope scope = new(_scope);
        Context context = new(this, scope, deadline);
        if (delay <= TimeSpan.Zero)
        {
            if (!scope.IsCancelled)
            {
                scope.Cancel(CancelScope.Expired(), cause);
            }
        }
        else if (!scope.IsCancelled)
        {
            scope.CancelAfter(delay, cause, provider);
        }
        return (context, () => CancelByCall(scope, null));
    }

    private sealed class Listener(Action action, ExecutionContext? context) : CancelListener
    {
        internal override void OnCancel(Exception error, Exception cause) => Go.RunIn(context, action);
    }
}
