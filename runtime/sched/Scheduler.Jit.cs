// The scheduler on the JIT (base/Jit.cs), where the system's decides who runs. What is left of ours: the
// processors, for the sake of their timer heaps; and a thread that keeps the time and looks at the network,
// which under NativeAOT an idle machine does. It is the keeper from the start, and for ever (s_keeping).
//
//   who adds a timer   NextTimer, full barrier, s_keptUntil later? Then kick     Scheduler.Timers.cs
//   the keeper         s_keptUntil, full barrier, all NextTimer again
//
// Go.MaxProcs is a number there, and no limit: nothing is retired.

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>Initialize, on the JIT.</summary>
    internal static void InitializeOnJit(int processors)
    {
        if (s_shared.Processors == null) // Else an earlier start has failed later on.
        {
            s_shared.Processors = (Processor**)AddressSpace.Need(Layout.MaxProcessors * sizeof(nint));
        }
        MaxProcessors = processors;
        InitializeTimers();
        MakeProcessors(processors);
        s_keeping = true;
        s_keptUntil = TimerNode.Never - 1;
        Thread keeper = new(KeepTimeOnJit) { IsBackground = true, Name = "weft: keeper" };
        keeper.UnsafeStart();
        Thread watch = new(WatchForDeadlocks) { IsBackground = true, Name = "weft: watch" };
        watch.UnsafeStart();
        Volatile.Write(ref s_shared.Started, 1);
    }

    /// <summary>A goroutine exists. Its number.</summary>
    internal static long CountCreated()
    {
        Interlocked.Increment(ref s_externalLive);
        return Interlocked.Increment(ref s_nextId);
    }

    /// <summary>One has ended.</summary>
    internal static void CountEnded() => Interlocked.Decrement(ref s_externalLive);

    /// <summary>SetMaxProcessors, on the JIT. Any thread.</summary>
    internal static void SetMaxProcessorsOnJit(int count)
    {
        while (Interlocked.CompareExchange(ref s_changing, 1, 0) != 0)
        {
            _ = Thread.Yield();
        }
        try
        {
            MakeProcessors(count);
            MaxProcessors = count;
        }
        finally
        {
            Volatile.Write(ref s_changing, 0);
        }
    }

    private static void KeepTimeOnJit()
    {
        while (true)
        {
            int seen = Volatile.Read(ref *s_kicks);
            long until = EarliestTimer();
            // Never would say that nobody keeps time.
            Volatile.Write(ref s_keptUntil, Math.Min(until, TimerNode.Never - 1));
            Interlocked.MemoryBarrier(); // Pairs with the one in TimerAdded.
            if (EarliestTimer() < until)
            {
                continue;
            }
            long now = Os.NowNs();
            if (until <= now)
            {
                _ = RunAllTimers(s_shared.Processors[0]);
            }
            else if (IsPolling)
            {
                SubmitAll(Netpoll.Poll(until == TimerNode.Never ? -1 : until - now));
            }
            else if (until == TimerNode.Never)
            {
                Os.WaitOnAddress(s_kicks, seen);
            }
            else
            {
                Os.WaitOnAddressUntil(s_kicks, seen, until);
            }
        }
    }
}
