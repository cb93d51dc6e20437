// Spinning for a lock that users hold (sync/BriefSpin.cs): only where the holder can make progress meanwhile,
// and where nobody loses by it. The conditions are Go's.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>Whether the caller may spin a little for what another holds: another processor runs
    /// goroutines, and none waits for this one. A thread that is no machine needs only a second
    /// core.</summary>
    internal static bool MaySpin()
    {
        if (Environment.ProcessorCount == 1)
        {
            return false;
        }
        Switch.EnterCritical();
        Goroutine* g = Current.Goroutine();
        Machine* m = Current.Machine();
        bool may = g != null && g->IsBubbled ? false : m == null || m->Processor == null
            || (m->Processor->Queue.IsEmpty && OthersRun);
        Switch.LeaveCritical();
        return may;
    }

    private static bool OthersRun =>
        Volatile.Read(ref s_shared.IdleProcessorCount) + Volatile.Read(ref s_shared.Spinning)
        < MaxProcessors - 1;
}
