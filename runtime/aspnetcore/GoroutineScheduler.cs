// Whom Kestrel's pipes wake goes on on a goroutine instead of a thread of the pool.

using System.IO.Pipelines;

namespace Weft.AspNetCore;

internal sealed class GoroutineScheduler : PipeScheduler
{
    internal static readonly GoroutineScheduler Instance = new();

    /// <summary>Without memory for a goroutine a thread of the pool runs it: it may not block there, but
    /// nothing is lost.</summary>
    public override void Schedule(Action<object?> action, object? state)
    {
        try
        {
            Worker.Run(action, state);
        }
        catch (InsufficientMemoryException)
        {
            ThreadPool.Schedule(action, state);
        }
    }
}
