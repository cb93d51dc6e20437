// What Weft uses of the collector itself: while it marks, with the world stopped, to ask what is marked and
// to mark more. Functions of the workstation collector, found by their names at the link; those of the server
// collector expect all its threads to call them together.
//
//   Promote                   marks an object; what it leads to is marked by Drain at the latest
//   scan_dependent_handles    marks the values whose keys are marked, and all that has been put off
//   Ref_UpdatePointers        calls a function on every handle, weak ones too; meant for moved objects
//   CFinalize                 the objects that have finalizers, newest first:
//                             [ registered, by generation ][ waiting for their finalizer ]
//                             0x38                         0x20                          0x30
//
// The same in .NET 10 and 11; IsSupported compares it with the code. Raw code but for IsSupported.

using System.Runtime;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class Collector
{
    internal const int OldestGeneration = 2;

    private const int QueueStart = 0x38;
    private const int QueueWaiting = 0x20;
    private const int QueueEnd = 0x30;
    private const uint FinalizerSuppressed = 0x40000000; // In the word before the object.

    private const int Promote = 0;
    private const int Promoted = 1;
    private const int DrainQueue = 2;
    private const int DependentHandles = 3;
    private const int AllHandles = 4;
    private const int AllDependentHandles = 5;
    private const int Heap = 6;
    private const int FinalizeQueue = 7;
    private const int FinalizeScanCode = 8;
    private const int FinalizeStartCode = 9;

    private const nint TypeMask = ~7; // The collector marks in the low bits of an object's first word.

    private static nint* s_code;
    private static nint s_threadType;
    private static nint s_waitInfoType;

    /// <summary>Whether the collector of this program is one that this file describes. Asked before anything
    /// else here is used.</summary>
    internal static bool IsSupported()
    {
        s_threadType = typeof(Thread).TypeHandle.Value;
        s_waitInfoType = WaitInfo(Thread.CurrentThread).GetType().TypeHandle.Value;
        s_code = Switch.Layout() + RuntimeThread.FirstAddress + RuntimeThread.CollectorCode;
        return !GCSettings.IsServerGC && (Arch.IsX64
            ? CodeHas(FinalizeScanCode, [0x4c, 0x8b, 0x7f, QueueWaiting]) // mov r15, [rdi+0x20]
                && CodeHas(FinalizeScanCode, [0x4c, 0x8b, 0x67, QueueEnd]) // mov r12, [rdi+0x30]
                && CodeHas(FinalizeStartCode, [0x49, 0x89, 0x46, QueueStart]) // mov [r14+0x38], rax
            : (Arm64Code.Has(s_code[FinalizeScanCode], Arm64Code.Load(21, 0, QueueWaiting)) // .NET 10
                    || Arm64Code.Has(s_code[FinalizeScanCode], Arm64Code.Load(20, 0, QueueWaiting))) // 11
                && Arm64Code.Has(s_code[FinalizeScanCode], Arm64Code.Load(22, 0, QueueEnd))
                && Arm64Code.Has(s_code[FinalizeStartCode], Arm64Code.Store(0, 20, QueueStart)));
    }

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_WaitInfo")]
    [return: UnsafeAccessorType("System.Threading.WaitSubsystem+ThreadWaitInfo, System.Private.CoreLib")]
    private static extern object WaitInfo(Thread thread);

    private static bool CodeHas(int function, ReadOnlySpan<byte> pattern) =>
        RuntimeThread.CodeHas(s_code[function], pattern);

    /// <summary>Whether this function is the one that marks in a collection that stops the world.</summary>
    internal static bool IsMarking(nint report) => report == s_code[Promote];

    /// <summary>Whether the object survives this collection, as far as is known by now. An object outside of
    /// the collected heap does.</summary>
    internal static bool IsMarked(nint target) =>
        (byte)Switch.Call(s_code[Promoted], *(nint*)s_code[Heap], target, 1) != 0;

    /// <summary>Marks what has been reported, and what that leads to, but for dependent handles and what did
    /// not fit on the collector's mark stack.</summary>
    internal static void Drain() => _ = Switch.Call(s_code[DrainQueue], 0, 0, 0);

    /// <summary>Marks all that is to be marked after what has been reported.</summary>
    internal static void Complete(nint scan) =>
        _ = Switch.Call(s_code[DependentHandles], OldestGeneration, scan, 1);

    /// <summary>Marks what weak references lead to, and the keys and values of dependent handles.</summary>
    internal static void MarkWeak(nint scan)
    {
        _ = Switch.Call(
            s_code[AllHandles], OldestGeneration, OldestGeneration, scan, s_code[Promote]);
        _ = Switch.Call(
            s_code[AllDependentHandles], OldestGeneration, OldestGeneration, scan, s_code[Promote]);
    }

    /// <summary>Marks the objects whose finalizers are still to run, some day. Not .NET's Thread and what it
    /// waits with, which a goroutine has if it uses an AsyncLocal: they lead to the values of those, and
    /// their finalizers call nobody.</summary>
    internal static void MarkFinalizable(nint scan)
    {
        nint queue = *(nint*)s_code[FinalizeQueue];
        nint* end = *(nint**)(queue + QueueWaiting);
        for (nint* slot = *(nint**)(queue + QueueStart); slot < end; slot++)
        {
            nint target = *slot;
            nint type = *(nint*)target & TypeMask;
            if (type != s_threadType && type != s_waitInfoType
                && (*(uint*)(target - sizeof(uint)) & FinalizerSuppressed) == 0)
            {
                _ = Switch.Call(s_code[Promote], (nint)slot, scan, 0);
            }
        }
    }
}
