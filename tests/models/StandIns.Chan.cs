// The same for chan/: no selects, no tokens. A thread that waits is a stand-in, as in sched/Scheduler.Spawn.cs.

using Weft.Runtime;

namespace Weft
{
    internal static class CancelCause
    {
        internal static void ThrowIfCancelled(CancellationToken token) => token.ThrowIfCancellationRequested();
    }

    internal static class Select
    {
        internal static int Wait(CancellationToken token, params SelectCase[] cases) => throw new NotSupportedException();
    }

    public readonly struct ReceiveChan<T>(Chan<T> chan)
    {
        public bool Receive(out T value) => chan.Receive(out value);

        public static implicit operator ReceiveChan<T>(Chan<T> chan) => new(chan);
    }

    internal class SelectCase
    {
        internal static unsafe object Of(Waiter* waiter) => throw new NotSupportedException();
    }

    internal sealed class SendCase<T>(Chan<T> chan, T element) : SelectCase
    {
        internal T Element = element;

        internal Chan<T> Chan => chan;
    }

    internal sealed class ReceiveCase<T>(Chan<T> chan) : SelectCase
    {
        internal T Element = default!;

        internal T Value => Element;

        internal bool Ok => false;

        internal Chan<T> Chan => chan;
    }
}

namespace Weft.Runtime
{
    internal static unsafe partial class Scheduler
    {
        /// <summary>Blocks for threads that may wait, one for each.</summary>
        internal static Goroutine* MakeStandIns(int count)
        {
            Goroutine* first = Models.Explorer.Allocate<Goroutine>("stand-ins", count);
            for (int i = 0; i < count; i++)
            {
                first[i].Kind = GoroutineKind.Thread;
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
