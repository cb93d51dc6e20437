// Tasks on goroutines: for Task.Factory and Parallel, and for libraries that take a TaskScheduler.

namespace Weft;

/// <summary>
/// Runs each task on a goroutine of its own, so that tasks may block without keeping a thread. What follows
/// an <c>await</c> in such a task runs on a new goroutine, unless a SynchronizationContext is set there or
/// ConfigureAwait(false) says otherwise; <see cref="Go.RunAsync(Func{Task})"/> stays on one.
/// </summary>
/// <example><code>
/// Task.Factory.StartNew(Work, token, TaskCreationOptions.None, WeftTaskScheduler.Instance)
/// </code></example>
public sealed class WeftTaskScheduler : TaskScheduler
{
    private WeftTaskScheduler()
    {
    }

    /// <summary>The only one.</summary>
    public static WeftTaskScheduler Instance { get; } = new();

    /// <inheritdoc/>
    protected override void QueueTask(Task task) => // A task has its own ExecutionContext.
        Go.RunIn(null, static task => Instance.TryExecuteTask(task), task);

    /// <summary>Runs the task on the caller's goroutine, if it is one that waits for the task.</summary>
    /// <param name="task">The task.</param>
    /// <param name="taskWasPreviouslyQueued">No difference: its goroutine finds that it has run.</param>
    /// <returns>Whether it was run.</returns>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        Go.IsGoroutine && TryExecuteTask(task);

    /// <summary>For debuggers: nothing, since goroutines are not in a list of the scheduler's.</summary>
    /// <returns>An empty list.</returns>
    protected override IEnumerable<Task> GetScheduledTasks() => [];
}
