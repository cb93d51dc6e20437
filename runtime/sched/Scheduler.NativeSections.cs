// C code that may be interrupted at the end of its time slice: sections that the program has registered,
// whose code takes no locks and keeps no address of thread-local storage.
//
//   handler   pushes the address, goes on in weft_preempt_native: every register on the stack, then a
//             yield, which is a callback from native code like any other
//
// Everything else in native code loses its processor instead (Scheduler.Native.cs).
// Locks: s_sectionLock for adding; the handler reads without it: the count is written last.

using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe partial class Scheduler
{
    private const int MostSections = 64;
    private const nint YieldRoom = 8 * 1024; // What a yield and the switch behind it use.

    private static ShortLock s_sectionLock;
    private static nint* s_sections; // Pairs: where it begins, where it ends.
    private static int s_sectionCount;

    /// <summary>Registers [start, end). False when there are too many.</summary>
    internal static bool AddNativeSection(nint start, nint end)
    {
        s_sectionLock.Enter();
        if (s_sections == null)
        {
            nint memory = Os.Reserve(Os.PageSize);
            if (memory > 0)
            {
                Switch.SetYieldHook(&YieldInterrupted);
                s_sections = (nint*)memory;
            }
        }
        bool room = s_sections != null && s_sectionCount < MostSections;
        if (room)
        {
            s_sections[2 * s_sectionCount] = start;
            s_sections[(2 * s_sectionCount) + 1] = end;
            Volatile.Write(ref s_sectionCount, s_sectionCount + 1); // Pairs with the read in InterruptNative.
        }
        s_sectionLock.Exit();
        return room;
    }

    /// <summary>The native code goes on in weft_preempt_native. False when it is not registered, or there
    /// is no room. In the signal handler: raw code.</summary>
    private static bool InterruptNative(Goroutine* g, Machine* m, SignalContext* context)
    {
        nint room = s_preemptRoom + SignalContext.RedZone + YieldRoom;
        if (!IsInSection(context->Ip)
            || (m->NativeCount & 1) == 0
            || RuntimeThread.Field(m->Thread, RuntimeThread.Table.TransitionFrame) == 0
            || context->Sp - room < g->StackLow || context->Sp >= g->StackHigh)
        {
            return false;
        }
        return SignalContext.GoOnAt(
            context, Switch.Layout()[RuntimeThread.FirstAddress + RuntimeThread.PreemptNativeCode]);
    }

    private static bool IsInSection(nint ip)
    {
        for (int i = 0; i < Volatile.Read(ref s_sectionCount); i++)
        {
            if (ip >= s_sections[2 * i] && ip < s_sections[(2 * i) + 1])
            {
                return true;
            }
        }
        return false;
    }

    [UnmanagedCallersOnly]
    private static void YieldInterrupted() => Yield(Current.Goroutine());
}
