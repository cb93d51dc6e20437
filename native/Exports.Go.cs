// Goroutines: start, yield, sleep, what they are.
//
// A C goroutine runs on a stack that stays, so that C may keep addresses of locals. Its body is one long
// native call from C#: while it computes, its processor can be taken; each weft_ function it calls is a
// callback from native code (runtime/sched/Scheduler.Native.cs).
//
// mxcsr and the x87 control word belong to the goroutine in C: a switch in a callback keeps them
// (asm/preempt_x64_sysv.S), and the goroutine's end forgets them.

using System.Runtime.InteropServices;
using System.Text;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int KindFixed = 0;
    private const int KindMovable = 1;

    /// <summary>weft_attr.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Attributes
    {
        internal nuint Size;
        internal nuint StackSize;
        internal int StackKind;
        internal uint Flags;
        internal byte* Name;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_go")]
    private static int Go(nint function, nint argument) =>
        Start(function, argument, GoroutineKind.Fixed, Runtime.Layout.FixedStackDefault, null);

    [UnmanagedCallersOnly(EntryPoint = "weft_go_with")]
    private static int GoWith(Attributes* attributes, nint function, nint argument)
    {
        int error = Read(attributes, out Attributes given);
        return error != Code.Ok ? error
            : Start(function, argument, KindOf(given), (nint)given.StackSize, given.Name);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_yield")]
    private static int Yield()
    {
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            return YieldThread();
        }
        Scheduler.Yield(g);
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_sleep")]
    private static int Sleep(long nanoseconds)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        try
        {
            Goroutine* g = Current.Goroutine();
            if (g == null || nanoseconds <= 0)
            {
                Weft.Go.Sleep(Ticks(nanoseconds));
                return Code.Ok;
            }
            return SleepUntil(g, Scheduler.TimeAfter(nanoseconds));
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static int SleepUntil(Goroutine* g, long when)
    {
        if (ScopeOwner.ScopeOf(g) == null)
        {
            return Scheduler.SleepUntil(g, when) ? Code.Ok : Code.NoMemory;
        }
        int code = SelectAmong(null, 0, tries: false, when);
        return code == Code.TimedOut && Os.NowNs() >= when ? Code.Ok : code;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_exit")]
    private static int ExitGoroutine()
    {
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            return Code.NotGoroutine;
        }
        EndGoroutine(g, 0);
        Scheduler.Exit(g); // The frames of C are dropped, as longjmp drops them.
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_self")]
    private static long Self()
    {
        Goroutine* g = Current.Goroutine();
        return g == null ? 0 : g->Id;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_count")]
    private static long Count() => Handles.AreOpen ? Scheduler.LiveCount : 0;

    [UnmanagedCallersOnly(EntryPoint = "weft_maxprocs")]
    private static int MaxProcs(int count)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (count is < 0 or > Runtime.Layout.MaxProcessors)
        {
            return Code.Invalid;
        }
        try
        {
            int before = Weft.Go.MaxProcs;
            if (count != 0)
            {
                Weft.Go.MaxProcs = count;
            }
            return before;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_blocking")]
    private static int Blocking(delegate* unmanaged<nint, void> function, nint argument)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (function == null)
        {
            return Code.Invalid;
        }
        Goroutine* g = Current.Goroutine();
        if (g != null)
        {
            Scheduler.AnnounceBlocking(g);
        }
        function(argument);
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_preemptible")]
    private static int Preemptible(nint start, nint end)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        return start == 0 || end <= start ? Code.Invalid
            : Scheduler.AddNativeSection(start, end) ? Code.Ok : Code.NoMemory;
    }

    // weft_lock_thread is assembly (asm/thread_x64_sysv.S): a callback from native code may have to wait for a
    // processor, and go on in another thread, before any of it has run. Not so the other one: the goroutine is
    // locked until the call has done its work.
    [UnmanagedCallersOnly(EntryPoint = "weft_unlock_thread")]
    private static int UnlockThread()
    {
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            return Code.NotGoroutine;
        }
        return Scheduler.UnlockThread(g) ? Code.Ok : Code.NotPermitted;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_dump")]
    private static int Dump(int descriptor)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (!Process.CanWrite(descriptor))
        {
            return Code.Invalid;
        }
        try
        {
            using StringWriter text = new();
            StackDump.Write(text);
            return Process.Write(descriptor, Encoding.UTF8.GetBytes(text.ToString()))
                ? Code.Ok : Code.Invalid;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static int YieldThread()
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        _ = Thread.Yield();
        return Code.Ok;
    }

    /// <summary>What the caller gives, which may be null, with defaults in the place of zeros.</summary>
    private static int Read(Attributes* attributes, out Attributes given)
    {
        given = default;
        if (attributes != null && !TryCopy(attributes, out given))
        {
            return Code.Invalid;
        }
        given.StackSize = given.StackSize == 0 ? (nuint)Runtime.Layout.FixedStackDefault : given.StackSize;
        return given.StackKind is not (KindFixed or KindMovable) || given.Flags != 0
            || given.StackSize < (nuint)Runtime.Layout.SmallestLargeStack
            || given.StackSize > (nuint)Runtime.Layout.MaxStackLimit
                ? Code.Invalid : Code.Ok;
    }

    private static GoroutineKind KindOf(in Attributes given) =>
        given.StackKind == KindMovable ? GoroutineKind.NativeMovable : GoroutineKind.Fixed;

    private static int Start(nint function, nint argument, GoroutineKind kind, nint stack, byte* name)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (function == 0)
        {
            return Code.Invalid;
        }
        Goroutine* g;
        try
        {
            g = Scheduler.Create(kind, stack);
        }
        catch (InsufficientMemoryException)
        {
            return Code.NoMemory;
        }
        g->DelegateSlot = function;
        Goroutine.StoreState(g, argument);
        if (name != null)
        {
            SetName(GoroutineExtras.Of(g), name);
        }
        g->Invoke = &InvokeFunction;
        Scheduler.Start(g);
        return Code.Ok;
    }

    private static void InvokeFunction(Goroutine* g)
    {
        nint argument = Goroutine.TakeState<nint>(g);
        ((delegate* unmanaged<nint, void>)g->DelegateSlot)(argument);
        EndGoroutine(g, 0);
    }

    /// <summary>The goroutine's function is over. Who waits for that is told.</summary>
    private static void EndGoroutine(Goroutine* g, nint result)
    {
        Switch.DefaultFloat();
        if (g->Extra != null && g->Extra->LocalsSet != 0)
        {
            EndLocals(g->Extra);
        }
        if (Goroutine.StateObject(g) is GoroutineObjects objects)
        {
            objects.End(result);
        }
    }

    private static void SetName(GoroutineExtra* extra, byte* name)
    {
        int i = 0;
        for (; i < GoroutineExtra.NameSize - 1 && name[i] != 0; i++)
        {
            extra->Name[i] = name[i];
        }
        extra->Name[i] = 0;
    }
}
