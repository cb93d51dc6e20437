// Processes: started, fed and read through pipes, waited for, sent signals. And signals of this process, as a
// channel.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int SignalsKept = 16;
    private const int MostSignal = 64;
    private const int KillSignal = 9;
    private const int FaultSignal = 11; // Weft's own, as the next but one.
    private const int StopSignal = 19;
    private const int UrgentSignal = 23;
    private const int MostDescriptors = 1000;

    private static readonly Lock s_signalLock = new();
    private static readonly Dictionary<nint, PosixSignalRegistration[]> s_signals = [];

    /// <summary>weft_command. Size first.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Command
    {
        internal nuint Size;
        internal byte** Arguments;
        internal byte** Environment;
        internal byte* Directory;
        internal int Input;
        internal int Output;
        internal int Error;
        internal uint Flags;
        internal int* Descriptors;
        internal nuint DescriptorCount;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_spawn")]
    private static int Spawn(nint* handle, Command* command)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || command == null)
        {
            return Code.Invalid;
        }
        *handle = 0;
        if (!TryCopy(command, out Command given)
            || given.Arguments == null || given.Arguments[0] == null || given.Flags != 0
            || !IsStream(given.Input) || !IsStream(given.Output)
            || (!IsStream(given.Error) && given.Error != (int)Spawned.Stream.Output)
            || given.DescriptorCount > MostDescriptors
            || (given.Descriptors == null && given.DescriptorCount > 0))
        {
            return Code.Invalid;
        }
        try
        {
            int error = Spawned.Start(
                given.Arguments[0], given.Arguments, given.Environment, given.Directory,
                [(Spawned.Stream)given.Input, (Spawned.Stream)given.Output, (Spawned.Stream)given.Error],
                new ReadOnlySpan<int>(given.Descriptors, (int)given.DescriptorCount),
                out Spawned? spawned);
            if (error != 0)
            {
                return error;
            }
            *handle = Handles.Make(spawned!, Kind.Process);
            return *handle != 0 ? Code.Ok : Code.NoMemory;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static bool IsStream(int stream) =>
        stream is (int)Spawned.Stream.Inherit or (int)Spawned.Stream.Pipe or (int)Spawned.Stream.Null
            or >= (int)Spawned.Stream.Given;

    [UnmanagedCallersOnly(EntryPoint = "weft_process_id")]
    private static int ProcessId(nint handle)
    {
        Spawned? process = Handles.Get<Spawned>(handle, Kind.Process);
        return process == null ? Handles.Fault(handle) : process.Id;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_process_pipe")]
    private static int ProcessPipe(nint handle, int stream, nint* connection)
    {
        Spawned? process = Handles.Get<Spawned>(handle, Kind.Process);
        if (process == null)
        {
            return Handles.Fault(handle);
        }
        if (connection == null || stream is < 0 or > 2)
        {
            return Code.Invalid;
        }
        int fd = process.TakePipe(stream);
        if (fd < 0)
        {
            *connection = 0;
            return Code.BadHandle;
        }
        int error = TakeOver(connection, fd, stream == 0 ? FileAccess.Write : FileAccess.Read);
        if (error != Code.Ok)
        {
            Weft.Native.Process.Close(fd);
        }
        return error;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_process_wait")]
    private static int ProcessWait(nint handle, int* status) => WaitForProcess(handle, status, TimerNode.Never);

    [UnmanagedCallersOnly(EntryPoint = "weft_process_wait_until")]
    private static int ProcessWaitUntil(nint handle, int* status, long deadline) =>
        WaitForProcess(handle, status, deadline);

    [UnmanagedCallersOnly(EntryPoint = "weft_process_kill")]
    private static int ProcessKill(nint handle, int signal)
    {
        Spawned? process = Handles.Get<Spawned>(handle, Kind.Process);
        return process == null ? Handles.Fault(handle)
            : signal is < 0 or > MostSignal ? Code.Invalid
            : process.Send(signal);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_process_free")]
    private static int ProcessFree(nint handle)
    {
        Spawned? process = Handles.Free<Spawned>(handle, Kind.Process);
        if (process == null)
        {
            return Handles.Fault(handle);
        }
        process.Leave();
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_signal_chan")]
    private static int SignalChannel(nint* handle, int* signals, int count)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || signals == null || count is <= 0 or > MostSignal)
        {
            return Code.Invalid;
        }
        *handle = 0;
        for (int i = 0; i < count; i++)
        {
            if (signals[i] is <= 0 or > MostSignal or KillSignal or FaultSignal or StopSignal or UrgentSignal)
            {
                return Code.Invalid;
            }
        }
        PosixSignalRegistration[] made = new PosixSignalRegistration[count];
        try
        {
            ByteChan channel = new(sizeof(int), SignalsKept);
            for (int i = 0; i < count; i++)
            {
                int signal = signals[i];
                made[i] = PosixSignalRegistration.Create((PosixSignal)signal, context =>
                {
                    context.Cancel = true; // Not what it did before.
                    int number = signal;
                    _ = channel.TrySend(&number);
                });
            }
            nint handleOfChannel = Handles.Make(channel, Kind.OwnedChan);
            if (handleOfChannel == 0)
            {
                End(made);
                return Code.NoMemory;
            }
            lock (s_signalLock)
            {
                s_signals[handleOfChannel] = made;
            }
            *handle = handleOfChannel;
            return Code.Ok;
        }
        catch (Exception e)
        {
            End(made);
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_signal_stop")]
    private static int SignalStop(nint handle)
    {
        ByteChan? channel = Handles.Get<ByteChan>(handle, Kind.OwnedChan);
        if (channel == null)
        {
            return Handles.Fault(handle);
        }
        try
        {
            PosixSignalRegistration[]? made;
            lock (s_signalLock)
            {
                if (!s_signals.Remove(handle, out made))
                {
                    return Code.NotPermitted; // A timer's, a context's, a task's.
                }
            }
            End(made);
            _ = Handles.Free<ByteChan>(handle, Kind.OwnedChan);
            channel.Drop();
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    private static void End(PosixSignalRegistration?[] made)
    {
        foreach (PosixSignalRegistration? each in made)
        {
            each?.Dispose();
        }
    }

    private static int WaitForProcess(nint handle, int* status, long deadline)
    {
        Spawned? process = Handles.Get<Spawned>(handle, Kind.Process);
        if (process == null)
        {
            return Handles.Fault(handle);
        }
        int code = ReceiveUntil(process.Ended, null, deadline);
        if (code != Code.Closed)
        {
            return code;
        }
        if (process.Status < 0)
        {
            return process.Status;
        }
        if (status != null)
        {
            *status = process.Status;
        }
        return Code.Ok;
    }
}
