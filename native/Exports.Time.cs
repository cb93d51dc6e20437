// Timers: a function that runs in a goroutine, or a channel that gets the time.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Native;

internal static unsafe partial class Exports
{
    private const long NanosecondsPerTick = 100;

    [UnmanagedCallersOnly(EntryPoint = "weft_now")]
    private static long Now() => Os.NowNs();

    [UnmanagedCallersOnly(EntryPoint = "weft_timer_make")]
    private static int TimerMake(nint* handle, long delay, long period, nint function, nint argument)
    {
        if (!Handles.AreOpen)
        {
            return Code.NotRunning;
        }
        if (handle == null || period < 0)
        {
            return Code.Invalid;
        }
        *handle = 0;
        try
        {
            TimerObject timer;
            if (function != 0)
            {
                timer = new TimerObject(new FunctionAlarm(function, argument), 0);
            }
            else
            {
                ByteChan channel = new(sizeof(long), 1);
                nint channelHandle = Handles.Make(channel, Kind.OwnedChan);
                if (channelHandle == 0)
                {
                    return Code.NoMemory;
                }
                timer = new TimerObject(new ChannelAlarm(channel), channelHandle);
            }
            nint made = Handles.Make(timer, Kind.Timer);
            if (made == 0)
            {
                timer.FreeChannel();
                return Code.NoMemory;
            }
            _ = timer.Alarm.Set(Ticks(delay), Ticks(period));
            *handle = made;
            return Code.Ok;
        }
        catch (Exception e)
        {
            return Code.Of(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_timer_chan")]
    private static int TimerChannel(nint handle, nint* channel)
    {
        TimerObject? timer = Handles.Get<TimerObject>(handle, Kind.Timer);
        if (timer == null)
        {
            return Handles.Fault(handle);
        }
        if (channel == null || timer.Channel == 0)
        {
            return Code.Invalid;
        }
        *channel = timer.Channel;
        return Code.Ok;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_timer_stop")]
    private static int TimerStop(nint handle)
    {
        TimerObject? timer = Handles.Get<TimerObject>(handle, Kind.Timer);
        return timer == null ? Handles.Fault(handle) : timer.Alarm.Clear() ? 1 : 0;
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_timer_reset")]
    private static int TimerReset(nint handle, long delay, long period)
    {
        TimerObject? timer = Handles.Get<TimerObject>(handle, Kind.Timer);
        if (timer == null)
        {
            return Handles.Fault(handle);
        }
        if (period < 0)
        {
            return Code.Invalid;
        }
        try
        {
            return timer.Alarm.Set(Ticks(delay), Ticks(period)) ? 1 : 0;
        }
        catch (InsufficientMemoryException)
        {
            return Code.NoMemory;
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "weft_timer_free")]
    private static int TimerFree(nint handle)
    {
        TimerObject? timer = Handles.Free<TimerObject>(handle, Kind.Timer);
        if (timer == null)
        {
            return Handles.Fault(handle);
        }
        _ = timer.Alarm.Clear();
        timer.FreeChannel();
        return Code.Ok;
    }

    /// <summary>Rounded up: never earlier than asked for.</summary>
    private static TimeSpan Ticks(long nanoseconds) => TimeSpan.FromTicks(
        (nanoseconds / NanosecondsPerTick) + (nanoseconds % NanosecondsPerTick > 0 ? 1 : 0));

    private sealed class TimerObject(Alarm alarm, nint channel)
    {
        internal Alarm Alarm { get; } = alarm;

        /// <summary>Its handle, or 0.</summary>
        internal nint Channel { get; } = channel;

        internal void FreeChannel()
        {
            if (Channel != 0)
            {
                _ = Handles.Free<ByteChan>(Channel, Kind.OwnedChan)?.TryClose();
            }
        }
    }

    private sealed class FunctionAlarm(nint function, nint argument) : Alarm(null, isWatched: true)
    {
        /// <summary>Without a goroutine, for want of memory, this round is left out.</summary>
        protected override void Start() => _ = Exports.Start(
            function, argument, GoroutineKind.Fixed, Runtime.Layout.FixedStackDefault, null);
    }

    private sealed class ChannelAlarm(ByteChan channel) : Alarm(null, isWatched: true)
    {
        protected override void Deliver(DateTimeOffset stamp)
        {
            long now = Os.NowNs();
            _ = channel.TrySend(&now);
        }

        protected override bool Discard() => channel.TryReceive(null) == Outcome.Done;
    }
}
