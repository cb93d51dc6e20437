// No model has bubbles (runtime/sched/Bubble.cs): nobody is of one.

namespace Weft.Runtime;

internal interface IBubbled
{
    public bool IsOf(Bubble bubble);
}

internal sealed unsafe class Bubble
{
    internal bool IsOrdered => false;

    internal TimerHeap Heap => throw new NotSupportedException();

    internal static Bubble? OfCaller() => null;

    internal static Bubble Of(Goroutine* g) => throw new NotSupportedException();

    internal static void Point()
    {
    }

    internal static uint Choose(Goroutine* g, uint bound) => (uint)Random.Shared.Next((int)bound);

    internal static long NowOf(Goroutine* g) => Os.NowNs();

    internal void CheckCaller(string what)
    {
    }

    internal void Demote(Goroutine* g)
    {
    }

    internal BubbleWait Parking(Goroutine* g) => default;

    internal Goroutine* Parked(BubbleWait wait) => null;

    internal Goroutine* Readied(Goroutine* g) => null;
}

internal static unsafe partial class Scheduler
{
    private static void Dispatch(Goroutine* g)
    {
    }
}
