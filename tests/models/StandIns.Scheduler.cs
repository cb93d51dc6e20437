// The same for the scheduler's files: no heap of timers, no descriptors, no sysmon, no stacks. Assume and Complete are
// those of sched/Scheduler.Loop.cs without stacks; TimerHeap holds one timer.

using Weft.Models;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const long SliceNs = 10_000_000;

    private static byte* s_ages;
    private static int s_processorsTaken;
    private static int s_waitingThreads;
    private static int s_threadsWoken;
    private static bool s_polling;

    internal static long CoarseNow => 0;

    /// <summary>Not in the model's memory: the exchange would order what something else has to.</summary>
    internal static long NetworkWaiters => Explorer.Count;

    /// <summary>Waits are not counted.</summary>
    private static bool CountsWaits => false;

    /// <summary>Who steals takes what is next, too, and sleeps if there is nothing.</summary>
    private static bool HasCoreForEach => false;

    /// <summary>Nothing is traced.</summary>
    private static bool Traces => false;

    private static Goroutine* Linger(Processor* p) => throw new NotSupportedException();

    private static void TraceIfOn(Processor* p)
    {
    }

    private static void TraceReady(Processor* p, Goroutine* g)
    {
    }

    private static void TraceReadyOutside(Goroutine* g)
    {
    }

    private static void TraceNativeStop(Processor* p, Goroutine* g)
    {
    }

    private static void Trace(Processor* p, TraceEvent what, long number)
    {
    }

    private static void TraceOutside(TraceEvent what, long number, int reason)
    {
    }

    internal static void TraceFunction(Delegate function)
    {
    }

    /// <summary>Start-up.</summary>
    internal static void Make(int processors)
    {
        s_ages = Explorer.Allocate<byte>("ages", 1024);
        GcAges.Initialize((nint)s_ages, (Goroutine*)Explorer.Static(0));
        Netpoll.Make();
        Initialize(processors);
    }

    /// <summary>What GcAges keeps of it.</summary>
    internal static byte* AgeOf(Goroutine* g) =>
        s_ages + (nint)((nuint)g / Goroutine.Size) - (nint)((nuint)Explorer.Static(0) / Goroutine.Size);

    /// <summary>A machine that holds a processor, with nothing in its queue.</summary>
    internal static Machine* MakeMachine(string name)
    {
        Machine* m = Explorer.Allocate<Machine>(name);
        Hold(m, PopIdle());
        m->Processor->RoundsToGlobal = Processor.GlobalEvery;
        return m;
    }

    /// <summary>The same of one that sleeps.</summary>
    internal static Machine* MakeSleeper(string name)
    {
        Machine* m = MakeMachine(name);
        Processor* p = m->Processor;
        Release(m, p);
        PushIdle(p);
        return m;
    }

    /// <summary>A goroutine that waits.</summary>
    internal static Goroutine* MakeWaiting(string name)
    {
        Goroutine* g = Explorer.Allocate<Goroutine>(name);
        g->Transition(GoroutineState.Dead, GoroutineState.Runnable);
        g->Transition(GoroutineState.Runnable, GoroutineState.Running);
        g->Transition(GoroutineState.Running, GoroutineState.Waiting);
        return g;
    }

    internal static Goroutine* MakeRunning(string name)
    {
        Goroutine* g = MakeWaiting(name);
        g->Transition(GoroutineState.Waiting, GoroutineState.Running);
        return g;
    }

    /// <summary>g, which waits, runs on m.</summary>
    internal static void Continue(Machine* m, Goroutine* g)
    {
        g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
        _ = Assume(m, g);
    }

    /// <summary>g, which waits, is in m's ring.</summary>
    internal static void MakeLocal(Machine* m, Goroutine* g)
    {
        g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
        Check.Always(m->Processor->Queue.TryPush(g), "A queue with room is full."u8);
    }

    /// <summary>What a machine's loop runs next.</summary>
    internal static Goroutine* Next(Machine* m)
    {
        Current.SetMachine(m);
        return Assume(m, FindRunnable(m));
    }

    /// <summary>What it runs next if it sleeps now.</summary>
    internal static Goroutine* NextAfterSleep(Machine* m)
    {
        Current.SetMachine(m);
        _ = Sleep(m);
        return Next(m);
    }

    /// <summary>What a new machine runs first.</summary>
    internal static Goroutine* NextOfNew(Machine* m)
    {
        AcquireNext(m);
        return Next(m);
    }

    /// <summary>What the commit of SleepUntil does.</summary>
    internal static void AddSleeper(Goroutine* g, long when) => _ = CommitSleep(g, (void*)when);

    /// <summary>Until the first timer.</summary>
    internal static void SleepAsKeeper() => _ = SleepUntilTimer(out _);

    /// <summary>Before the start.</summary>
    internal static void SetTimer(Machine* m, Goroutine* g, long when) =>
        _ = TimerHeap.Of(m->Processor->Id).TryAdd(g, when, out _);

    internal static void Finish(Goroutine* g) => Complete(g);

    internal static bool Take(Processor* p, Machine* m, uint count) => TakeFromNative(p, m, count);

    internal static void Return(Machine* m, Goroutine* g) => ReturnFromNative(m, g);

    private static Goroutine* Assume(Machine* m, Goroutine* g)
    {
        m->Processor->Runs++;
        g->Transition(GoroutineState.Runnable, GoroutineState.Running);
        g->Machine = m;
        return g;
    }

    private static void Complete(Goroutine* g)
    {
        delegate*<Goroutine*, void*, bool> commit = g->ParkCommit;
        void* argument = g->ParkArgument;
        g->Transition(GoroutineState.Running, GoroutineState.Waiting);
        if (commit != null && !commit(g, argument))
        {
            g->Transition(GoroutineState.Waiting, GoroutineState.Runnable);
            _ = Push(Current.Machine()->Processor, g, next: true);
        }
    }

    private static bool IsWanted(Processor* p) => false;

    private static void CancelAlarm(Machine* m)
    {
    }

    private static void CountPreemption(Machine* m)
    {
    }

    private static void RunLater(Processor* p, Goroutine* g) => throw new NotSupportedException();

    private static bool PollNetwork(Processor* p) => false;

    private static bool IsPolling => Volatile.Read(ref s_polling);

    /// <summary>What StartNetpoll does.</summary>
    internal static void StartPolling()
    {
        Volatile.Write(ref s_polling, true);
        Interlocked.Increment(ref *s_kicks);
        Os.WakeAddress(s_kicks, 1);
    }

    private static void SubmitAll(Goroutine* list) =>
        Check.Always(list == null, "No model has descriptors that are polled."u8);

    private static void StartSysmon()
    {
    }

    private static void WakeSysmon()
    {
    }

    private static void GiveFree(Processor* p, int count)
    {
    }

    private static void GiveHomes(Processor* p, int count)
    {
    }

    private static nint MachineMain(nint argument) => 0;
}

