// Events are written while somebody wants them: a trace, or any number of flight recorders.
// Locks: s_lock.

namespace Weft.Runtime;

internal static class TraceUse
{
    private static readonly Lock s_lock = new();
    private static int s_users;

    /// <exception cref="InsufficientMemoryException">No memory for the rings.</exception>
    internal static void Begin(TraceSource source)
    {
        lock (s_lock)
        {
            if (s_users == 0 && !source.Set(true))
            {
                source.Set(false);
                throw new InsufficientMemoryException("No memory for the events of the trace.");
            }
            s_users++;
        }
    }

    internal static void End(TraceSource source)
    {
        lock (s_lock)
        {
            if (--s_users == 0)
            {
                source.Set(false);
            }
        }
    }
}
