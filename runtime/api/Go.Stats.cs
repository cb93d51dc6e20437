// Figures about the scheduler, for monitoring.

using Weft.Runtime;

namespace Weft;

public static unsafe partial class Go
{
    /// <summary>
    /// Figures about the scheduler. Costs a look at each processor; stops nobody, and never waits, but for
    /// the start of the runtime if it has not started. Go: the runtime/metrics package has more of them.
    /// </summary>
    /// <returns>The figures of this moment.</returns>
    /// <exception cref="PlatformNotSupportedException">As for <see cref="Run(Action)"/>.</exception>
    public static RuntimeStats Stats()
    {
        Scheduler.EnsureStarted();
        return Scheduler.Stats();
    }
}
