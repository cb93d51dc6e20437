// Runs what is queued at once, on the thread or goroutine that queues it. For the continuation of a task that
// only wakes somebody: whoever completes the task does so then, even where its continuations are to run
// elsewhere. On the thread pool each of them would need a thread, while all of them may be waiting for just
// that.

namespace Weft;

internal sealed class InPlaceScheduler : TaskScheduler
{
    internal static InPlaceScheduler Instance { get; } = new();

    protected override void QueueTask(Task task) => TryExecuteTask(task);

    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        TryExecuteTask(task);

    protected override IEnumerable<Task> GetScheduledTasks() => [];
}
