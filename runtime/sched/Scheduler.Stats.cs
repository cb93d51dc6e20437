// The counters behind Go.Stats. Each is read as it is at that moment, without stopping anybody: what is
// returned together may not fit together.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    internal static RuntimeStats Stats()
    {
        long runs = 0;
        long steals = 0;
        int held = 0;
        for (int i = 0; i < Volatile.Read(ref s_processorCount); i++)
        {
            runs += Volatile.Read(ref s_processors[i]->Runs);
            steals += Volatile.Read(ref s_processors[i]->Steals);
            held += s_processors[i]->Machine != null ? 1 : 0;
        }
        int machines = Volatile.Read(ref s_machineCount);
        int idle = Volatile.Read(ref s_idleMachineCount) + (Volatile.Read(ref s_keeping) ? 1 : 0);
        return new RuntimeStats
        {
            Goroutines = LiveCount,
            Processors = MaxProcessors,
            IdleProcessors = Volatile.Read(ref s_idleProcessorCount),
            Machines = machines,
            IdleMachines = idle,
            BlockedMachines = Math.Max(0, machines - idle - held),
            Runs = runs,
            Steals = steals,
            Polls = PollCount,
        };
    }
}
