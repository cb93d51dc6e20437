// Timers as Go has them since 1.23: after Stop or Reset nothing stale is received.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// One event in the future: a value in a channel, or a function that runs in a goroutine of its own. Go:
/// time.Timer. Safe for any number of goroutines and threads at once; no member waits. Nothing needs
/// to be disposed of, or stopped: a timer that sends to <see cref="C"/> and that nobody can reach any more is
/// collected, set or not (the last that was waited for on each processor may stay until the next one);
/// one that runs a function is kept until it has.
/// </summary>
/// <remarks>System.Threading, which is imported implicitly in most projects, has a Timer too: add
/// <c>using Timer = Weft.Timer;</c> where both are visible.</remarks>
public sealed class Timer
{
    private const string What = "The timer";

    private readonly Alarm _alarm;
    private readonly Chan<DateTimeOffset>? _c;

    /// <summary>Makes a timer that sends the time to <see cref="C"/> once. Go: time.NewTimer.</summary>
    /// <param name="delay">After how long; zero or less is at once. Rounded up to what the system can do:
    /// some 50 microseconds.</param>
    /// <param name="timeProvider">The clock to use instead of the system's, in tests for example. It may
    /// keep the timer alive until it fires.</param>
    public Timer(TimeSpan delay, TimeProvider? timeProvider = null)
    {
        ChanAlarm alarm = new(timeProvider);
        _alarm = alarm;
        _c = alarm.C;
        _ = alarm.Set(delay);
    }

    private Timer(Alarm alarm) => _alarm = alarm;

    /// <summary>Where the time is sent to, in UTC. It holds one value and is never closed. If nobody waits,
    /// the value is there when somebody looks, with the time at which it was due. A timer that nobody waits
    /// for does not count as something that will happen: see <see cref="Go.DetectDeadlocks"/>. A receive
    /// that has to wait throws an InsufficientMemoryException where there is no memory for another
    /// timer.</summary>
    /// <exception cref="InvalidOperationException">The timer runs a function instead.</exception>
    public ReceiveChan<DateTimeOffset> C => _c ?? throw new InvalidOperationException(
        "Timer.C: the timer was made by AfterFunc and has no channel.");

    /// <summary>Makes a timer that runs a function in a new goroutine, once. Go: time.AfterFunc.</summary>
    /// <param name="delay">After how long; zero or less is at once.</param>
    /// <param name="action">What to run, with the caller's ExecutionContext.</param>
    /// <param name="timeProvider">The clock to use instead of the system's.</param>
    /// <returns>The timer, which can be stopped and set again.</returns>
    /// <exception cref="ArgumentNullException">The action is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another timer.</exception>
    public static Timer AfterFunc(TimeSpan delay, Action action, TimeProvider? timeProvider = null)
    {
        ArgumentNullException.ThrowIfNull(action);
        FuncAlarm alarm = new(action, timeProvider, ContextFlow.Capture());
        Timer timer = new(alarm);
        _ = alarm.Set(delay);
        return timer;
    }

    /// <summary>Stops the timer. After it returns nothing is received from <see cref="C"/> until the timer is
    /// set again; a function may have been started, and this does not wait for it.</summary>
    /// <returns>True when the timer was stopped before anybody saw it fire; false when it had fired, or was
    /// stopped before.</returns>
    public bool Stop()
    {
        _alarm.CheckCaller(What);
        return Halt();
    }

    /// <summary>Stop, for whoever.</summary>
    internal bool Halt() => _alarm.Clear();

    /// <summary>Sets the timer anew, whatever its state. After it returns no value of an earlier setting is
    /// received.</summary>
    /// <param name="delay">After how long from now; zero or less is at once.</param>
    /// <returns>What <see cref="Stop"/> would have returned.</returns>
    /// <exception cref="InsufficientMemoryException">No memory for another timer: it runs a function, or
    /// somebody waits for it.</exception>
    public bool Reset(TimeSpan delay)
    {
        _alarm.CheckCaller(What);
        return _alarm.Set(delay);
    }
}
