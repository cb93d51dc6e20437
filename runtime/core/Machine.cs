// A machine: an OS thread that runs goroutines. Its own stack is the system stack: the scheduler's loop
// runs there, and so do the parts of the .NET runtime that need more stack than a goroutine has.
//
// An idle one sleeps on Wake until there is a processor for it; one that is too many ends after a while.
// The struct stays: others may still look at it, and a goroutine may have addresses of that thread's on its
// stack. It serves again for a thread whose Thread is at the same address (Scheduler.Threads.cs).

using System.Runtime.InteropServices;

namespace Weft.Runtime;

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct Machine
{
    /// <summary>From one to the next in memory: a multiple of the cache line, at least the size.</summary>
    internal const int Spacing = 320;

    internal const byte RetakeNone = 0;

    /// <summary>Somebody wants it, and looks whether the machine is in native code still.</summary>
    internal const byte RetakeAsked = 1;

    /// <summary>Taken: the machine has none when it comes back.</summary>
    internal const byte RetakeDone = 2;

    /// <summary>The system stack while a goroutine runs. Must be first: the assembly relies on it.</summary>
    internal Context Context;

    /// <summary>What EnsureSufficientExecutionStack is told of the system stack; at 0x38 and 0x40. On a
    /// goroutine: asm/runtime_x64_sysv.S.</summary>
    internal nint BoundsLow;

    internal nint BoundsHigh;

    /// <summary>Odd while its goroutine is in native code. Written by the assembly; at 0x48.</summary>
    internal uint NativeCount;

    /// <summary>RetakeNone, or what is done about its processor; at 0x4c. Who comes back from native code
    /// reads this and the next three bytes in one.</summary>
    internal byte Retake;

    /// <summary>Not 0 while what it runs is to stop where it next passes Weft: see Scheduler.Preempt.cs.
    /// Anybody sets it; its owner clears it.</summary>
    internal byte StopAsked;

    /// <summary>One past the system stack's highest byte.</summary>
    internal nint StackHigh;

    /// <summary>NativeAOT's Thread of this OS thread.</summary>
    internal nint Thread;

    /// <summary>What managed code may address of this thread's thread-local block.</summary>
    internal nint ThreadLocalLow;

    internal nint ThreadLocalHigh;

    /// <summary>The processor held; null while idle. Owner.</summary>
    internal Processor* Processor;

    /// <summary>The processor that a waker hands over. Written before Wake is set.</summary>
    internal Processor* NextProcessor;

    /// <summary>What the loop runs next, whatever the queues hold. Owner.</summary>
    internal Goroutine* RunNext;

    /// <summary>The goroutine that runs on this machine and no other, which runs no other; or null. Owner.
    /// </summary>
    internal Goroutine* Locked;

    /// <summary>Where this thread's words of __cxa_get_globals are; 0 until a switch needs them. Written by
    /// the assembly; at 0x90.</summary>
    internal nint CxxWords;

    /// <summary>Not 0 while its goroutine is in the slow path of an allocation, and whether it waits or has
    /// waited for a collection there. Written and read by the assembly; at 0x98.</summary>
    internal byte Allocates;

    /// <summary>To end when what it runs has stopped. Owner.</summary>
    internal bool Ends;

    /// <summary>Looking for work without having any; counted in Scheduler.Spinning.</summary>
    internal bool IsSpinning;

    /// <summary>SliceTimer may still go off. Sysmon.</summary>
    internal bool SliceTimerIsSet;

    /// <summary>The NativeCount of a call that has announced that it blocks. Owner.</summary>
    internal uint BlockingCount;

    /// <summary>The NativeCount of a call that has said that it does not block. Written by asm/waits.c; at
    /// 0xa0.</summary>
    internal uint ShortCount;

    /// <summary>1 when it has been woken; it makes that 0 itself.</summary>
    internal int Wake;

    internal int Id;

    /// <summary>The kernel's number of the thread, for signals.</summary>
    internal int ThreadId;

    internal const int PreemptAskedBefore = 2;

    /// <summary>1 when sysmon has sent a signal that asks for preemption, PreemptAskedBefore when what it was
    /// for has stopped meanwhile: the signal is late, on a busy machine. Cleared by the handler.</summary>
    internal int PreemptAsked;

    /// <summary>When that was, or when StopAsked was set, in ns.</summary>
    internal long PreemptAskedAt;

    /// <summary>The kernel's timer that interrupts it at the end of a time slice: its number and one more; 0
    /// if it has none yet. Made by sysmon, under the scheduler's lock.</summary>
    internal nint SliceTimer;

    /// <summary>The time it is set for, in ns. Its own signal handler; sysmon, for a new slice.</summary>
    internal long AlarmAt;

    /// <summary>How often it came again in this slice. Its own signal handler; sysmon, for a new
    /// slice.</summary>
    internal int AlarmTries;

    /// <summary>How long a signal takes to come here, in ns, estimated. Its own signal handler.</summary>
    internal long SignalCost;

    /// <summary>Its signal stack, guard included.</summary>
    internal nint SignalStack;

    internal nint SignalStackBytes;

    /// <summary>State of the generator for the order in which a select looks. What runs on it.</summary>
    internal ulong SelectRandom;

    /// <summary>This thread's cell for thread statics, Current.StaticsCell: null in it while what runs here
    /// has none.</summary>
    internal nint* StaticsCell;

    /// <summary>The next idle, or free, one. Guarded by the scheduler's lock.</summary>
    internal Machine* Link;

    /// <summary>The one before it in the list of idle ones. Guarded by the scheduler's lock.</summary>
    internal Machine* Back;

    /// <summary>In the list of idle ones. Guarded by the scheduler's lock.</summary>
    internal bool IsIdle;

    /// <summary>All machines ever, for the collector's hook.</summary>
    internal Machine* AllLink;
}
