// Goroutines that run one piece of work after the other: a request, or what Kestrel does next for a
// connection. A new goroutine for each would begin on a stack of 2 KB
// and without thread statics, and the base library and ASP.NET keep much in those: a Thread object, buffers
// of ArrayPool, writers of JSON. A worker has them already: a quarter more requests, beside PostgreSQL.
//
//   s_idle   [ last to become idle ] -> ... -> [ first ]     each waits in its own channel
//
// The last one comes first: its stack is in the caches still. So those at the bottom stay idle when there is
// less to do; there are MaxIdle at most, and what is beyond ends.
//
// Locks: none.

using System.Collections.Concurrent;

namespace Weft.AspNetCore;

internal sealed class Worker
{
    private const int MaxIdle = 256;

    private static readonly ConcurrentStack<Worker> s_idle = new();
    private static int s_idleCount; // At least as large as the stack.

    private readonly Chan<Work> _work = new(1);

    /// <summary>Runs the work on a goroutine; returns at once. Throws InsufficientMemoryException when there
    /// is none. The work must not throw; its context is for itself to bring.</summary>
    internal static void Run(Action<object?> action, object? state)
    {
        Work work = new(action, state);
        if (s_idle.TryPop(out Worker? worker))
        {
            _ = Interlocked.Decrement(ref s_idleCount);
            _ = worker._work.TrySend(work); // There is room: it waits for this one.
        }
        else
        {
            RunUnflowed(static work => new Worker().Loop(work), work);
        }
    }

    /// <summary>A goroutine that has nothing of the caller's context.</summary>
    internal static void RunUnflowed<T>(Action<T> action, T argument)
    {
        if (ExecutionContext.IsFlowSuppressed())
        {
            Go.Run(action, argument);
        }
        else
        {
            using AsyncFlowControl _ = ExecutionContext.SuppressFlow();
            Go.Run(action, argument);
        }
    }

    private void Loop(Work work)
    {
        work.Run();
        while (BecomesIdle())
        {
            work = _work.Receive();
            work.Run();
        }
    }

    private bool BecomesIdle()
    {
        if (Interlocked.Increment(ref s_idleCount) > MaxIdle)
        {
            _ = Interlocked.Decrement(ref s_idleCount);
            return false;
        }
        s_idle.Push(this);
        return true;
    }

    private readonly record struct Work(Action<object?> Action, object? State)
    {
        internal void Run() => Action(State);
    }
}
