// An alarm that goes off inside a collection, in the raw C# that the collector calls there: on the stack of the
// goroutine that asked for the collection, and in managed code. Who is interrupted there leaves the world
// stopped, and everybody waits for ever. So this is a child program.

using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class CollectionAlarm
{
    private const long AfterNs = 200_000;
    private const long GiveUpNs = 1_000_000_000;

    private static nint s_alarm;
    private static int s_heard;

    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        Go.LockOSThread(); // The alarm is for this machine.
        Machine* m = Current.Machine();
        s_alarm = Os.CreateAlarm(m->ThreadId, Os.SignalUrgent, (nint)m);
        GcRoots.AtNextMarking(&Wait);
        GC.Collect();
        return s_heard == 1 ? 0 : 5;
    });

    /// <summary>The world stands still; raw code.</summary>
    private static void Wait()
    {
        Machine* m = Current.Machine();
        long now = Os.NowNs();
        m->PreemptAsked = 1; // The handler clears it.
        _ = Os.SetAlarm(s_alarm, now + AfterNs);
        while (Volatile.Read(ref m->PreemptAsked) != 0 && Os.NowNs() < now + GiveUpNs)
        {
            for (int i = 0; i < 10_000; i++)
            {
                s_heard = Volatile.Read(ref m->PreemptAsked) == 0 ? 1 : 0;
            }
        }
        s_heard = Volatile.Read(ref m->PreemptAsked) == 0 ? 1 : 0; // It may have come after the last look.
    }
}
