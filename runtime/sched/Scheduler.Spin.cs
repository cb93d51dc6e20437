// Spinning for a lock that users hold: only where the holder can make progress meanwhile, and where nobody
// loses by it. The conditions are Go's.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int SpinPauses = 30;

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
        Machine* m = Current.Machine();
        bool may = m == null || m->Processor == null
            || (m->Processor->Queue.IsEmpty && OthersRun);
        Switch.LeaveCritical();
        return may;
    }

    private static bool OthersRun =>
        Volatile.Read(ref s_shared.IdleProcessorCount) + Volatile.Read(ref s_shared.Spinning)
        < MaxProcessors - 1;

    /// <summary>One turn, some microseconds. It does not poll for a collection: as its last call that would
    /// be a jump, and the poll would take our hijacked return address for its caller (HACKING.md, trap
    /// x).</summary>
    internal static void Spin()
    {
        for (int i = 0; i < SpinPauses; i++)
        {
            Switch.Pause();
        }
    }
}
