// Something that happens once. The mutex is held while it happens, so that nobody returns from Do before it
// is over; a flag beside it makes every later call one load.

using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Weft.Runtime;

namespace Weft;

/// <summary>Runs an action once, whoever asks, however often. Go: sync.Once. Safe for any number of
/// goroutines and threads at once.</summary>
public sealed class Once
{
    private readonly Mutex _mutex = new();
    private bool _done;

    internal bool IsDone => Volatile.Read(ref _done);

    /// <summary>
    /// Runs the action if this is the first call, and returns when the action of the first call is over. An
    /// exception counts as over, and goes to the first caller only. An action that calls Do of the same Once
    /// waits for itself for ever.
    /// </summary>
    /// <param name="action">What to run.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    public void Do(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        if (!IsDone)
        {
            DoSlow(action, default);
        }
    }

    /// <summary>The same; the token ends the wait for another's call to be over.</summary>
    /// <param name="action">What to run. It is not told of the token.</param>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled, and the action is not
    /// over.</exception>
    public void Do(Action action, CancellationToken token)
    {
        ArgumentNullException.ThrowIfNull(action);
        if (!IsDone)
        {
            DoSlow(action, token);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void DoSlow(Action action, CancellationToken token)
    {
        using (_mutex.EnterScope(token))
        {
            if (_done)
            {
                return;
            }
            try
            {
                action();
            }
            finally
            {
                Volatile.Write(ref _done, true); // Pairs with the read in IsDone.
            }
        }
    }
}

/// <summary>A value that is computed when it is first asked for, once. Go: sync.OnceValue. Safe for any
/// number of goroutines and threads at once.</summary>
/// <typeparam name="T">The value.</typeparam>
public sealed class OnceValue<T>
{
    private readonly Once _once = new();
    private Func<T>? _function;
    private T _value = default!;
    private bool _hasValue;
    private ExceptionDispatchInfo? _failure;

    /// <summary>Makes one; computes nothing yet.</summary>
    /// <param name="function">Computes the value. It is let go of afterwards.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public OnceValue(Func<T> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        _function = function;
    }

    /// <summary>The value. The first call computes it; others wait for that. What the function throws is
    /// thrown by every call.</summary>
    /// <exception cref="InvalidOperationException">The goroutine that computed it ended in the middle
    /// (<see cref="Weft.Go.Exit"/>).</exception>
    public T Value => GetValue(default);

    /// <summary>The same; the token ends the wait for another that computes the value.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>The value.</returns>
    /// <exception cref="InvalidOperationException">As <see cref="Value"/>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled, and there is no value
    /// yet.</exception>
    public T GetValue(CancellationToken token)
    {
        if (!_once.IsDone)
        {
            _once.Do(Compute, token);
        }
        _failure?.Throw();
        return _hasValue ? _value : throw new InvalidOperationException(
            "The goroutine that computed the value called Go.Exit.");
    }

    private void Compute()
    {
        try
        {
            _value = _function!();
            _hasValue = true;
        }
        catch (Exception e) when (e is not GoroutineExit)
        {
            _failure = ExceptionDispatchInfo.Capture(e);
        }
        finally
        {
            _function = null;
        }
    }
}
