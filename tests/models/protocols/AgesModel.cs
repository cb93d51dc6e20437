// core/GcAges.cs: a goroutine waits to receive an object; one that runs gives it to it, and makes it ready; meanwhile
// there are collections, which pass by those whose age says that they have nothing young (stack/GcRoots.cs,
// IsSettled and the loop of ReportGoroutines, transcribed; what chan/Chan.cs does with a receiver, too).
//
//   gives      takes its waiter out of the queue, forgets its age, writes the reference to its frame; Runnable
//   collects   the world stops, and all threads have a barrier: is its age above? Else look, and give it one
//
// Must hold: who is passed by refers to nothing young. No order is asked of the plain steps but that of the program
// and of the barriers with which the runtime stops the threads and lets them go on.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal sealed unsafe class AgesModel : Model
{
    private const int Young = 1; // What the frame refers to: 0 is null.
    private const int Old = 2;

    private Goroutine* _g;
    private WaitQueue* _queue;
    private byte* _age;
    private int* _frame;

    internal override int Depth => 4;

    internal override (string, string)[] Barriers =>
    [
        ("ages-stop", "AgesModel.StopThreads MemoryBarrierProcessWide ?"),
        ("ages-go-on", "AgesModel.LetThreadsGoOn MemoryBarrierProcessWide ?"),
    ];

    internal override Action[] Threads => [Give, Collect];

    internal override void SetUp()
    {
        Scheduler.Make(1);
        _g = Scheduler.MakeWaiting("g");
        _age = Scheduler.AgeOf(_g);
        _queue = Explorer.Allocate<WaitQueue>("queue");
        _frame = Explorer.Allocate<int>("frame");
        Waiter* waiter = Goroutine.WaiterOf(_g);
        waiter->Goroutine = _g;
        _queue->Enqueue(waiter);
    }

    internal override void AtEnd() =>
        Explorer.Assert(*_age <= 1 || *_frame != Young, "The next collection would pass it by.");

    private void Give()
    {
        Waiter* waiter = _queue->Dequeue();
        GcAges.Forget(waiter->Goroutine);
        *_frame = Young;
        _g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
    }

    private void Collect()
    {
        for (int i = 0; i < 2; i++)
        {
            Explorer.StopTheWorld(() =>
            {
                StopThreads();
                LookAtGoroutine();
                LetThreadsGoOn();
            });
        }
    }

    private static void StopThreads() => Interlocked.MemoryBarrierProcessWide();

    private static void LetThreadsGoOn() => Interlocked.MemoryBarrierProcessWide();

    /// <summary>In a collection of the youngest generation: what is looked at is old afterwards.</summary>
    private void LookAtGoroutine()
    {
        if (*_age > 1)
        {
            Explorer.Assert(*_frame != Young, "It is passed by, and refers to what is young.");
            return;
        }
        if (*_frame == Young)
        {
            *_frame = Old;
        }
        bool isSettled = _g->State == GoroutineState.Waiting && Goroutine.WaiterOf(_g)->IsQueued;
        *_age = isSettled ? (byte)2 : GcAges.Unknown;
    }
}
