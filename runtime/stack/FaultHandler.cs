// SIGSEGV: a stack that wants to grow, a null reference, or somebody else's fault.
//
// The handler is raw C#, installed over the runtime's own, which it calls for everything that is not a
// guard of the current goroutine. It runs on the machine's alternate stack with all signals masked, so
// the collector cannot stop the thread in it.
//
// A null reference on a goroutine becomes an exception in the runtime's handler, which makes the
// interrupted code continue in its exception dispatch: on the goroutine's stack. So room is made first.
//
// A fault in the middle of a collection, while stacks are reported, would become such an exception too: the
// collecting goroutine would end, and the world stay stopped. It ends the process instead.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class FaultHandler
{
    private const nint NullPage = 64 * 1024;
    private const nint ThrowReserve = 16 * 1024;
    private const nint SignalInfoAddress = 16;

    private static nint s_previousSegv;

    internal static void Install()
    {
        _ = LateHandlers.Move();
        nint result = Os.SetHandler(
            Os.SignalSegv, (nint)(delegate*<int, nint, SignalContext*, void>)&OnSegv, out s_previousSegv);
        Check.Always(result == 0, "signals: cannot install the SIGSEGV handler"u8);
    }

    private static void OnSegv(int signal, nint info, SignalContext* context)
    {
        Goroutine* g = Current.Goroutine();
        nint address = *(nint*)(info + SignalInfoAddress);
        if (g != null)
        {
            nint guard = g->Kind == GoroutineKind.Fixed
                ? StackPieces.PlaceOf(g->StackLow) - StackPieces.GuardSize
                : g->StackLow - Os.PageSize;
            if (address >= guard && address < g->StackLow)
            {
                StackGrowth.OnFault(g, context, address);
                return;
            }
        }
        if (LateHandlers.OnSegv(g, info, address, context))
        {
            return;
        }
        if (GcRoots.IsReporting())
        {
            Report(address, context->Ip);
        }
        if (g != null && (nuint)address < (nuint)NullPage)
        {
            StackGrowth.ReserveBelow(g, context, ThrowReserve);
        }
        if (s_previousSegv is not (0 or 1))
        {
            _ = Switch.Call(s_previousSegv, signal, info, (nint)context);
            return;
        }
        Report(address, 0);
    }

    [MethodImpl(MethodImplOptions.NoInlining)] // The line is no part of the other's frame.
    private static void Report(nint address, nint inCollection)
    {
        Fatal.Line line = new();
        line.Add("fault at "u8);
        line.AddHex(address);
        if (inCollection != 0)
        {
            line.Add(" in a collection, while stacks are reported, in the code at "u8);
            line.AddHex(inCollection);
        }
        line.Throw();
    }
}
