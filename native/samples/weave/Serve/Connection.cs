// A connection and its goroutine. Each kind of server has its own; see Server.cs for what is done with
// all of them.

namespace Weave.Serve;

/// <summary>What a connection waits for; decides what its deadline does to it.</summary>
internal enum Phase
{
    Idle,
    Reading,
    Writing,
}

internal abstract class Connection(Transport transport)
{
    private long _deadline = long.MaxValue;
    private int _phase;

    internal Transport Transport { get; } = transport;

    /// <summary>Neighbours in the server's list. Guarded by its lock.</summary>
    internal Connection? Next { get; set; }

    internal Connection? Previous { get; set; }

    /// <summary>When the watch ends what the connection waits for, in the milliseconds of
    /// Environment.TickCount64. Written by the connection's goroutine.</summary>
    internal long Deadline => Volatile.Read(ref _deadline);

    internal bool IsLate => Environment.TickCount64 >= Deadline;

    private Phase Phase => (Phase)Volatile.Read(ref _phase);

    /// <summary>Serves until the connection ends.</summary>
    internal abstract void Serve();

    /// <summary>Called by the watch, again and again.</summary>
    internal void Look(long now)
    {
        if (now < Deadline)
        {
            return;
        }

        if (Phase == Phase.Writing)
        {
            Transport.Abort();
        }
        else
        {
            Transport.Wake();
        }
    }

    /// <summary>The server is about to end: a connection that waits for something to begin looks up.
    /// </summary>
    internal virtual void Drain()
    {
    }

    protected void Begin(Phase phase, TimeSpan limit)
    {
        Volatile.Write(ref _deadline, Environment.TickCount64 + (long)limit.TotalMilliseconds);
        Volatile.Write(ref _phase, (int)phase);
    }
}
