// All rings at once, in the order of time: what happened up to a moment, told to a listener.
//
// Events of the last few milliseconds are left for the next time, unless it is the last: one of another ring
// may have an earlier time.

namespace Weft.Runtime;

internal sealed unsafe class TraceReading(
    TraceSource source, TraceListener listener, int capacity, bool fromOldest)
    : IDisposable
{
    private const long DelayNs = 5_000_000;

    private readonly List<TraceCursor> _cursors = [];
    private TickClock _clock = TickClock.Start();
    private long _pauses = Pauses.All->Count;
    private bool _isOpen;

    /// <summary>What is older is of an earlier trace, and is left out.</summary>
    internal long Start { get; init; } = long.MinValue;

    /// <summary>Pauses that ended earlier are left out.</summary>
    internal long Since { get; set; } = long.MinValue;

    /// <summary>Of ticks, as of the last look.</summary>
    internal ref TickClock Times => ref _clock;

    /// <summary>Makes a cursor for each ring that has none.</summary>
    internal void Open()
    {
        while (_cursors.Count < source.RingCount && source.Ring(_cursors.Count) != null)
        {
            // One that comes later belongs to a new processor: all of it.
            bool isNew = _isOpen;
            _cursors.Add(new TraceCursor(source.Ring(_cursors.Count), capacity, fromOldest || isNew));
        }
        _isOpen = true;
    }

    /// <summary>The time from which on nothing is missing, if rings were read from the oldest event on.
    /// </summary>
    internal long CompleteSince(long now)
    {
        long since = Start;
        foreach (TraceCursor cursor in _cursors)
        {
            if (cursor.TryPeek(out TraceRecord record) && cursor.HasWrapped)
            {
                since = Math.Max(since, TraceCursor.Unwrap(record.Ticks, now));
            }
        }
        return since;
    }

    /// <summary>Tells what has happened since the last time. Events before that time are told to a silent
    /// listener.</summary>
    internal void Tell(bool isLast, long speakAt = long.MinValue)
    {
        Open();
        _clock.Sync();
        long now = Ticks.Now();
        long limit = isLast ? long.MaxValue : now - _clock.ToTicks(DelayNs);
        for (int i = 0; i < _cursors.Count; i++)
        {
            _cursors[i].LookAgain();
        }
        while (Next(now, out int ring, out TraceRecord record) && record.Ticks <= limit)
        {
            if (record.Ticks < Start)
            {
                _cursors[ring].Skip();
                continue;
            }
            SpeakIfDue(record.Ticks, speakAt);
            long ns = _clock.ToNs(record.Ticks);
            if (_cursors[ring].TakeLost() is > 0 and long lost)
            {
                listener.Lose(ring, lost, ns);
            }
            listener.Add(ring, record, ns, _cursors[ring]);
        }
        SpeakIfDue(now, speakAt);
        TellPauses(now);
    }

    public void Dispose()
    {
        foreach (TraceCursor cursor in _cursors)
        {
            cursor.Dispose();
        }
        _cursors.Clear();
    }

    private void SpeakIfDue(long ticks, long speakAt)
    {
        if (listener.IsSilent && ticks >= speakAt)
        {
            listener.Speak(_clock.ToNs(ticks));
        }
    }

    /// <summary>The earliest event of all; its ticks are whole.</summary>
    private bool Next(long now, out int ring, out TraceRecord first)
    {
        ring = -1;
        first = default;
        for (int i = 0; i < _cursors.Count; i++)
        {
            if (!_cursors[i].TryPeek(out TraceRecord record))
            {
                continue;
            }
            record.Ticks = TraceCursor.Unwrap(record.Ticks, now);
            if (ring < 0 || record.Ticks < first.Ticks)
            {
                ring = i;
                first = record;
            }
        }
        return ring >= 0;
    }

    private void TellPauses(long now)
    {
        long count = Volatile.Read(ref Pauses.All->Count);
        long from = fromOldest ? Math.Max(0, count - Pauses.Kept) : _pauses;
        for (long number = from; number < count; number++)
        {
            if (Pauses.TryGet(number, out Pause pause) && pause.End <= now && pause.End >= Since)
            {
                listener.AddPause(
                    _clock.ToNs(pause.Begin), _clock.ToNs(pause.Stopped), _clock.ToNs(pause.End),
                    pause.Generation);
            }
        }
        _pauses = count;
    }
}
