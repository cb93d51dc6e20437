// The timer behind a descriptor's deadline, one for each direction that ever had one. The truth is the
// deadline in the poll record. The timer's time is that one or an earlier one, and when it fires it looks.

namespace Weft.Runtime;

internal sealed unsafe class DeadlineTimer : TimerNode
{
    private readonly PollDescriptor* _pd;
    private readonly PollMode _mode;
    private readonly uint _tag;

    internal DeadlineTimer(PollDescriptor* pd, PollMode mode)
    {
        _pd = pd;
        _mode = mode;
        _tag = pd->Tag;
    }

    /// <summary>Sets the deadline: a time of Os.NowNs, or Never. Who waits longer than that is woken. The
    /// descriptor is open. Throws InsufficientMemoryException.</summary>
    internal void Set(long when)
    {
        long now = Os.NowNs();
        _pd->Lock.Enter();
        Goroutine* g = _pd->SetDeadline(_mode, when, now);
        bool update = when <= now || when == Never ? When != Never : when < When;
        if (update)
        {
            When = when <= now ? Never : when;
        }
        _pd->Lock.Exit();
        if (update)
        {
            Scheduler.UpdateTimer(this);
        }
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    /// <summary>The descriptor is closed: nothing will come of it.</summary>
    internal void Clear()
    {
        _pd->Lock.Enter();
        bool update = When != Never && _pd->Tag == _tag;
        When = update ? Never : When;
        _pd->Lock.Exit();
        if (update)
        {
            Scheduler.UpdateTimer(this);
        }
    }

    internal override void Fire(long now)
    {
        Goroutine* g = null;
        bool again = false;
        _pd->Lock.Enter();
        if (_pd->Tag == _tag)
        {
            long deadline = _pd->Deadline(_mode);
            again = deadline != Never && deadline > now;
            When = again ? deadline : Never;
            g = !again && deadline <= now ? _pd->Expire(_mode) : null;
        }
        else
        {
            When = Never;
        }
        _pd->Lock.Exit();
        if (again)
        {
            Scheduler.UpdateTimer(this);
        }
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }
}
