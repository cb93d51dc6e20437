// Contexts: cancellation and deadlines down a tree, and values under keys that are addresses.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_make")]
    private static int ContextMake(nint* handle, nint parentHandle, long timeout) =>
        MakeContext(handle, parentHandle, timeout, 0, 0);

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_with_value")]
    private static int ContextWithValue(nint* handle, nint parentHandle, nint key, nint value) =>
        key == 0 ? Code.Invalid : MakeContext(handle, parentHandle, -1, key, value);

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_value")]
    private static nint ContextValue(nint handle, nint key)
    {
        ContextObject? context = Handles.Get<ContextObject>(handle, Kind.Context);
        while (context != null && context.Key != key)
        {
            context = context.Parent;
        }
        return context == null || key == 0 ? 0 : context.Value;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_cancel")]
    private static int ContextCancel(nint handle)
    {
        ContextObject? context = Handles.Get<ContextObject>(handle, Kind.Context);
        if (context == null)
        {
            return Handles.Fault(handle);
        }
        return CancelContext(context);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_err")]
    private static int ContextError(nint handle)
    {
        ContextObject? context = Handles.Get<ContextObject>(handle, Kind.Context);
        return context == null ? Handles.Fault(handle)
            : context.Context.Err is Exception e ? Code.Of(e) : Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_done")]
    private static int ContextDone(nint handle, nint* channel)
    {
        ContextObject? context = Handles.Get<ContextObject>(handle, Kind.Context);
        if (context == null)
        {
            return Handles.Fault(handle);
        }
        if (channel == null)
        {
            return Code.Invalid;
        }
        *channel = context.Done;
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_remaining")]
    private static long ContextRemaining(nint handle)
    {
        ContextObject? context = Handles.Get<ContextObject>(handle, Kind.Context);
        if (context == null)
        {
            return Handles.Fault(handle);
        }
        if (context.Context.Deadline is not DateTimeOffset deadline)
        {
            return long.MaxValue;
        }
        long ticks = (deadline - TimeProvider.System.GetUtcNow()).Ticks;
        return ticks <= 0 ? 0
            : ticks > long.MaxValue / NanosecondsPerTick ? long.MaxValue : ticks * NanosecondsPerTick;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_ctx_free")]
    private static int ContextFree(nint handle)
    {
        ContextObject? context = Handles.Free<ContextObject>(handle, Kind.Context);
        if (context == null)
        {
            return Handles.Fault(handle);
        }
        int error = CancelContext(context);
        _ = Handles.Free<ByteChan>(context.Done, Kind.OwnedChan);
        return error;
    }

    private static int MakeContext(nint* handle, nint parentHandle, long timeout, nint key, nint value)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null)
        {
            return Code.Invalid;
        }
        *handle = 0;
        ContextObject? parent = null;
        if (parentHandle != 0)
        {
            parent = Handles.Get<ContextObject>(parentHandle, Kind.Context);
            if (parent == null)
            {
                return Handles.Fault(parentHandle);
            }
        }
        try
        {
            Context above = parent?.Context ?? Context.Background;
            (Context context, Action cancel) = timeout < 0
                ? above.WithCancel() : above.WithTimeout(Ticks(timeout));
            ByteChan done = new(0, 0);
            nint doneHandle = Handles.Make(done, Kind.OwnedChan);
            ContextObject made = new(parent, context, cancel, doneHandle, key, value);
            nint madeHandle = doneHandle == 0 ? 0 : Handles.Make(made, Kind.Context);
            if (madeHandle == 0)
            {
                cancel();
                _ = Handles.Free<ByteChan>(doneHandle, Kind.OwnedChan);
                return Code.NoMemory;
            }
            // On whoever cancels it: when weft_ctx_cancel returns, the channel is closed.
            _ = context.Token.UnsafeRegister(static channel => ((ByteChan)channel!).TryClose(), done);
            *handle = madeHandle;
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static int CancelContext(ContextObject context)
    {
        try
        {
            context.Cancel();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private sealed record ContextObject(
        ContextObject? Parent, Context Context, Action Cancel, nint Done, nint Key, nint Value);
}
