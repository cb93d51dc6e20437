// Who there is, at about one moment: goroutines by what they do, and their stacks. A look at each control
// block, without stopping anybody: some 10 to 50 ns each.

namespace Weft.Runtime;

internal sealed unsafe class Census
{
    private readonly long[] _waiting = new long[byte.MaxValue + 1];

    internal long Runnable { get; private set; }

    internal long Running { get; private set; }

    /// <summary>Bytes of address space that their stacks may use, and that those which wait do use.</summary>
    internal long StackBytes { get; private set; }

    internal long StackBytesInUse { get; private set; }

    /// <summary>Timers that are set, of sleepers, time-outs and the program.</summary>
    internal long Timers { get; private set; }

    internal long Waiting(ParkReason reason) => _waiting[(int)reason];

    internal static Census Take()
    {
        Census census = new();
        if (!Jit.IsOn)
        {
            for (nint number = 0; number < GoroutineTable.Carved; number++)
            {
                Goroutine* g = GoroutineTable.AliveAt(number);
                if (g != null && g->Kind != GoroutineKind.Thread)
                {
                    census.Add(g);
                }
            }
        }
        for (int i = 0; i < Scheduler.RingCount - 1; i++)
        {
            census.Timers += TimerHeap.Of(i).Count;
        }
        return census;
    }

    private void Add(Goroutine* g)
    {
        long size = g->StackHigh - g->StackLow;
        long used = g->StackHigh - g->Context.SavedSp;
        StackBytes += g->Machine == null && !g->IsStored ? 0 : size; // It has not begun.
        switch (g->State)
        {
            case GoroutineState.Runnable:
                Runnable++;
                break;
            case GoroutineState.Running:
                Running++;
                break;
            case GoroutineState.Waiting:
                _waiting[(int)g->Reason]++;
                StackBytesInUse += used > 0 && used <= size ? used : 0; // It may have gone on meanwhile.
                break;
        }
    }
}
