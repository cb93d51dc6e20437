// What timers, tickers and deadlines have in common: one time that can be set and cleared, once or
// periodically, and something that happens then. _due, under _lock, decides whether it happens: an expiry
// that comes after Set or Clear finds another time there and does nothing, so no stale value is ever
// delivered after they return (Go 1.23).
//
//   watchers    When    the node                 what is due happens
//   some        _due    in a heap, while set     by itself (Fire)
//   none        Never   in none                  when somebody looks (Poll)
//
// What runs a function is watched for good. What sends to a channel is watched by those who wait there
// (chan/IChanSource.cs); so a heap never keeps a timer alive that nobody waits for, and the collector takes
// it together with its channel, set or not (Go 1.23).
//
// Rejected: a heap with weak references (a handle for each timer, and a finalizer to take the entry out);
// to leave the entry in the heap after a wait, for the next one, as Go does for a while (the heap has to be
// swept, and knows no more whether anything will happen by itself, which the report of deadlocks asks).
//
// The clock is Weft's own, or a TimeProvider of the user's (a fake one in tests). Then each Set makes a new
// timer of that provider, and a version says which of them still counts.
//
// One that is made in a bubble of WeftTest.Run goes by the bubble's clock, for good. There nothing lingers:
// the clock would be put forward to what nobody waits for.
//
// Locks: _lock, before a channel's; never together with a heap's.

namespace Weft.Runtime;

internal abstract class Alarm : TimerNode
{
    private const long NanosecondsPerTick = 100;

    private readonly TimeProvider? _provider;
    private readonly Bubble? _bubble;
    private ShortLock _lock;
    private long _due = Never;
    private long _period;
    private int _watchers;
    private int _version;
    private ITimer? _foreign;

    protected Alarm(TimeProvider? provider, bool isWatched)
    {
        bool own = Clock.IsOwn(provider);
        _provider = own ? null : provider;
        _bubble = own ? Bubble.OfCaller() : null;
        OwnHeap = _bubble?.Heap;
        _watchers = isWatched ? 1 : 0;
        Scheduler.EnsureStarted();
    }

    private protected bool HasOwnClock => _provider == null;

    /// <summary>That of the bubble it was made in, or null.</summary>
    private protected Bubble? MadeIn => _bubble;

    private long Now => _bubble == null ? Os.NowNs() : _bubble.Now;

    /// <summary>As many as a long holds, at most.</summary>
    internal static long Nanoseconds(TimeSpan time) =>
        time.Ticks > long.MaxValue / NanosecondsPerTick ? long.MaxValue : time.Ticks * NanosecondsPerTick;

    /// <summary>Makes it happen after that time, and again each period unless that is zero. True when it was
    /// set before and had not happened, or nobody has received what it delivered.</summary>
    internal bool Set(TimeSpan delay, TimeSpan period = default)
    {
        delay = delay < TimeSpan.Zero ? TimeSpan.Zero : delay;
        long due = _provider == null ? Scheduler.TimeAfter(Now, Nanoseconds(delay)) : 0;
        bool pending = Change(due, Nanoseconds(period), out int version);
        if (_provider != null)
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
        if (_provider != null)
        {
            ReplaceForeign(null, version);
        }
        return pending;
    }

    internal sealed override void Fire(long now)
    {
        DateTimeOffset stamp = OwnStamp();
        _lock.Enter();
        if (When > now)
        {
            _lock.Exit();
            return;
        }
        _ = Happen(now, stamp);
        bool again = When != Never;
        _lock.Exit();
        if (again)
        {
            Scheduler.UpdateTimer(this);
        }
        Start();
    }

    /// <summary>What is due happens, as if it had at its time. On any stack; for an alarm of our own clock
    /// that starts nothing.</summary>
    public void Poll()
    {
        if (When != Never || Volatile.Read(ref _due) == Never)
        {
            return; // It happens by itself, or not at all.
        }
        long now = Now;
        if (Volatile.Read(ref _due) > now)
        {
            return;
        }
        DateTimeOffset stamp = OwnStamp();
        _lock.Enter();
        long due = _due;
        bool moved = due <= now && Happen(now, stamp.AddTicks(-((now - due) / NanosecondsPerTick)));
        _lock.Exit();
        Update(moved);
    }

    /// <summary>Somebody waits. Counts even if it throws InsufficientMemoryException.</summary>
    public void Watch()
    {
        _lock.Enter();
        _watchers++;
        bool moved = Move(_due);
        _lock.Exit();
        Update(moved);
    }

    /// <summary>Ends one Watch. After the last the entry lingers: GiveUp takes it out.</summary>
    public void Unwatch()
    {
        _lock.Enter();
        bool lingers = --_watchers == 0 && When != Never;
        _lock.Exit();
        if (lingers && _bubble != null)
        {
            GiveUp();
        }
        else if (lingers)
        {
            Scheduler.LetLinger(this);
        }
    }

    internal sealed override void GiveUp()
    {
        _lock.Enter();
        bool moved = Move(_due);
        _lock.Exit();
        Update(moved);
    }

    /// <summary>For what a program does with a timer of a bubble: throws where the caller is not of
    /// it.</summary>
    internal void CheckCaller(string what) => _bubble?.CheckCaller(what);

    /// <summary>What Deliver gets. Not under the lock.</summary>
    protected virtual DateTimeOffset Stamp(TimeProvider provider) => default;

    private DateTimeOffset OwnStamp() => _bubble == null ? Stamp(TimeProvider.System) : _bubble.UtcNow;

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

    private bool Change(long due, long period, out int version)
    {
        _lock.Enter();
        bool pending = _due != Never;
        bool moved = Move(due);
        _period = period;
        version = ++_version;
        pending |= Discard();
        _lock.Exit();
        Update(moved);
        return pending;
    }

    /// <summary>It happens, and perhaps again. True when When has changed. Under the lock.</summary>
    private bool Happen(long now, DateTimeOffset stamp)
    {
        bool moved = Move(_period != 0 ? _due + (_period * (1 + ((now - _due) / _period))) : Never);
        Deliver(stamp);
        return moved;
    }

    /// <summary>Writes the time it is due, and When. True when that has changed. Under the lock.</summary>
    private bool Move(long due)
    {
        Volatile.Write(ref _due, due); // Pairs with Poll, which looks without the lock.
        long when = _watchers > 0 ? due : Never;
        bool moved = when != When;
        When = when;
        return moved;
    }

    private void Update(bool moved)
    {
        if (moved && _provider == null && _bubble is not { IsOver: true })
        {
            Scheduler.UpdateTimer(this);
        }
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
        bool counts = version == _version && _due != Never;
        if (counts)
        {
            _ = Move(_period != 0 ? _due : Never);
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
internal sealed class ChanAlarm : Alarm, IChanSource
{
    // With a clock of the user's it may fire on any thread: nobody's wait for it is durable.
    internal ChanAlarm(TimeProvider? provider)
        : base(provider, isWatched: false) => C = new(1, MadeIn) { Source = HasOwnClock ? this : null };

    internal Chan<DateTimeOffset> C { get; }

    protected override DateTimeOffset Stamp(TimeProvider provider) => provider.GetUtcNow();

    protected override void Deliver(DateTimeOffset stamp) => _ = C.SendIfOpen(stamp);

    protected override bool Discard() => C.TryTake(out _);
}

/// <summary>Runs a function in a goroutine, which begins with the context; null is the default one.</summary>
internal sealed class FuncAlarm(Action action, TimeProvider? provider, ExecutionContext? context)
    : Alarm(provider, isWatched: true)
{
    protected override void Start() => Go.RunIn(context, action, MadeIn);
}
