// sync/WaitGroup.cs, Mutex.cs and Once.cs: what was written before is seen by who waited for it, or did not have to
// wait. They wait as threads that are no goroutines do (ChanModel).
//
//   group     counts down under the lock; who looks without it, and finds zero, has to see what was done
//   mutex     one word; who has waited takes it as anybody else does
//   hand-off  the same where the mutex starves: it stays locked, and its next owner is told under the queue's lock
//   once      the flag that makes later calls one load
//
// Must hold: what one writes the next one sees, one is in at a time, and everybody gets in.

using System.Reflection;
using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class SyncModel : Model
{
    private Goroutine* _standIns;

    private protected int* Data { get; private set; }

    internal override int Depth => 3;

    internal override void SetUp()
    {
        GcAges.Initialize((nint)Explorer.Allocate<byte>("ages", 1024), (Goroutine*)Explorer.Static(0));
        _standIns = Scheduler.MakeStandIns(3);
        Data = Explorer.Allocate<int>("data", 3);
    }

    private protected void Enter() => Explorer.Local.StandIn = (nint)(_standIns + Explorer.Local.Id);

    private protected static object FieldOf(object owner, string name) =>
        owner.GetType().GetField(name, BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(owner)!;
}

/// <summary>Two that work, and one that waits for them.</summary>
internal sealed unsafe class GroupModel : SyncModel
{
    private readonly WaitGroup _group = new();

    internal GroupModel() => _group.Add(2);

    internal override int Depth => 2;

    internal override (string, string)[] Barriers =>
    [
        ("group-count", "WaitGroup.TryAdd VolatileWrite WaitGroup._count"),
        ("group-look", "WaitGroup.Wait VolatileRead WaitGroup._count"),
    ];

    internal override Action[] Threads => [Work, Work, Wait];

    internal override void Prepare() => Explorer.Adopt(_group);

    internal override void AtEnd()
    {
    }

    private void Work()
    {
        Enter();
        Data[Explorer.Local.Id] = 1;
        _group.Done();
    }

    private void Wait()
    {
        Enter();
        _group.Wait();
        Explorer.Assert(Data[0] == 1 && Data[1] == 1, "What was done is not seen.");
    }
}

/// <summary>Three that lock it.</summary>
internal unsafe class MutexModel : SyncModel
{
    internal override int Depth => 2;

    internal override (string, string)[] Barriers =>
    [
        ("mutex-lock", "Mutex.Lock CompareExchange Mutex._state + Mutex.TakeFrom CompareExchange Mutex._state"),
        ("mutex-change", "Mutex.Change CompareExchange Mutex._state"),
        ("mutex-unlock", "Mutex.Unlock CompareExchange Mutex._state"),
        ("mutex-unlock-slow", "Mutex.UnlockSlow CompareExchange Mutex._state"),
    ];

    internal override Action[] Threads => [Count, Count, Count];

    private protected Mutex Mutex { get; } = new();

    internal override void Prepare() => Explorer.Adopt(Mutex);

    internal override void AtEnd() => Explorer.Assert(*Data == Threads.Length, $"{*Data} were counted.");

    private protected void Count()
    {
        Enter();
        Mutex.Lock();
        Add();
        Mutex.Unlock();
    }

    private protected void Add() => *Data += 1;
}

/// <summary>The first thread has it, and it starves.</summary>
internal sealed unsafe class HandOffOfMutexModel : MutexModel
{
    private const int LockedAndStarving = 1 | 4;

    internal HandOffOfMutexModel() =>
        typeof(Mutex).GetField("_state", BindingFlags.Instance | BindingFlags.NonPublic)!
            .SetValue(Mutex, LockedAndStarving);

    internal override int Depth => 1;

    internal override (string, string)[] Barriers =>
    [
        ("hand-off-wake", "Scheduler.WakeThread VolatileWrite Goroutine.Wakened"),
        ("hand-off-unlock", "Mutex.Unlock CompareExchange Mutex._state"),
    ];

    internal override Action[] Threads => [UnlockFirst, Count, Count];

    private void UnlockFirst()
    {
        Enter();
        Add();
        Mutex.Unlock();
    }
}

/// <summary>Two that call it.</summary>
internal sealed unsafe class OnceModel : SyncModel
{
    private readonly Once _once = new();

    internal override (string, string)[] Barriers =>
    [
        ("once-done", "Once.DoSlow VolatileWrite Once._done"),
        ("once-look", "Once.IsDone VolatileRead Once._done"),
    ];

    internal override Action[] Threads => [Call, Call];

    internal override void Prepare() => Explorer.Adopt(_once, FieldOf(_once, "_mutex"));

    internal override void AtEnd() => Explorer.Assert(*Data == 1, $"It was done {*Data} times.");

    private void Call()
    {
        Enter();
        _once.Do(() => *Data += 1);
        Explorer.Assert(*Data == 1, "What was done is not seen.");
    }
}
