// Channels, and select over an array of cases.
//
// A goroutine keeps the objects of its cases (CaseSet) in its control block, where the collector sees them:
// from its second select on, one of up to eight cases allocates nothing. Threads make new ones.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const int Receives = 0;
    private const int Sends = 1;
    private const int MostCases = 65536;

    /// <summary>weft_case.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Case
    {
        internal nint Channel;
        internal void* Element;
        internal int Direction;
        internal int Result;
    }

    /// <summary>What a goroutine of C keeps in objects: its StateObject, where it has one.</summary>
    private sealed class GoroutineObjects(WaitGroup? done)
    {
        /// <summary>For its selects, one after the other.</summary>
        internal readonly SelectCase?[] Cases = new SelectCase?[GoroutineExtra.WaiterCount];

        /// <summary>Who waits for its end: that of weft_run and weft_main.</summary>
        internal readonly WaitGroup? Done = done;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_make")]
    private static int ChanMake(nint* handle, nuint size, nuint capacity)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || size > int.MaxValue || capacity > int.MaxValue
            || size * capacity > (nuint)Array.MaxLength)
        {
            return Code.Invalid;
        }
        try
        {
            *handle = Handles.Make(new ByteChan((int)size, (int)capacity), Kind.Chan);
            return *handle != 0 ? Code.Ok : Code.NoMemory;
        }
        catch (OutOfMemoryException)
        {
            *handle = 0;
            return Code.NoMemory;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_free")]
    private static int ChanFree(nint handle)
    {
        ByteChan? channel = Handles.Free<ByteChan>(handle, Kind.Chan);
        if (channel == null)
        {
            return Handles.FaultOfOwner(handle);
        }
        channel.Drop();
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_send")]
    private static int ChanSend(nint handle, void* element)
    {
        ByteChan? channel = Handles.Get<ByteChan>(handle, Kind.Chan);
        if (channel == null)
        {
            return Handles.FaultOfOwner(handle);
        }
        if (element == null && channel.ElementSize != 0)
        {
            return Code.Invalid;
        }
        Outcome outcome = channel.Send(element);
        return CodeOf(outcome);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_recv")]
    private static int ChanReceive(nint handle, void* element)
    {
        ByteChan? channel = Handles.GetChan(handle);
        if (channel == null)
        {
            return Handles.Fault(handle);
        }
        Outcome outcome = channel.Receive(element);
        return CodeOf(outcome);
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_try_send")]
    private static int ChanTrySend(nint handle, void* element)
    {
        ByteChan? channel = Handles.Get<ByteChan>(handle, Kind.Chan);
        if (channel == null)
        {
            return Handles.FaultOfOwner(handle);
        }
        return element == null && channel.ElementSize != 0 ? Code.Invalid : CodeOf(channel.TrySend(element));
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_try_recv")]
    private static int ChanTryReceive(nint handle, void* element)
    {
        ByteChan? channel = Handles.GetChan(handle);
        return channel == null ? Handles.Fault(handle) : CodeOf(channel.TryReceive(element));
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_close")]
    private static int ChanClose(nint handle)
    {
        ByteChan? channel = Handles.Get<ByteChan>(handle, Kind.Chan);
        if (channel == null)
        {
            return Handles.FaultOfOwner(handle);
        }
        return channel.TryClose() ? Code.Ok : Code.Closed;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_len")]
    private static long ChanLength(nint handle)
    {
        ByteChan? channel = Handles.GetChan(handle);
        return channel == null ? Handles.Fault(handle) : channel.BufferedCount;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_cap")]
    private static long ChanCapacity(nint handle)
    {
        ByteChan? channel = Handles.GetChan(handle);
        return channel == null ? Handles.Fault(handle) : channel.Capacity;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_elem_size")]
    private static long ChanElementSize(nint handle)
    {
        ByteChan? channel = Handles.GetChan(handle);
        return channel == null ? Handles.Fault(handle) : channel.ElementSize;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_select")]
    private static int SelectAmong(Case* cases, int count, long timeout)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (count is < 0 or > MostCases || (cases == null && count > 0))
        {
            return Code.Invalid;
        }
        try
        {
            Goroutine* g = Current.Goroutine();
            int timers = timeout > 0 ? 1 : 0;
            SelectCase?[] used = CasesFor(g, count + timers);
            int error = Fill(used, cases, count);
            return error != Code.Ok ? error
                : timers == 0 ? Choose(used, cases, count, timeout)
                : ChooseUntil(used, cases, count, timeout);
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Fill(SelectCase?[] used, Case* cases, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Case* each = &cases[i];
            ByteChan? channel = null;
            bool sends = each->Direction == Sends;
            if (each->Channel != 0)
            {
                channel = sends ? Handles.Get<ByteChan>(each->Channel, Kind.Chan) : Handles.GetChan(each->Channel);
                if (channel == null)
                {
                    return sends ? Handles.FaultOfOwner(each->Channel) : Handles.Fault(each->Channel);
                }
            }
            if ((!sends && each->Direction != Receives)
                || (sends && each->Element == null && channel is { ElementSize: not 0 }))
            {
                return Code.Invalid;
            }
            if (used[i] is not ByteCase own)
            {
                used[i] = own = new ByteCase();
            }
            own.Use(channel, sends, each->Element);
        }
        return Code.Ok;
    }

    private static int Choose(SelectCase?[] used, Case* cases, int count, long timeout)
    {
        int chosen = timeout == 0
            ? Select.TryWait(used.AsSpan(0, count)) : Select.Wait(used.AsSpan(0, count));
        if (chosen < 0)
        {
            return Code.WouldWait;
        }
        cases[chosen].Result = Unsafe.As<ByteCase>(used[chosen]!).Ok ? Code.Ok : Code.Closed;
        return chosen;
    }

    private static int ChooseUntil(SelectCase?[] used, Case* cases, int count, long timeout)
    {
        int chosen = Choose(used, cases, count, 0);
        if (chosen != Code.WouldWait)
        {
            return chosen;
        }
        ChanAlarm alarm = new(null);
        _ = alarm.Set(Ticks(timeout));
        used[count] = new ReceiveCase<DateTimeOffset>(alarm.C);
        chosen = Select.Wait(used.AsSpan(0, count + 1));
        used[count] = null;
        _ = alarm.Clear();
        if (chosen == count)
        {
            return Code.TimedOut;
        }
        cases[chosen].Result = Unsafe.As<ByteCase>(used[chosen]!).Ok ? Code.Ok : Code.Closed;
        return chosen;
    }

    /// <summary>Those of the goroutine, where they are enough.</summary>
    private static SelectCase?[] CasesFor(Goroutine* g, int count)
    {
        if (g == null || count > GoroutineExtra.WaiterCount)
        {
            return new SelectCase?[count];
        }
        object? state = Goroutine.StateObject(g);
        if (state == null)
        {
            Goroutine.StateObject(g) = state = new GoroutineObjects(null);
        }
        return (state as GoroutineObjects)?.Cases ?? new SelectCase?[count];
    }

    private static int CodeOf(Outcome outcome) => outcome == Outcome.Done ? Code.Ok : CodeOfOther(outcome);

    private static int CodeOfOther(Outcome outcome) => outcome switch
    {
        Outcome.Closed => Code.Closed,
        Outcome.Waits => Code.WouldWait,
        _ => Code.NoMemory,
    };
}
