// Goroutines that run one request after the other. A new goroutine for each would begin on a stack of 2 KB
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

    private readonly Chan<Action> _work = new(1);

    /// <summary>Runs the work on a goroutine; returns at once. Throws InsufficientMemoryException when there
    /// is none. The work must not throw.</summary>
    internal static void Run(Action work)
    {
        if (s_idle.TryPop(out Worker? worker))
        {
            _ = Interlocked.Decrement(ref s_idleCount);
            _ = worker._work.TrySend(work); // There is room: it waits for this one.
        }
        else if (ExecutionContext.IsFlowSuppressed())
        {
            Go.Run(static work => new Worker().Loop(work), work);
        }
        else
        {
            using AsyncFlowControl _ = ExecutionContext.SuppressFlow(); // It is not for this request alone.
            Go.Run(static work => new Worker().Loop(work), work);
        }
    }

    private void Loop(Action work)
    {
        work();
        while (BecomesIdle())
        {
            work = _work.Receive();
            work();
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
}
