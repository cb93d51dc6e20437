// The counters behind Go.Stats. Each is read as it is at that moment, without stopping anybody: what is
// returned together may not fit together.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    internal static RuntimeStats Stats()
    {
        if (Jit.IsOn)
        {
            return new RuntimeStats
            {
                Goroutines = LiveCount,
                Processors = MaxProcessors,
                Machines = JitThreads.Count,
            };
        }
        long runs = 0;
        long steals = 0;
        long looks = Volatile.Read(ref s_looks);
        int held = 0;
        for (int i = 0; i < Volatile.Read(ref s_shared.ProcessorCount); i++)
        {
            runs += Volatile.Read(ref s_shared.Processors[i]->Runs);
            steals += Volatile.Read(ref s_shared.Processors[i]->Steals);
            looks += Volatile.Read(ref s_shared.Processors[i]->Looks);
            held += s_shared.Processors[i]->Machine != null ? 1 : 0;
        }
        int machines = Volatile.Read(ref s_machineCount);
        int idle = Volatile.Read(ref s_idleMachineCount) + (Volatile.Read(ref s_keeping) ? 1 : 0);
        return new RuntimeStats
        {
            Goroutines = LiveCount,
            Processors = MaxProcessors,
            IdleProcessors = Volatile.Read(ref s_shared.IdleProcessorCount),
            Machines = machines,
            IdleMachines = idle,
            BlockedMachines = Math.Max(0, machines - idle - held),
            Runs = runs,
            Steals = steals,
            Polls = looks,
        };
    }
}
