// Channels, and select over an array of cases.
//
// A select that finds something ready needs no objects for its cases. For one that has to wait a goroutine keeps
// them (GoroutineObjects): from the second on, one of up to eight cases allocates nothing. Threads make new ones.

using System.Numerics;
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

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_send_until")]
    private static int ChanSendUntil(nint handle, void* element, long deadline)
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
        Outcome outcome = channel.TrySend(element);
        if (outcome == Outcome.Waits)
        {
            WaitScope? scope = ScopeOf(deadline);
            outcome = scope == null ? channel.Send(element) : channel.Send(element, scope, deadline);
            return outcome == Outcome.Ended ? CodeOfEnd(scope) : CodeOf(outcome);
        }
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

    [UnmanagedCallersOnly(EntryPoint = "weft_chan_recv_until")]
    private static int ChanReceiveUntil(nint handle, void* element, long deadline)
    {
        ByteChan? channel = Handles.GetChan(handle);
        return channel == null ? Handles.Fault(handle) : ReceiveUntil(channel, element, deadline);
    }

    private static int ReceiveUntil(ByteChan channel, void* element, long deadline)
    {
        Outcome outcome = channel.TryReceive(element);
        if (outcome == Outcome.Waits)
        {
            WaitScope? scope = ScopeOf(deadline);
            outcome = scope == null ? channel.Receive(element) : channel.Receive(element, scope, deadline);
            return outcome == Outcome.Ended ? CodeOfEnd(scope) : CodeOf(outcome);
        }
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
    private static int SelectAmong(Case* cases, int count, long timeout) => SelectAmong(
        cases, count, timeout == 0, timeout <= 0 ? TimerNode.Never : Scheduler.TimeAfter(timeout));

    [UnmanagedCallersOnly(EntryPoint = "weft_select_until")]
    private static int SelectUntil(Case* cases, int count, long deadline) =>
        SelectAmong(cases, count, false, deadline);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int SelectAmong(Case* cases, int count, bool tries, long deadline)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (count is < 0 or > MostCases || (cases == null && count > 0))
        {
            return Code.Invalid;
        }
        int chosen = count <= GoroutineExtra.WaiterCount ? ChooseReady(cases, count) : Code.WouldWait;
        return chosen >= 0 ? chosen : ChooseSlowly(cases, count, tries, deadline);
    }

    /// <summary>One of those that look ready, with the lock of its channel only: SelectRound.AttemptOne without
    /// objects for the cases. WouldWait where none does, and where a case is not as it should be: who goes on
    /// finds out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int ChooseReady(Case* cases, int count)
    {
        uint ready = 0; // A bit for each.
        for (int i = 0; i < count; i++)
        {
            Case* each = &cases[i];
            if (IsNever(each))
            {
                continue;
            }
            ByteChan? channel = ChanOf(each);
            if (channel is not { IsPlain: true })
            {
                return Code.WouldWait;
            }
            ready |= channel.LooksReady(each->Direction == Sends) ? 1u << i : 0;
        }
        return ready == 0 ? Code.WouldWait : ChooseOneOf(cases, ready);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ChooseOneOf(Case* cases, uint ready)
    {
        int place = BitOperations.TrailingZeroCount(SelectRound.AnyBitOf(ready, Current.GoroutineOrNull()));
        Case* chosen = &cases[place];
        ByteChan? channel = ChanOf(chosen);
        if (channel == null)
        {
            return Code.WouldWait;
        }
        bool sends = chosen->Direction == Sends;
        Outcome outcome = sends ? channel.TrySend(chosen->Element) : channel.TryReceive(chosen->Element);
        if (outcome == Outcome.Waits)
        {
            return Code.WouldWait;
        }
        chosen->Result = outcome == Outcome.Done ? Code.Ok : Code.Closed;
        return place;
    }

    /// <summary>The channel of a case that is as it should be, else null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ByteChan? ChanOf(Case* each)
    {
        if (each->Direction == Receives)
        {
            return Handles.GetChan(each->Channel);
        }
        ByteChan? channel = each->Direction == Sends ? Handles.Get<ByteChan>(each->Channel, Kind.Chan) : null;
        return channel != null && each->Element == null && channel.ElementSize != 0 ? null : channel;
    }

    /// <summary>Why ChanOf has found none, of a case that has a channel or says neither to send nor to
    /// receive.</summary>
    private static int FaultOf(Case* each)
    {
        bool sends = each->Direction == Sends;
        nint handle = each->Channel;
        return handle == 0 ? Code.Invalid
            : sends && Handles.Get<ByteChan>(handle, Kind.Chan) == null ? Handles.FaultOfOwner(handle)
            : !sends && Handles.GetChan(handle) == null ? Handles.Fault(handle)
            : Code.Invalid;
    }

    /// <summary>It has no channel, and is never ready.</summary>
    private static bool IsNever(Case* each) => each->Channel == 0 && each->Direction is (Receives or Sends);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int ChooseSlowly(Case* cases, int count, bool tries, long deadline)
    {
        try
        {
            Goroutine* g = Current.Goroutine();
            SelectCase?[] used = CasesFor(g, count + 1, out WaitScope? scope);
            int error = Fill(used, cases, count);
            return error != Code.Ok ? error
                : tries || (scope == null && deadline == TimerNode.Never)
                    ? Choose(used, cases, count, tries)
                    : ChooseUntil(used, cases, count, deadline);
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
            ByteChan? channel = ChanOf(each);
            if (channel == null && !IsNever(each))
            {
                return FaultOf(each);
            }
            if (used[i] is not ByteCase own)
            {
                used[i] = own = new ByteCase();
            }
            own.Use(channel, each->Direction == Sends, each->Element);
        }
        return Code.Ok;
    }

    private static int Choose(SelectCase?[] used, Case* cases, int count, bool tries)
    {
        int chosen = Select.ChooseLocked(used.AsSpan(0, count), wait: !tries);
        if (chosen < 0)
        {
            return Code.WouldWait;
        }
        cases[chosen].Result = Unsafe.As<ByteCase>(used[chosen]!).Ok ? Code.Ok : Code.Closed;
        return chosen;
    }

    /// <summary>The last one of those used ends the wait: by time, or by what else may.</summary>
    private static int ChooseUntil(SelectCase?[] used, Case* cases, int count, long deadline)
    {
        GoroutineObjects objects = GoroutineObjects.OfCaller();
        WaitScope scope = objects.AnyScope;
        EndCase end = objects.EndCase;
        int chosen;
        try
        {
            if (!end.Begin(scope, deadline))
            {
                chosen = Choose(used, cases, count, tries: true);
                return chosen != Code.WouldWait ? chosen : CodeOfEnd(scope);
            }
            used[count] = end;
            chosen = Select.ChooseLocked(used.AsSpan(0, count + 1), wait: true);
        }
        finally
        {
            used[count] = null;
            scope.End();
        }
        if (chosen == count)
        {
            return CodeOfEnd(scope);
        }
        cases[chosen].Result = Unsafe.As<ByteCase>(used[chosen]!).Ok ? Code.Ok : Code.Closed;
        return chosen;
    }

    /// <summary>Those of the goroutine, where they are enough.</summary>
    private static SelectCase?[] CasesFor(Goroutine* g, int count, out WaitScope? scope)
    {
        GoroutineObjects? objects = g == null ? null : GoroutineObjects.Of(g);
        scope = objects?.WaitScope;
        return objects == null || count > GoroutineObjects.CaseCount ? new SelectCase?[count] : objects.Cases;
    }

    private static int CodeOf(Outcome outcome) => outcome == Outcome.Done ? Code.Ok : CodeOfOther(outcome);

    private static int CodeOfOther(Outcome outcome) => outcome switch
    {
        Outcome.Closed => Code.Closed,
        Outcome.Waits => Code.WouldWait,
        Outcome.Ended => CodeOfEnd(ScopeOf(TimerNode.Never)),
        _ => Code.NoMemory,
    };
}
