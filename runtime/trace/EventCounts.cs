// What metrics need of the scheduler's events: how long goroutines wait in a queue before they run, and what
// they wait for. Read by a thread of its own, ten times a second.
//
// Rejected: times in control blocks, and counts in Park: each costs every switch of every program.
// Locks: none; the counts are read as they are.

namespace Weft.Runtime;

internal sealed class EventCounts : TraceListener, IDisposable
{
    private const int PeriodMs = 100;
    private const int CursorSlots = 16 * 1024;

    private readonly TraceSource _source;
    private readonly Action<double> _latency;
    private readonly TraceReading _reading;
    private readonly Dictionary<long, long> _ready = [];
    private readonly long[] _stops = new long[byte.MaxValue + 1];
    private readonly ManualResetEventSlim _end = new();
    private readonly Thread _thread;
    private long _lost;

    /// <summary>Begins. The function is told each goroutine's seconds in a queue, on the thread of this.
    /// </summary>
    /// <exception cref="InsufficientMemoryException">No memory for the events.</exception>
    internal EventCounts(TraceSource source, Action<double> latency)
    {
        _source = source;
        _latency = latency;
        TraceUse.Begin(source);
        _reading = new TraceReading(source, this, CursorSlots, fromOldest: false);
        _reading.Open();
        _thread = new Thread(Read) { IsBackground = true, Name = "weft metrics" };
        _thread.Start();
    }

    /// <summary>How often a goroutine has stopped for that reason.</summary>
    internal long Stops(ParkReason reason) => Volatile.Read(ref _stops[(int)reason]);

    /// <summary>Slots of events that were overwritten before they were read.</summary>
    internal long Lost => Volatile.Read(ref _lost);

    internal override void Add(int ring, in TraceRecord record, long ns, TraceCursor cursor)
    {
        cursor.Skip();
        switch (record.What)
        {
            case TraceEvent.Ready:
                _ready[record.Number] = ns;
                break;

            case TraceEvent.Run:
                _stops[record.Reason]++;
                if (_ready.Remove(record.Number, out long since))
                {
                    _latency(Math.Max(0, ns - since) * 1e-9);
                }
                break;

            case TraceEvent.Stop:
                _stops[record.Reason]++;
                break;
        }
    }

    internal override void Lose(int ring, long count, long ns)
    {
        _lost += count;
        _ready.Clear(); // The run of some may be among them.
    }

    public void Dispose()
    {
        TraceUse.End(_source);
        _end.Set();
        _thread.Join();
        _end.Dispose();
        _reading.Dispose();
    }

    private void Read()
    {
        bool isLast;
        do
        {
            isLast = _end.Wait(PeriodMs);
            _reading.Tell(isLast);
        }
        while (!isLast);
    }
}
