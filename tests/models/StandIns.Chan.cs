// The same for chan/: no tokens, no sources. A thread that waits is a stand-in, as in sched/Scheduler.Spawn.cs.

namespace Weft
{
    internal static class CancelCause
    {
        internal static void ThrowIfCancelled(CancellationToken token) => token.ThrowIfCancellationRequested();

        internal static void Throw(CancellationToken token) => throw new NotSupportedException();
    }

    public readonly struct ReceiveChan<T>(Chan<T> chan)
    {
        internal Chan<T>? Channel => chan;

        public bool Receive(out T value) => chan.Receive(out value);

        public static implicit operator ReceiveChan<T>(Chan<T> chan) => new(chan);
    }

    public readonly struct SendChan<T>(Chan<T> chan)
    {
        internal Chan<T>? Channel => chan;

        public static implicit operator SendChan<T>(Chan<T> chan) => new(chan);
    }
}

namespace Weft.Runtime
{
    internal static class Collector
    {
        internal static bool IsMarked(nint address) => throw new NotSupportedException();
    }

    internal static unsafe class GoroutineExtras
    {
        internal static GoroutineExtra* Of(Goroutine* g) => g->Extra;
    }

    internal static unsafe partial class Scheduler
    {
        /// <summary>Blocks for threads that may wait, one for each.</summary>
        internal static Goroutine* MakeStandIns(int count)
        {
            Goroutine* first = Models.Explorer.Allocate<Goroutine>("stand-ins", count);
            Machine* machines = Models.Explorer.Allocate<Machine>("random", count);
            for (int i = 0; i < count; i++)
            {
                first[i].Kind = GoroutineKind.Thread;
                first[i].Machine = machines + i;
                first[i].Extra = Models.Explorer.Allocate<GoroutineExtra>("extra");
            }
            return first;
        }

        internal static Goroutine* EnterWait()
        {
            Goroutine* g = (Goroutine*)Models.Explorer.Local.StandIn;
            g->Transition(GoroutineState.Dead, GoroutineState.Runnable);
            g->Transition(GoroutineState.Runnable, GoroutineState.Running);
            return g;
        }

        internal static void LeaveWait(Goroutine* g) => g->Transition(GoroutineState.Running, GoroutineState.Dead);
    }
}
