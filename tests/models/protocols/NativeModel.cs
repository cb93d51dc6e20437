// sched/Scheduler.Native.cs: sysmon takes the processor of a machine in native code, which comes back meanwhile.
// What the assembly does on both sides of a P/Invoke is transcribed (asm/, RhpPInvokeReturn).
//
//   machine   count odd, native code, count even, look at Retake          no barrier
//   sysmon    Retake, fence for all, is the count the same?
//
// Must hold: one machine at a time has the processor, and sees what the one before left; the goroutine that was in
// native code goes on once, and so does the one that stood in the processor's queue.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal sealed unsafe class NativeModel : Model
{
    private Machine* _machine;
    private Processor* _processor;
    private Goroutine* _caller;
    private Goroutine* _queued;
    private int _wentOn;
    private int _ran;

    internal override int Depth => 2;

    internal override bool MaySleep => true;

    internal override int Spares => 1;

    /// <summary>Plain words of the assembly's: its stores are whole.</summary>
    internal override string[] Races => ["Machine.NativeCount"];

    internal override (string, string)[] Barriers =>
    [
        ("native-fence", "Scheduler.TakeFromNative MemoryBarrierProcessWide ?"),
        ("native-done", "Scheduler.TakeFromNative VolatileWrite Machine.Retake"),
    ];

    internal override Action[] Threads => [ComeBack, Sysmon, Other];

    internal override void SetUp()
    {
        Scheduler.Make(1);
        _machine = Scheduler.MakeMachine("machine");
        _processor = _machine->Processor;
        _caller = Scheduler.MakeWaiting("caller");
        _queued = Scheduler.MakeWaiting("queued");
        Scheduler.MakeLocal(_machine, _queued);
        Scheduler.Continue(_machine, _caller);
        _machine->NativeCount = 1;
        _wentOn = _ran = 0;
    }

    internal override void AtEnd() =>
        Explorer.Assert(_wentOn == 1 && _ran == 1, $"The caller went on {_wentOn} times, the other ran {_ran} times.");

    private void ComeBack()
    {
        Current.SetMachine(_machine);
        _machine->NativeCount++;
        if (Explorer.Look(ref _machine->Retake) != Machine.RetakeNone)
        {
            Scheduler.Return(_machine, _caller);
            if (_machine->RunNext == null)
            {
                return; // It is in the global queue.
            }
            _caller->Transition(GoroutineState.Runnable, GoroutineState.Running);
        }
        GoOn(_machine);
        RunNext(_machine);
    }

    private void Sysmon()
    {
        uint count = Volatile.Read(ref _machine->NativeCount);
        if ((count & 1) != 0)
        {
            _ = Scheduler.Take(_processor, _machine, count);
        }
    }

    private void Other()
    {
        Machine* m = (Machine*)Explorer.Local.Machine;
        Ran(m, Scheduler.NextOfNew(m));
        RunNext(m);
    }

    private void RunNext(Machine* m)
    {
        if (_ran + _wentOn < 2)
        {
            Ran(m, Scheduler.Next(m));
        }
    }

    private void Ran(Machine* m, Goroutine* g)
    {
        if (g == _caller)
        {
            GoOn(m);
            return;
        }
        Explorer.Assert(g == _queued, "Another goroutine came.");
        _ran++;
    }

    /// <summary>The processor is the machine's: what it does with it is plain.</summary>
    private void GoOn(Machine* m)
    {
        Explorer.Assert(m->Processor == _processor, "It has another processor, or none.");
        m->Processor->Runs++;
        _wentOn++;
    }
}
