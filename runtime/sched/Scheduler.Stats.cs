// The counters behind Go.Stats. Each is read as it is at that moment, without stopping anybody: what is
// returned together may not fit together.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    internal static RuntimeStats Stats()
    {
        long runs = 0;
        long steals = 0;
        for (int i = 0; i < Volatile.Read(ref s_processorCount); i++)
        {
            runs += Volatile.Read(ref s_processors[i]->Runs);
            steals += Volatile.Read(ref s_processors[i]->Steals);
        }
        return new RuntimeStats
        {
            Goroutines = LiveCount,
            Processors = MaxProcessors,
            IdleProcessors = Volatile.Read(ref s_idleProcessorCount),
            Machines = Volatile.Read(ref s_machineCount),
            IdleMachines = Volatile.Read(ref s_idleMachineCount),
            Runs = runs,
            Steals = steals,
            Polls = PollCount,
        };
    }
}