internal sealed class GoroutineExit : Exception;

internal static class Startup
{
    internal static void Start() => throw new NotSupportedException();
}

internal static class RuntimeThread
{
    internal static bool MayBeStopped => true;
}

internal static class GoroutineTable
{
    internal const int Capacity = 8;
}

internal static class AddressSpace
{
    private static int s_count;

    internal static unsafe nint Need(nint size) => (nint)Explorer.Allocate<byte>($"memory {++s_count}", (int)size);
}

internal static class ApiNames
{
    internal static ReadOnlySpan<byte> MaxThreads => ""u8;
}

internal static unsafe class Netpoll
{
    private static int* s_broken; // What the eventfd holds.

    internal static void Make() => s_broken = Explorer.Allocate<int>("poller");

    internal static void AddWaiters(int count) => Explorer.Count += count;

    /// <summary>Waits for the time, or for Break.</summary>
    internal static Goroutine* Poll(long nanoseconds)
    {
        Os.WaitOnAddressUntil(s_broken, 0, nanoseconds < 0 ? long.MaxValue : Explorer.Now + nanoseconds);
        _ = Interlocked.Exchange(ref *s_broken, 0);
        return null;
    }

    internal static void Break()
    {
        _ = Interlocked.Exchange(ref *s_broken, 1);
        Os.WakeAddress(s_broken, 1);
    }
}

internal abstract class TimerNode
{
    internal const long Never = long.MaxValue;

    internal TimerHeap? OwnHeap => null;

    internal long When { get; set; } = Never;

    internal abstract void Fire(long now);

    internal virtual void GiveUp() => throw new NotSupportedException();
}

internal sealed unsafe class TimerHeap
{
    internal const int SleepersAtOnce = 64;

    internal TimerNode? Lingering;

    private static readonly TimerHeap[] s_heaps = new TimerHeap[Layout.MaxProcessors];

    private readonly Processor* _processor;
    private readonly State* _state;

    private TimerHeap(Processor* p)
    {
        _processor = p;
        _state = Explorer.Allocate<State>("timer heap");
        p->NextTimer = TimerNode.Never;
    }

    internal int Id => _processor->Id;

    internal int Count => 0;

    internal static void Initialize(int most)
    {
    }

    internal static void Create(Processor* p) => s_heaps[p->Id] = new TimerHeap(p);

    internal static TimerHeap Of(int processor) => s_heaps[processor];

    internal bool TryAdd(Goroutine* g, long when, out bool earlier)
    {
        _state->Lock.Enter();
        _state->Sleeper = g;
        Volatile.Write(ref _processor->NextTimer, when);
        _state->Lock.Exit();
        earlier = true;
        return true;
    }

    internal bool TakeDue(long now, int most, out Goroutine* sleepers, out TimerNode? node)
    {
        node = null;
        sleepers = null;
        _state->Lock.Enter();
        if (_processor->NextTimer <= now)
        {
            sleepers = _state->Sleeper;
            sleepers->Link = null;
            Volatile.Write(ref _processor->NextTimer, TimerNode.Never);
        }
        _state->Lock.Exit();
        return sleepers != null;
    }

    internal TimerHeap? Update(TimerNode node) => throw new NotSupportedException();

    internal bool MoveTo(TimerHeap other) => throw new NotSupportedException();

    internal void CheckInvariants()
    {
    }

    private struct State
    {
        internal ShortLock Lock;
        internal Goroutine* Sleeper;
    }
}

/// <summary>Not used.</summary>
internal struct TraceRing;

/// <summary>Not used.</summary>
internal static unsafe class ContentionProfile
{
    internal static void HasWaited(Goroutine* g, ParkReason reason)
    {
    }

    internal static void Wakes(Goroutine* g)
    {
    }
}
