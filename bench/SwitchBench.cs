// What a switch between goroutines costs: the asm by itself; both staying runnable (Go.Yield); one
// readies the other and parks, which every blocking operation is made of; and that below a channel.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using Weft.Runtime;
using Switch = Weft.Runtime.Switch;

namespace Weft.Bench;

internal static unsafe class SwitchBench
{
    private const int Yields = 2_000_000;
    private const int Switches = 4_000_000;
    private const int HandOffs = 1_000_000;
    private const int Messages = 500_000;

    private static TraceRing* s_ring;

    internal static Question[] Questions =>
    [
        .. Drive.OnEach(processors => [Question.One(
            $"switch_{processors}p", "ns", $"Go.Yield among {2 * processors} goroutines",
            () => Drive.On(processors, () => Yield(2 * processors)))]),
        Question.One("switch_alloc", "B", "bytes allocated by a million such yields, 1 processor",
            () => Drive.On(1, AllocatedByYields)),
        Question.One("switch_raw", "ns", "the asm switch alone, between two goroutines",
            () => Drive.On(1, Raw)),
        Question.One("park_ready", "ns", "ready the other goroutine and park, 1 processor",
            () => Drive.On(1, ParkReady)),
        Question.One("handoff", "ns", "a message one way, unbuffered channel, 1 processor",
            () => Drive.On(1, HandOff)),
        Question.One("switch_traced", "ns", "switch_1p with a flight recorder on",
            () => Drive.On(1, () => Recorded(() => Yield(2)))),
        Question.One("handoff_traced", "ns", "handoff with a flight recorder on",
            () => Drive.On(1, () => Recorded(HandOff))),
        Question.One("trace_event", "ns", "what it costs to write an event", WriteEvents),
    ];

    /// <summary>Nanoseconds for each yield; on more processors, of wall-clock time for all of
    /// them.</summary>
    private static double Yield(int goroutines)
    {
        int each = Yields / goroutines;
        return Drive.Time(goroutines, () => YieldTimes(each)) / (each * goroutines);
    }

    private static double Recorded(Func<double> measure)
    {
        using FlightRecorder recorder = Go.FlightRecorder();
        return measure();
    }

    private static double WriteEvents()
    {
        TraceRing* ring = s_ring == null ? s_ring = TraceRing.Make() : s_ring;
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Switches; i++)
        {
            TraceRing.Write(ring, TraceEvent.Run, i);
        }
        return Stopwatch.GetElapsedTime(start).TotalNanoseconds / Switches;
    }

    private static void YieldTimes(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Go.Yield();
        }
    }

    private static double AllocatedByYields()
    {
        const int each = 500_000;
        double allocated = 0;
        _ = Drive.Time(
            () =>
            {
                long before = GC.GetTotalAllocatedBytes(precise: true);
                YieldTimes(each);
                allocated = GC.GetTotalAllocatedBytes(precise: true) - before;
            },
            () => YieldTimes(each));
        return allocated;
    }

    /// <summary>The scheduler alone, without a channel: two goroutines wake each other in turn.
    /// Only for one processor: with two, one may ready the other before it has parked.</summary>
    private static double ParkReady()
    {
        Goroutine* first = null;
        Goroutine* second = null;
        return Drive.Time(
            () =>
            {
                first = Current.Goroutine();
                Scheduler.Park(first, null, null, ParkReason.None);
                for (int i = 0; i < HandOffs / 2; i++)
                {
                    Scheduler.Ready(second);
                    Scheduler.Park(first, null, null, ParkReason.None);
                }
            },
            () =>
            {
                second = Current.Goroutine();
                while (first == null)
                {
                    Go.Yield();
                }
                for (int i = 0; i < HandOffs / 2; i++)
                {
                    Scheduler.Ready(first);
                    Scheduler.Park(second, null, null, ParkReason.None);
                }
                Scheduler.Ready(first);
            }) / HandOffs;
    }

    /// <summary>The second parks and the first resumes it behind the scheduler's back, and so on in
    /// turn; at the end the first readies it, as it would any goroutine that waits.</summary>
    private static double Raw()
    {
        const int each = Switches / 2;
        Goroutine* first = null;
        Goroutine* second = null;
        double time = 0;
        _ = Drive.Time(
            () =>
            {
                second = Current.Goroutine();
                Scheduler.Park(second, null, null, ParkReason.None);
                Bounce(second, first, each);
            },
            () =>
            {
                first = Current.Goroutine();
                while (second == null)
                {
                    Go.Yield();
                }
                long start = Stopwatch.GetTimestamp();
                Bounce(first, second, each);
                time = Drive.Since(start);
                Scheduler.Ready(second);
            });
        return time / Switches;
    }

    /// <summary>One call site for both, as in the scheduler: it matters to the return
    /// predictor.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Bounce(Goroutine* self, Goroutine* other, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _ = Switch.To(self, other, null);
        }
    }

    private static double HandOff()
    {
        Chan<int> channel = new();
        int received = 0;
        double time = Drive.Time(
            () =>
            {
                for (int i = 0; i < Messages; i++)
                {
                    channel.Send(1);
                }
            },
            () =>
            {
                for (int i = 0; i < Messages; i++)
                {
                    received += channel.Receive();
                }
            });
        Drive.Check(received == Messages, "messages lost");
        return time / Messages;
    }
}
