// Where asynchronous code goes on: on a goroutine. This one starts one for each Post; an async function of
// Go.RunAsync has a goroutine already (AsyncHome).

using Weft.Runtime;

namespace Weft;

/// <summary>
/// Runs what is posted on goroutines, so that the code after an <c>await</c> may block as any goroutine's
/// may. <see cref="Go.RunAsync(Func{Task})"/> sets one; set <see cref="Instance"/> by
/// <see cref="SynchronizationContext.SetSynchronizationContext"/> where asynchronous code begins otherwise.
/// Nothing is kept in order: what is posted may run at once with what was posted before. All members may be
/// called from any goroutine or thread.
/// </summary>
public class WeftSynchronizationContext : SynchronizationContext
{
    private protected WeftSynchronizationContext()
    {
    }

    /// <summary>One that starts a goroutine for each Post.</summary>
    public static WeftSynchronizationContext Instance { get; } = new();

    /// <summary>Runs the function on a goroutine, with the caller's ExecutionContext; returns at once. An
    /// exception that it does not catch ends the process.</summary>
    /// <param name="d">What to run.</param>
    /// <param name="state">Its argument.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public override void Post(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        Go.RunIn(ContextFlow.Capture(), static call => call.Run(), new Call(d, state));
    }

    /// <summary>Runs the function on a goroutine, and returns when it has: on the caller's, if that is
    /// one.</summary>
    /// <param name="d">What to run. An exception it throws is thrown here.</param>
    /// <param name="state">Its argument.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public override void Send(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        if (Go.IsGoroutine)
        {
            d(state);
            return;
        }
        Go.Await(Go.RunAsync(() =>
        {
            SetSynchronizationContext(this);
            d(state);
        }));
    }

    /// <summary>The same one: it has no state of its owner's.</summary>
    /// <returns>This.</returns>
    public override SynchronizationContext CreateCopy() => this;

    private sealed class Call(SendOrPostCallback function, object? state)
    {
        internal void Run()
        {
            SetSynchronizationContext(Instance);
            function(state);
        }
    }
}
