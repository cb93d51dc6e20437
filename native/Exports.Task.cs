// Tasks: goroutines that have a handle. Who has it waits for the result, cancels, interrupts. The end is a
// channel that is closed, so that a join is a receive, and a select may wait for it.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    [UnmanagedCallersOnly(EntryPoint = "weft_task_go")]
    private static int TaskGo(nint* handle, Attributes* attributes, nint function, nint argument)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || function == 0)
        {
            return Code.Invalid;
        }
        *handle = 0;
        int error = Read(attributes, out Attributes given);
        if (error != Code.Ok)
        {
            return error;
        }
        TaskObject? task = null;
        nint made = 0;
        try
        {
            task = new TaskObject(function, argument);
            made = Handles.Make(task, Kind.Task);
            if (made == 0)
            {
                return Code.NoMemory;
            }
            *handle = made; // Before it starts: it may look at it.
            StartWith(task.Objects, given, &InvokeTask);
            return Code.Ok;
        }
        catch (Exception e)
        {
            task?.Objects.End(0);
            if (made != 0)
            {
                _ = Handles.Free<TaskObject>(made, Kind.Task);
                *handle = 0;
            }
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_task_join")]
    private static int TaskJoin(nint handle, nint* result) => Join(handle, result, TimerNode.Never);

    [UnmanagedCallersOnly(EntryPoint = "weft_task_join_until")]
    private static int TaskJoinUntil(nint handle, nint* result, long deadline) => Join(handle, result, deadline);

    [UnmanagedCallersOnly(EntryPoint = "weft_task_chan")]
    private static int TaskChannel(nint handle, nint* channel)
    {
        TaskObject? task = Handles.Get<TaskObject>(handle, Kind.Task);
        if (task == null)
        {
            return Handles.Fault(handle);
        }
        if (channel == null)
        {
            return Code.Invalid;
        }
        *channel = task.ChannelHandle();
        return *channel != 0 ? Code.Ok : Code.NoMemory;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_task_cancel")]
    private static int TaskCancel(nint handle) => EndWaits(handle, WaitReason.Cancelled);

    [UnmanagedCallersOnly(EntryPoint = "weft_task_interrupt")]
    private static int TaskInterrupt(nint handle) => EndWaits(handle, WaitReason.Interrupted);

    [UnmanagedCallersOnly(EntryPoint = "weft_task_free")]
    private static int TaskFree(nint handle)
    {
        TaskObject? task = Handles.Free<TaskObject>(handle, Kind.Task);
        if (task == null)
        {
            return Handles.Fault(handle);
        }
        task.FreeChannel();
        return Code.Ok;
    }

    private static int Join(nint handle, nint* result, long deadline)
    {
        TaskObject? task = Handles.Get<TaskObject>(handle, Kind.Task);
        if (task == null)
        {
            return Handles.Fault(handle);
        }
        if (GoroutineObjects.OfCallerOrNull() == task.Objects)
        {
            return Code.WaitsForItself;
        }
        int code = ReceiveUntil(task.Ended, null, deadline);
        if (code != Code.Closed)
        {
            return code;
        }
        if (Handles.Free<TaskObject>(handle, Kind.Task) == null)
        {
            return Handles.Fault(handle); // Another one was faster.
        }
        task.FreeChannel();
        if (result != null)
        {
            *result = task.Result;
        }
        return Code.Ok;
    }

    private static int EndWaits(nint handle, WaitReason reason)
    {
        TaskObject? task = Handles.Get<TaskObject>(handle, Kind.Task);
        if (task == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            task.Objects.OwnScope.Set(reason);
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static void InvokeTask(Goroutine* g)
    {
        TaskObject task = (TaskObject)((GoroutineObjects)Goroutine.StateObject(g)!).Owner!;
        EndGoroutine(g, ((delegate* unmanaged<nint, nint>)task.Function)(task.Argument));
    }

    /// <summary>A goroutine with these objects, which waits of others may refer to before it runs. Throws
    /// InsufficientMemoryException.</summary>
    private static void StartWith(
        GoroutineObjects objects, in Attributes given, delegate*<Goroutine*, void> invoke)
    {
        Goroutine* g = Scheduler.Create(KindOf(given), (nint)given.StackSize);
        Goroutine.StateObject(g) = objects;
        if (given.Name != null)
        {
            SetName(GoroutineExtras.Of(g), given.Name);
        }
        g->Invoke = invoke;
        Scheduler.Start(g);
    }

    private sealed class TaskObject : IEndOfGoroutine
    {
        private nint _channel;

        internal TaskObject(nint function, nint argument)
        {
            Function = function;
            Argument = argument;
            Objects = new GoroutineObjects(this);
            _ = Objects.MakeCancellable();
        }

        internal nint Function { get; }

        internal nint Argument { get; }

        internal GoroutineObjects Objects { get; }

        /// <summary>Closed when it has ended.</summary>
        internal ByteChan Ended { get; } = new(0, 0);

        internal nint Result { get; private set; }

        /// <summary>0 when there is no memory.</summary>
        internal nint ChannelHandle()
        {
            nint handle = Volatile.Read(ref _channel);
            if (handle != 0)
            {
                return handle;
            }
            nint made = Handles.Make(Ended, Kind.OwnedChan);
            handle = Interlocked.CompareExchange(ref _channel, made, 0);
            if (handle != 0)
            {
                _ = Handles.Free<ByteChan>(made, Kind.OwnedChan);
            }
            return handle != 0 ? handle : made;
        }

        internal void FreeChannel()
        {
            if (Volatile.Read(ref _channel) is nint handle and not 0)
            {
                _ = Handles.Free<ByteChan>(handle, Kind.OwnedChan);
            }
        }

        void IEndOfGoroutine.HasEnded(nint result)
        {
            Result = result;
            _ = Ended.TryClose(); // Who finds it closed sees the result.
        }
    }
}
