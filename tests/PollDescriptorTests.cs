// The words of a poll record, moved by hand: no goroutine is involved, and the poller knows no such descriptor.

using Weft.Runtime;

namespace Weft.Tests;

internal sealed unsafe class PollDescriptorTests
{
    [Test]
    [Arguments(0)]
    [Arguments(1)]
    public void AReportIsTakenOnceByTheNextWhoWaits(int direction)
    {
        PollMode mode = (PollMode)direction;
        PollDescriptor* pd = Take();
        Expect(PollDescriptor.BeginPark(pd, mode), "nothing is known");
        Expect(pd->Unblock(mode, ready: true) == null, "nobody has parked yet");
        Expect(PollDescriptor.EndPark(pd, mode), "the report came in between");
        Expect(pd->Unblock(mode, ready: true) == null, "nobody waits");
        Expect(pd->Unblock(mode, ready: true) == null, "nobody waits, again");
        Expect(!PollDescriptor.BeginPark(pd, mode), "it was reported");
        Expect(PollDescriptor.BeginPark(pd, mode), "but is only taken once");
        _ = PollDescriptor.EndPark(pd, mode);
        Give(pd);
    }

    [Test]
    [Arguments(0)]
    [Arguments(1)]
    public void WhoIsAboutToParkIsToldToLookAgain(int direction)
    {
        PollMode mode = (PollMode)direction;
        PollDescriptor* pd = Take();
        Goroutine* nobody = (Goroutine*)4096; // Only its address is used.
        long waiters = Scheduler.NetworkWaiters;
        Expect(PollDescriptor.BeginPark(pd, mode), "nothing is known");
        Expect(pd->Unblock(mode, ready: false) == null, "nobody has parked yet");
        Expect(!PollDescriptor.CommitPark(PollDescriptor.Word(pd, mode), nobody), "does not park");
        Expect(!PollDescriptor.EndPark(pd, mode), "but was not reported ready");
        Expect(Scheduler.NetworkWaiters == waiters, "nobody waits");

        Expect(PollDescriptor.BeginPark(pd, mode), "a second time");
        Expect(PollDescriptor.CommitPark(PollDescriptor.Word(pd, mode), nobody), "parks");
        Expect(Scheduler.NetworkWaiters == waiters + 1, "one waits");
        Expect(pd->Unblock(mode, ready: false) == nobody, "is taken out");
        Expect(pd->Unblock(mode, ready: false) == null, "by one only");
        Expect(Scheduler.NetworkWaiters == waiters, "nobody waits any more");
        Expect(!PollDescriptor.EndPark(pd, mode), "and goes on");
        Give(pd);
    }

    [Test]
    public void WhatEndsAWaitIsKnownByDirection()
    {
        PollDescriptor* pd = Take();
        Expect(pd->State(PollMode.Read) == PollResult.Ready, "new");
        pd->Lock.Enter();
        _ = pd->SetDeadline(PollMode.Read, 5, now: 5);
        pd->Lock.Exit();
        Expect(pd->State(PollMode.Read) == PollResult.Expired, "read");
        Expect(pd->State(PollMode.Write) == PollResult.Ready, "not write");
        _ = pd->Cancel(PollMode.Write, true);
        Expect(pd->State(PollMode.Write) == PollResult.Cancelled, "cancelled");
        _ = pd->Cancel(PollMode.Write, false);
        Expect(pd->State(PollMode.Write) == PollResult.Ready, "not any more");
        _ = pd->Close();
        Expect(pd->State(PollMode.Read) == PollResult.Closed, "closed");
        Expect(pd->State(PollMode.Write) == PollResult.Closed, "both");
        PollTable.Give(pd);
    }

    [Test]
    public void ARecordThatIsUsedAgainHasAnotherTagAndNothingLeft()
    {
        PollDescriptor* first = Take();
        uint tag = first->Tag;
        _ = first->Unblock(PollMode.Read, ready: true);
        first->NoteUnusual();
        Give(first);
        PollDescriptor* second = Take();
        Expect(second == first, "the same memory");
        Expect(second->Tag != tag, "another tag");
        Expect(!second->IsUnusual, "nothing noted");
        Expect(second->State(PollMode.Read) == PollResult.Ready, "open");
        Expect(PollDescriptor.BeginPark(second, PollMode.Read), "no report left");
        _ = PollDescriptor.EndPark(second, PollMode.Read);
        Give(second);
    }

    private static PollDescriptor* Take()
    {
        Scheduler.EnsureStarted();
        Expect(Scheduler.StartNetpoll() == 0, "the poller");
        return PollTable.Take();
    }

    private static void Give(PollDescriptor* pd)
    {
        _ = pd->Close();
        PollTable.Give(pd);
    }

    private static void Expect(bool condition, string what)
    {
        if (!condition)
        {
            Assert.Fail(what);
        }
    }
}
