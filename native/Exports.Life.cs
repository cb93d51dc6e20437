// Beginning and end, and what the library says about itself.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

/// <summary>The functions of weft.h, which is their documentation. Each catches what it calls may throw: a C
/// caller gets a code.</summary>
internal static unsafe partial class Exports
{
    private const int AbiVersion = 1;
    private const nint MainStack = 8 * 1024 * 1024; // As a main thread has.
    private const int LargestOptions = 4096;
    private const int EndLimitMs = 200;
    private const int StandardError = 2;

    private static ReadOnlySpan<byte> NoFrameTable =>
        "weft: this program is linked by -static without -Wl,--eh-frame-hdr (pkg-config --static gives it)\n"u8;

    private static readonly Lock s_lifeLock = new();
    private static int s_users;

    /// <summary>weft_options. Size first: a caller built with an older header has fewer fields.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Options
    {
        internal nuint Size;
        internal int MaxProcs;
        internal int MaxThreads;
        internal uint Flags;
        internal uint Reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct MainCall
    {
        internal nint Function;
        internal nint Arguments;
        internal int Count;
        internal int Result;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_version")]
    private static byte* Version() => Literal("0.1.0\0"u8);

    [UnmanagedCallersOnly(EntryPoint = "weft_abi_version")]
    private static int Abi() => AbiVersion;

    [UnmanagedCallersOnly(EntryPoint = "weft_has")]
    private static int Has(byte* feature)
    {
        if (feature == null)
        {
            return 0;
        }
        ReadOnlySpan<byte> name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(feature);
        return name.SequenceEqual("movable"u8) || name.SequenceEqual("preempt"u8)
            || name.SequenceEqual("context"u8) || name.SequenceEqual("timer"u8)
            || name.SequenceEqual("net"u8) || name.SequenceEqual("task"u8) ? 1 : 0;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_strerror")]
    private static byte* StrError(int code) => Literal(Code.Text(code));

    [UnmanagedCallersOnly(EntryPoint = "weft_init_managed")]
    private static int Init(Options* options) => Initialize(options, detectDeadlocks: false);

    [UnmanagedCallersOnly(EntryPoint = "weft_shutdown")]
    private static int Shutdown()
    {
        lock (s_lifeLock)
        {
            if (s_users == 0)
            {
                return Code.NotRunning;
            }
            if (s_users == 1)
            {
                if (Current.Goroutine() != null)
                {
                    return Code.NotPermitted;
                }
                // One that has returned, of weft_run for example, is counted until its machine has switched.
                if (!SpinWait.SpinUntil(static () => Scheduler.LiveCount == 0, EndLimitMs))
                {
                    return Code.Busy;
                }
                Handles.Close();
            }
            s_users--;
            return Code.Ok;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_main_managed")]
    private static int Main(nint main, int count, nint arguments)
    {
        if (main == 0)
        {
            return Code.Invalid;
        }
        int error = Initialize(null, detectDeadlocks: true);
        if (error != Code.Ok)
        {
            return error;
        }
        MainCall call = new() { Function = main, Arguments = arguments, Count = count };
        error = RunAndWait(&call, &InvokeMain, MainStack);
        return error != Code.Ok ? error : call.Result;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_run")]
    private static int Run(nint function, nint argument)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (function == 0)
        {
            return Code.Invalid;
        }
        MainCall call = new() { Function = function, Arguments = argument };
        return RunAndWait(&call, &InvokeRun, Runtime.Layout.FixedStackDefault);
    }

    /// <summary>A struct whose first field is its size, of a caller with an older or newer header: what is not
    /// there is 0. False when that size is none.</summary>
    private static bool TryCopy<T>(T* given, out T copy)
        where T : unmanaged
    {
        copy = default;
        nuint size = *(nuint*)given;
        if (size < (nuint)sizeof(nuint) || size > LargestOptions)
        {
            return false;
        }
        fixed (T* to = &copy)
        {
            Unsafe.CopyBlock(to, given, (uint)Math.Min(size, (nuint)sizeof(T)));
        }
        return true;
    }

    private static int Initialize(Options* options, bool detectDeadlocks)
    {
        Options given = default;
        if (options != null && (!TryCopy(options, out given) || given.Flags != 0
            || given.MaxProcs is < 0 or > Runtime.Layout.MaxProcessors || given.MaxThreads < 0))
        {
            return Code.Invalid;
        }
        try
        {
            lock (s_lifeLock)
            {
                if (s_users == 0)
                {
                    if (!Process.HasFrameTable())
                    {
                        _ = Process.Write(StandardError, NoFrameTable);
                        return Code.NotSupported;
                    }
                    if (!Process.Claim())
                    {
                        return Code.SecondCopy;
                    }
                    ApiNames.AreC();
                    Switch.SetExitHook(&ExitGoroutine);
                    Weft.Go.DetectDeadlocks = detectDeadlocks;
                    Startup.OwnsProcess = detectDeadlocks; // Of weft_main: the program is ours to end.
                    Scheduler.NativeGraceNs = Scheduler.SliceNs;
                    Scheduler.EnsureStarted();
                    Handles.Open();
                }
                s_users++;
            }
            if (given.MaxThreads != 0)
            {
                Weft.Go.MaxThreads = given.MaxThreads;
            }
            if (given.MaxProcs != 0)
            {
                Weft.Go.MaxProcs = given.MaxProcs;
            }
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    /// <summary>Who waits for the end of weft_run's goroutine, or weft_main's.</summary>
    private sealed class Caller : IEndOfGoroutine
    {
        private readonly WaitGroup _end = new();

        internal Caller() => _end.Add();

        internal void Wait() => _end.Wait();

        void IEndOfGoroutine.HasEnded(nint result) => _end.Done();
    }

    /// <summary>The function in a goroutine of its own; the caller, a goroutine or not, waits for its end.
    /// </summary>
    private static int RunAndWait(MainCall* call, delegate*<Goroutine*, void> invoke, nint stack)
    {
        try
        {
            Caller caller = new();
            Goroutine* g = Scheduler.Create(GoroutineKind.Fixed, stack);
            Goroutine.StoreState(g, (nint)call);
            Goroutine.StateObject(g) = new GoroutineObjects(caller);
            g->Invoke = invoke;
            Scheduler.Start(g);
            caller.Wait();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static void InvokeMain(Goroutine* g)
    {
        MainCall* call = (MainCall*)Goroutine.TakeState<nint>(g);
        call->Result = ((delegate* unmanaged<int, nint, int>)call->Function)(call->Count, call->Arguments);
        EndGoroutine(g, 0);
    }

    private static void InvokeRun(Goroutine* g)
    {
        MainCall* call = (MainCall*)Goroutine.TakeState<nint>(g);
        ((delegate* unmanaged<nint, void>)call->Function)(call->Arguments);
        EndGoroutine(g, 0);
    }

    /// <summary>Of a literal, which never moves.</summary>
    private static byte* Literal(ReadOnlySpan<byte> text) =>
        (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(text));
}
