// Bundles: goroutines that are started, waited for and cancelled together. The first that fails cancels the
// others, as in Go's errgroup; a bundle is not left while one of them runs, as in libdill.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_make")]
    private static int BundleMake(nint* handle, int limit) =>
        !Handles.AreOpen ? Code.NotRunning : limit < 0 ? Code.Invalid
        : Publish(handle, handle == null ? null : new BundleObject(limit), Kind.Bundle);

    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_go")]
    private static int BundleGo(nint handle, Attributes* attributes, nint function, nint argument)
    {
        BundleObject? bundle = Handles.Get<BundleObject>(handle, Kind.Bundle);
        if (bundle == null)
        {
            return Handles.Fault(handle);
        }
        if (function == 0)
        {
            return Code.Invalid;
        }
        int error = Read(attributes, out Attributes given);
        if (error != Code.Ok)
        {
            return error;
        }
        try
        {
            WaitScope? scope = ScopeOf(TimerNode.Never);
            if (!bundle.Enter(scope == null ? default : new WaitEnd(scope, TimerNode.Never)))
            {
                return CodeOfEnd(scope);
            }
            Child? child = null;
            try
            {
                if (bundle.Token.IsCancellationRequested)
                {
                    return Code.Cancelled;
                }
                child = new Child(bundle, function, argument);
                StartWith(child.Objects, given, &InvokeChild);
                bundle = null;
                return Code.Ok;
            }
            finally
            {
                if (bundle != null)
                {
                    child?.Objects.Forget();
                    bundle.Leave();
                }
            }
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_wait")]
    private static int BundleWait(nint handle, int* result) => WaitFor(handle, result, TimerNode.Never);

    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_wait_until")]
    private static int BundleWaitUntil(nint handle, int* result, long deadline) =>
        WaitFor(handle, result, deadline);

    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_cancel")]
    private static int BundleCancel(nint handle) =>
        Do(handle, Kind.Bundle, static (BundleObject bundle, long _) => bundle.Cancel(), 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_bundle_free")]
    private static int BundleFree(nint handle)
    {
        BundleObject? bundle = Handles.Get<BundleObject>(handle, Kind.Bundle);
        if (bundle == null)
        {
            return Handles.Fault(handle);
        }
        if (bundle.HasCaller)
        {
            return Code.WaitsForItself;
        }
        if (Handles.Free<BundleObject>(handle, Kind.Bundle) == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            bundle.Cancel();
            _ = bundle.Wait(default); // Whatever happens to the caller: they may use what is on its stack.
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static int WaitFor(nint handle, int* result, long deadline)
    {
        BundleObject? bundle = Handles.Get<BundleObject>(handle, Kind.Bundle);
        if (bundle == null)
        {
            return Handles.Fault(handle);
        }
        if (bundle.HasCaller)
        {
            return Code.WaitsForItself;
        }
        int code = Until(
            handle, Kind.Bundle, deadline, static (BundleObject each, WaitEnd end, long _) => each.Wait(end), 0);
        if (code == Code.Ok && result != null)
        {
            *result = bundle.Failure;
        }
        return code;
    }

    private static void InvokeChild(Goroutine* g)
    {
        Child child = (Child)((GoroutineObjects)Goroutine.StateObject(g)!).Owner!;
        EndGoroutine(g, ((delegate* unmanaged<nint, int>)child.Function)(child.Argument));
    }

    [SuppressMessage(
        "Design", "CA1001", Justification = "A source without a timer and a wait handle has nothing to dispose.")]
    private sealed class BundleObject(int limit)
    {
        private readonly WaitGroup _running = new();
        private readonly Semaphore? _slots = limit > 0 ? new Semaphore(limit) : null;
        private readonly CancellationTokenSource _source = new();
        private int _failure;

        /// <summary>Cancelled with it.</summary>
        internal CancellationToken Token => _source.Token;

        /// <summary>What the first one returned that did not return 0; else 0.</summary>
        internal int Failure => Volatile.Read(ref _failure);

        /// <summary>The caller is one of its goroutines.</summary>
        internal bool HasCaller =>
            GoroutineObjects.OfCallerOrNull() is { Owner: Child child } && child.Bundle == this;

        /// <summary>One more will run, once there are fewer than the limit. False when the wait was
        /// ended.</summary>
        internal bool Enter(in WaitEnd end)
        {
            if (_slots != null && !_slots.Acquire(1, end))
            {
                return false;
            }
            _running.Add();
            return true;
        }

        /// <summary>One less.</summary>
        internal void Leave()
        {
            _slots?.Release();
            _running.Done();
        }

        internal void Fail(int result)
        {
            if (Interlocked.CompareExchange(ref _failure, result, 0) == 0)
            {
                Cancel();
            }
        }

        internal void Cancel() => _source.Cancel();

        internal bool Wait(in WaitEnd end) => _running.Wait(end);
    }

    private sealed class Child : IEndOfGoroutine
    {
        internal Child(BundleObject bundle, nint function, nint argument)
        {
            Bundle = bundle;
            Function = function;
            Argument = argument;
            Objects = new GoroutineObjects(this);
            _ = Objects.MakeCancellable(bundle.Token);
        }

        internal BundleObject Bundle { get; }

        internal nint Function { get; }

        internal nint Argument { get; }

        internal GoroutineObjects Objects { get; }

        void IEndOfGoroutine.HasEnded(nint result)
        {
            if (result != 0)
            {
                Bundle.Fail((int)result);
            }
            Bundle.Leave();
        }
    }
}
