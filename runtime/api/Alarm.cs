// What timers, tickers and deadlines have in common: one time that can be set and cleared, once or
// periodically, and something that happens then. When, under _lock, decides whether it happens: an expiry
// that comes after Set or Clear finds another time there and does nothing, so no stale value is ever
// delivered after they return (Go 1.23).
//
// The clock is Weft's own, or a TimeProvider of the user's (a fake one in tests). Then each Set makes a new
// timer of that provider, and a version says which of them still counts.
//
// Locks: _lock, before a channel's; never together with a heap's.

namespace Weft.Runtime;

internal abstract class Alarm : TimerNode
{
    private const long NanosecondsPerTick = 100;

    private readonly TimeProvider? _provider;
    private ShortLock _lock;
    private long _period;
    private int _version;
    private ITimer? _foreign;

    protected Alarm(TimeProvider? provider)
    {
        bool own = provider is null or WeftTimeProvider || provider == TimeProvider.System;
        _provider = own ? null : provider;
        Scheduler.EnsureStarted();
    }

    /// <summary>As many as a long holds, at most.</summary>
    internal static long Nanoseconds(TimeSpan time) =>
        time.Ticks > long.MaxValue / NanosecondsPerTick ? long.MaxValue : time.Ticks * NanosecondsPerTick;

    /// <summary>Makes it happen after that time, and again each period unless that is zero. True when it was
    /// set before and had not happened, or nobody has received what it delivered.</summary>
    internal bool Set(TimeSpan delay, TimeSpan period = default)
    {
        delay = delay < TimeSpan.Zero ? TimeSpan.Zero : delay;
        long when = _provider == null ? Scheduler.TimeAfter(Nanoseconds(delay)) : 0;
        bool pending = Change(when, Nanoseconds(period), out int version);
        if (_provider == null)
        {
            Scheduler.UpdateTimer(this);
        }
        else
        {
            SetForeign(_provider, version, delay, period);
        }
        return pending;
    }

    /// <summary>Makes it not happen. True when that was still to come, or nobody has received what it
    /// delivered.</summary>
    internal bool Clear()
    {
        bool pending = Change(Never, 0, out int version);
        if (_provider == null)
        {
            Scheduler.UpdateTimer(this);
        }
        else
        {
            ReplaceForeign(null, version);
        }
        return pending;
    }

    internal sealed override void Fire(long now)
    {
        DateTimeOffset stamp = Stamp(TimeProvider.System);
        _lock.Enter();
        long when = When;
        if (when > now)
        {
            _lock.Exit();
            return;
        }
        bool again = _period != 0;
        When = again ? when + (_period * (1 + ((now - when) / _period))) : Never;
        Deliver(stamp);
        _lock.Exit();
        if (again)
        {
            Scheduler.UpdateTimer(this);
        }
        Start();
    }

    /// <summary>What Deliver gets. Not under the lock.</summary>
    protected virtual DateTimeOffset Stamp(TimeProvider provider) => default;

    /// <summary>It happens. Under the lock: no allocation, no waiting.</summary>
    protected virtual void Deliver(DateTimeOffset stamp)
    {
    }

    /// <summary>What it delivered is not wanted any more. True when there was something. Under the
    /// lock.</summary>
    protected virtual bool Discard() => false;

    /// <summary>It has happened. Not under the lock; perhaps in the scheduler's loop.</summary>
    protected virtual void Start()
    {
    }

    private bool Change(long when, long period, out int version)
    {
        _lock.Enter();
        bool pending = When != Never;
        When = when;
        _period = period;
        version = ++_version;
        pending |= Discard();
        _lock.Exit();
        return pending;
    }

    private void SetForeign(TimeProvider provider, int version, TimeSpan delay, TimeSpan period)
    {
        TimeSpan interval = period == default ? Timeout.InfiniteTimeSpan : period;
        ITimer timer = provider.CreateTimer(
            static state => ((Setting)state!).Elapse(), new Setting(this, version), delay, interval);
        ReplaceForeign(timer, version);
    }

    /// <summary>Keeps the provider's timer, or drops it if it is out of date already.</summary>
    private void ReplaceForeign(ITimer? timer, int version)
    {
        _lock.Enter();
        ITimer? old = timer;
        if (version == _version)
        {
            old = _foreign;
            _foreign = timer;
        }
        _lock.Exit();
        old?.Dispose();
    }

    private void FireForeign(int version)
    {
        DateTimeOffset stamp = Stamp(_provider!);
        _lock.Enter();
        bool counts = version == _version && When != Never;
        if (counts)
        {
            When = _period != 0 ? When : Never;
            Deliver(stamp);
        }
        _lock.Exit();
        if (counts)
        {
            Start();
        }
    }

    private sealed class Setting(Alarm alarm, int version)
    {
        internal void Elapse() => alarm.FireForeign(version);
    }
}

/// <summary>Sends the time to a channel with room for one.</summary>
internal sealed class ChanAlarm(TimeProvider? provider) : Alarm(provider)
{
    internal Chan<DateTimeOffset> C { get; } = new(1);

    protected override DateTimeOffset Stamp(TimeProvider provider) => provider.GetUtcNow();

    protected override void Deliver(DateTimeOffset stamp) => _ = C.SendIfOpen(stamp);

    protected override bool Discard() => C.TryReceive(out _);
}

/// <summary>Runs a function in a goroutine.</summary>
internal sealed class FuncAlarm(Action action, TimeProvider? provider) : Alarm(provider)
{
    protected override void Start() => Go.Run(action);
}
