// A trace that is written to a stream as it goes on, by a thread of its own. One at a time.
// Locks: s_lock, for begin and end.

namespace Weft.Runtime;

internal sealed class TraceSession : IDisposable
{
    private const int PeriodMs = 10;
    private const int CursorSlots = 16 * 1024;

    private static readonly Lock s_lock = new();
    private static TraceSession? s_current;

    private readonly TraceSource _source;
    private readonly Stream _stream;
    private readonly PerfettoWriter _writer = new();
    private readonly TraceStory _story;
    private readonly TraceReading _reading;
    private readonly ManualResetEventSlim _end = new();
    private readonly Thread _thread;
    private Exception? _failure;
    private (string Name, long Value)[] _figures = []; // As of the end: the scheduler goes on.

    private TraceSession(TraceSource source, Stream stream, bool fromStart)
    {
        _source = source;
        _stream = stream;
        _story = new TraceStory(_writer, source);
        _reading = new TraceReading(source, _story, CursorSlots, fromOldest: fromStart);
        _thread = new Thread(Write) { IsBackground = true, Name = "weft trace" };
    }

    internal static bool IsOn => Volatile.Read(ref s_current) != null;

    /// <summary>Begins; the stream stays the caller's. From the start: before a goroutine has run.</summary>
    /// <exception cref="InvalidOperationException">There is one.</exception>
    internal static void Start(TraceSource source, Stream stream, bool fromStart)
    {
        lock (s_lock)
        {
            if (s_current != null)
            {
                throw new InvalidOperationException(
                    "A trace is being written already: Go.StopTrace ends it.");
            }
            TraceUse.Begin(source);
            TraceSession session = new(source, stream, fromStart);
            session._reading.Open(); // From here on.
            if (!fromStart)
            {
                source.NameAll(session._story.Name);
            }
            s_current = session;
            session._thread.Start();
        }
    }

    /// <summary>Ends it, when all has been written; false if there is none. Throws what the stream
    /// threw.</summary>
    internal static bool Stop()
    {
        lock (s_lock)
        {
            TraceSession? session = s_current;
            if (session == null)
            {
                return false;
            }
            TraceUse.End(session._source);
            session._figures = session._source.Figures();
            session._end.Set();
            session._thread.Join();
            s_current = null;
            session.Dispose();
            if (session._failure != null)
            {
                throw new IOException("The trace could not be written.", session._failure);
            }
            return true;
        }
    }

    /// <summary>Its thread has ended.</summary>
    public void Dispose()
    {
        _reading.Dispose();
        _end.Dispose();
    }

    private void Write()
    {
        try
        {
            bool isLast;
            do
            {
                isLast = _end.Wait(PeriodMs);
                _reading.Tell(isLast);
                if (isLast)
                {
                    _story.End(_reading.Times.ToNs(Ticks.Now()), _figures);
                }
                _stream.Write(_writer.Written);
                _writer.Clear();
            }
            while (!isLast);
            _stream.Flush();
        }
        catch (Exception e)
        {
            _failure = e;
        }
    }
}
