// A function of a goroutine on its machine's own stack: for code that needs a thread's stack and an ordinary
// thread's identity.
//
//   goroutine       stops with the reason SystemStack -> the loop runs the function -> the goroutine goes on
//
// While the function runs the thread is no machine to anybody: what it starts or readies goes to the global
// queue, what it waits for blocks the thread. For sysmon it is one long native call (an odd NativeCount), so
// its processor is handed on when it takes long.
//
// Rejected: calling the function in place on the other stack. The collector could not walk from one stack
// to the other.

using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    /// <summary>Runs the function on the system stack of g's machine; g is the calling goroutine. What it
    /// throws is thrown here.</summary>
    internal static void CallOnSystemStack(Goroutine* g, Action function)
    {
        if (Jit.IsOn)
        {
            JitThreads.CallAsThread(g, function);
            return;
        }
        SystemStackCall call = new(function);
        object? before = Goroutine.ParkObject(g);
        Goroutine.ParkObject(g) = call;
        g->NoPreempt = 1;
        g->Reason = ParkReason.SystemStack;
        SwitchAway(g);
        g->Reason = ParkReason.None;
        g->NoPreempt = 0;
        Goroutine.ParkObject(g) = before;
        call.Failure?.Throw();
    }

    private sealed class SystemStackCall(Action function)
    {
        internal ExceptionDispatchInfo? Failure { get; private set; }

        internal void Run()
        {
            try
            {
                function();
            }
            catch (Exception e)
            {
                Failure = ExceptionDispatchInfo.Capture(e);
            }
        }
    }

    /// <summary>On m's system stack, which g has left its own for.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunOnSystemStack(Machine* m, Goroutine* g)
    {
        SystemStackCall call = Unsafe.As<SystemStackCall>(Goroutine.ParkObject(g)!);
        Current.SetMachine(null);
        // Plain increments, as in the assembly: TakeFromNative has the fence for both.
        Volatile.Write(ref m->NativeCount, m->NativeCount + 1);
        call.Run();
        Volatile.Write(ref m->NativeCount, m->NativeCount + 1);
        Current.SetMachine(m);
        ReturnFromNative(m, g);
    }
}
