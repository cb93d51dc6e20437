// poll/PollDescriptor.cs: a goroutine begins to wait for a descriptor, while its wait is cancelled, and while it is
// reported ready. WaitNetwork and CommitNetwork (sched/Scheduler.Netpoll.cs) are transcribed.
//
//   waits     word: None -> Parking, read the flags, word: Parking -> g
//   cancels   write the flag, barrier, read the word; g -> None, and g is made ready
//   reports   word: Ready, or g -> Ready, and g is made ready
//
//   reads     word: None, barrier, try: less than there was room for; and nothing unusual? Then the next read waits
//             first: net/Descriptor.Operations.cs, ReadSome, transcribed
//   tells     that the peer has closed: unusual, barrier, word: if it says Ready already nothing changes
//
// Must hold: it goes on once, and it goes on: a cancelled wait is not slept through, nor what was reported.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class PollModel : Model
{
    private int _wentOn;
    private Goroutine* _g;

    private protected PollDescriptor* Descriptor { get; private set; }

    internal override int Depth => 4;

    internal override void SetUp()
    {
        GcAges.Initialize((nint)Explorer.Allocate<byte>("ages", 1024), (Goroutine*)Explorer.Static(0));
        Descriptor = Explorer.Allocate<PollDescriptor>("descriptor");
        Descriptor->Open();
        _g = Scheduler.MakeRunning("g");
        _wentOn = 0;
    }

    internal override void AtEnd()
    {
        Explorer.Assert(_wentOn == 1, $"It went on {_wentOn} times.");
        Explorer.Assert(Scheduler.NetworkWaiters == 0, "Somebody counts as one who waits.");
    }

    private protected void Wait()
    {
        if (Descriptor->State(PollMode.Read) != PollResult.Ready
            || !PollDescriptor.BeginPark(Descriptor, PollMode.Read))
        {
            Try();
            return;
        }
        if (Descriptor->State(PollMode.Read) == PollResult.Ready)
        {
            _g->Context.SavedSp = 7;
            _g->Transition(GoroutineState.Running, GoroutineState.Waiting);
            if (PollDescriptor.CommitPark(PollDescriptor.Word(Descriptor, PollMode.Read), _g))
            {
                return;
            }
            _g->Transition(GoroutineState.Waiting, GoroutineState.Running);
        }
        GoOn();
    }

    private protected void Resume(Goroutine* g)
    {
        if (g != null)
        {
            g->Transition(GoroutineState.Waiting, GoroutineState.Running);
            Explorer.Assert(g->Context.SavedSp == 7, "Its stack is not as it was left.");
            GoOn();
        }
    }

    private protected void Try() => _wentOn++;

    private void GoOn()
    {
        _ = PollDescriptor.EndPark(Descriptor, PollMode.Read);
        Try();
    }
}

internal sealed unsafe class CancelModel : PollModel
{
    internal override (string, string)[] Barriers =>
    [
        ("cancel-barrier", "PollDescriptor.SetFlag MemoryBarrier ?"),
        ("cancel-wait-barrier", "PollDescriptor.BeginPark MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Wait, () => Resume(Descriptor->Cancel(PollMode.Read, true))];
}

internal sealed unsafe class CloseModel : PollModel
{
    internal override (string, string)[] Barriers =>
    [
        ("close-barrier", "PollDescriptor.Close MemoryBarrier ?"),
        ("close-wait-barrier", "PollDescriptor.BeginPark MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Wait, () => Resume(Descriptor->Close())];
}

internal sealed unsafe class ReportModel : PollModel
{
    internal override (string, string)[] Barriers =>
    [
        ("report-commit", "PollDescriptor.CommitPark CompareExchange ?"),
        ("report-unblock", "PollDescriptor.Unblock CompareExchange ? + PollDescriptor.Unblock VolatileRead ?"),
    ];

    internal override Action[] Threads => [Wait, Report];

    private void Report() => Resume(Descriptor->Unblock(PollMode.Read, ready: true));
}

/// <summary>Something came, and was reported; then the peer has closed. The read gets all of that, but for the
/// end.</summary>
internal sealed unsafe class ForgetModel : PollModel
{
    internal override (string, string)[] Barriers =>
    [
        ("forget-read", "PollDescriptor.Forget MemoryBarrier ?"),
        ("forget-report", "PollDescriptor.NoteUnusual MemoryBarrier ?"),
    ];

    internal override Action[] Threads => [Read, Report];

    internal override void SetUp()
    {
        base.SetUp();
        _ = Descriptor->Unblock(PollMode.Read, ready: true);
    }

    private void Read()
    {
        PollDescriptor.Forget(Descriptor, PollMode.Read);
        if (Descriptor->IsUnusual)
        {
            Try();
            return;
        }
        Wait();
    }

    private void Report()
    {
        Descriptor->NoteUnusual();
        Resume(Descriptor->Unblock(PollMode.Read, ready: true));
    }
}

/// <summary>Both at once.</summary>
internal sealed unsafe class CancelAndReportModel : PollModel
{
    internal override int Depth => 3;

    internal override (string, string)[] Barriers => [];

    internal override Action[] Threads =>
    [
        Wait,
        () => Resume(Descriptor->Cancel(PollMode.Read, true)),
        () => Resume(Descriptor->Unblock(PollMode.Read, ready: true)),
    ];
}
