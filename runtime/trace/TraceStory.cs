// Tells what the events mean: which goroutine runs where, what each does, who made whom runnable.
//
//   a track for each processor      slices: a goroutine's runs, by its function's name; instants: whom it
//                                   readied, looks at the network, steals
//   a track for each thread         slices: which processor it holds
//   a track for each goroutine      slices: running, runnable, in native code, or what it waits for; for the
//                                   first MostTracks of them. Its regions and logs have a track of their own
//   sysmon; collections             what sysmon does; pauses
//
// An arrow's number is the goroutine's: it begins where somebody makes it runnable, ends where it runs, and
// only then can there be the next one.
//
// Events come in the order of time, from all rings, but for one whose writer was stopped between looking at
// the clock and publishing it: what it changes here comes late then, its time is right.
//
// While IsSilent nothing is written: events that are older than what is wanted say who runs at its beginning.

namespace Weft.Runtime;

internal sealed class TraceStory : TraceListener
{
    /// <summary>Of goroutines with a track of their own.</summary>
    internal const int MostTracks = 2_000;

    private const ulong ProcessUuid = 1;
    private const ulong SysmonUuid = 2;
    private const ulong PauseUuid = 3;
    private const ulong OutsideUuid = 4;
    private const ulong FirstProcessor = 0x1000;
    private const ulong FirstThread = 0x1_0000_0000;
    private const ulong FirstGoroutine = 0x10_0000;
    private const int GoroutineRank = 10_000;

    private readonly PerfettoWriter _out;
    private readonly TraceSource _source;
    private readonly Dictionary<long, Life> _lives = [];
    private readonly Dictionary<nint, string> _functions = [];
    private readonly Dictionary<long, string> _named = [];
    private readonly HashSet<int> _threads = [];
    private readonly List<Lane> _lanes = [];
    private readonly int _process = Environment.ProcessId;
    private ulong _tracks;
    private int _thread; // Of the next text that no goroutine wrote.

    internal TraceStory(PerfettoWriter writer, TraceSource source)
    {
        _out = writer;
        _source = source;
        writer.ProcessTrack(
            ProcessUuid, _process, Path.GetFileName(Environment.ProcessPath) ?? "weft");
        writer.Track(PauseUuid, ProcessUuid, "collections", 1);
        writer.Track(SysmonUuid, ProcessUuid, "sysmon", 2);
        writer.Track(OutsideUuid, ProcessUuid, "no processor", 3);
    }

    /// <summary>Runs of goroutines on processors, and arrows, that were written whole.</summary>
    internal long Runs { get; private set; }

    internal long Arrows { get; private set; }

    /// <summary>What goroutines run whose beginning is in no ring.</summary>
    internal void Name(long id, string function)
    {
        _named[id] = function;
        if (_lives.TryGetValue(id, out Life? life) && life.Name == 0)
        {
            life.Name = _out.Name(function);
        }
    }

    internal override void Add(int ring, in TraceRecord record, long ns, TraceCursor cursor)
    {
        Lane lane = LaneOf(ring);
        switch (record.What)
        {
            case TraceEvent.Run:
                StopRunning(lane, (ParkReason)record.Reason, ns);
                Run(lane, record.Number, ns, cursor);
                break;

            case TraceEvent.Stop:
                StopRunning(lane, (ParkReason)record.Reason, ns);
                break;

            case TraceEvent.Ready:
                MakeReady(lane, record.Number, ns);
                break;

            case TraceEvent.Hold:
                Hold(lane, (int)(record.Number >> 24), ns);
                break;

            case TraceEvent.Taken:
                Take(lane, ns);
                break;

            case TraceEvent.Release:
                StopRunning(lane, ParkReason.None, ns);
                Release(lane, ns);
                break;

            case TraceEvent.NativeEnd:
                Become(LifeOf(record.Number), "runnable", ns);
                break;

            case TraceEvent.Poll:
                Happens(lane, "network poll", "found", record.Number, ns);
                break;

            case TraceEvent.Steal:
                Happens(lane, "steal", "from P", record.Number, ns);
                break;

            case TraceEvent.AskedToStop:
                OnSysmon("asks to stop", "P", record.Number, ns);
                break;

            case TraceEvent.CollectForStacks:
                OnSysmon("collects for stacks", "", 0, ns);
                break;

            case TraceEvent.OnThread:
                _thread = (int)record.Number;
                break;

            case TraceEvent.RegionBegin or TraceEvent.RegionEnd or TraceEvent.Log:
                Tell(record, ns, cursor.SkipText(record.Reason));
                return;
        }
        cursor.Skip();
    }

    /// <summary>Who runs there is not known.</summary>
    internal override void Lose(int ring, long count, long ns)
    {
        Lane lane = LaneOf(ring);
        StopRunning(lane, ParkReason.None, ns);
        Happens(lane, "events lost", "count", count, ns);
    }

    internal override void AddPause(long begin, long stopped, long end, long generation)
    {
        if (IsSilent)
        {
            return;
        }
        string name = generation < 0 ? "background pause" : $"collection of generation {generation}";
        _out.Begin(PauseUuid, begin, _out.Name(name));
        _out.Begin(PauseUuid, begin, _out.Name("stopping"));
        _out.End(PauseUuid, stopped);
        _out.End(PauseUuid, end);
    }

    /// <summary>What has begun begins here.</summary>
    internal override void Speak(long ns)
    {
        IsSilent = false;
        foreach (Lane lane in _lanes)
        {
            if (lane.Thread != 0)
            {
                BeginHold(lane, ns);
            }
            if (lane.Runs != null)
            {
                BeginRun(lane, lane.Runs, ns, arrow: 0);
            }
        }
        foreach (Life life in _lives.Values)
        {
            life.HasArrow = false; // Its beginning is not there.
            if (life.State.Length > 0)
            {
                string state = life.State;
                life.State = "";
                Become(life, state, ns);
            }
        }
    }

    /// <summary>Ends what has not ended, with these figures of the source.</summary>
    internal void End(long ns, (string Name, long Value)[] ofSource)
    {
        foreach (Lane lane in _lanes)
        {
            StopRunning(lane, ParkReason.None, ns, goesOn: true);
            Release(lane, ns);
        }
        foreach (Life life in _lives.Values)
        {
            Close(life, ns);
        }
        (string Name, long Value)[] figures = [("slices", Runs), ("arrows", Arrows), .. ofSource];
        _out.Instant(ProcessUuid, ns, _out.Name("end of the trace"), Array.ConvertAll(
            figures, figure => (_out.Annotation(figure.Name), figure.Value)));
    }

    private void Run(Lane lane, long id, long ns, TraceCursor cursor)
    {
        Life life = LifeOf(id);
        for (int ahead = 1; life.Name == 0 || ahead > 1; ahead++)
        {
            // The innermost of those that it called one right after the other.
            if (!cursor.TryPeek(ahead, out TraceRecord next) || next.What != TraceEvent.Function)
            {
                break;
            }
            life.Name = _out.Name(FunctionAt((nint)next.Number));
        }
        if (life.Name == 0)
        {
            life.Name = _out.Name(_named.GetValueOrDefault(id, "goroutine"));
        }
        lane.Runs = life;
        bool hasArrow = life.HasArrow;
        life.HasArrow = false;
        BeginRun(lane, life, ns, hasArrow ? (ulong)id : 0);
        Become(life, "running", ns);
    }

    private void BeginRun(Lane lane, Life life, long ns, ulong arrow)
    {
        if (!IsSilent)
        {
            Runs++;
            Arrows += arrow != 0 ? 1 : 0;
            _out.Begin(lane.Track, ns, life.Name, arrow, _out.Annotation("goroutine"), life.Id);
        }
    }

    private void StopRunning(Lane lane, ParkReason reason, long ns, bool goesOn = false)
    {
        Life? life = lane.Runs;
        if (life == null)
        {
            return;
        }
        lane.Runs = null;
        if (!IsSilent)
        {
            _out.End(lane.Track, ns);
        }
        if (reason == ParkReason.Exit)
        {
            Close(life, ns);
            _lives.Remove(life.Id);
            _named.Remove(life.Id);
        }
        else if (!goesOn)
        {
            Become(life, StateAfter(reason), ns);
        }
    }

    private string StateAfter(ParkReason reason) => reason switch
    {
        ParkReason.None => "", // Not known.
        ParkReason.Yield or ParkReason.Preempted or ParkReason.NativeReturn => "runnable",
        ParkReason.SystemStack => "on the system stack",
        _ => _source.Describe(reason),
    };

    private void MakeReady(Lane lane, long id, long ns)
    {
        Life life = LifeOf(id);
        Become(life, "runnable", ns);
        if (life.HasArrow || IsSilent)
        {
            return; // Where there is an arrow its run was lost, and that one is on its way still.
        }
        life.HasArrow = true;
        _out.Instant(
            lane.Track, ns, _out.Name("ready"), (ulong)id, _out.Annotation("goroutine"), id);
    }

    private void Take(Lane lane, long ns)
    {
        Life? life = lane.Runs;
        StopRunning(lane, ParkReason.None, ns, goesOn: true);
        if (life != null)
        {
            Become(life, "in native code", ns);
        }
        OnSysmon("takes from native code", "P", lane.Number, ns);
    }

    private void Hold(Lane lane, int thread, long ns)
    {
        Release(lane, ns);
        lane.Thread = thread;
        BeginHold(lane, ns);
    }

    private void BeginHold(Lane lane, long ns)
    {
        if (!IsSilent)
        {
            _out.Begin(ThreadTrack(lane.Thread), ns, _out.Name($"P{lane.Number}"));
        }
    }

    private void Release(Lane lane, long ns)
    {
        if (lane.Thread != 0 && !IsSilent)
        {
            _out.End(ThreadTrack(lane.Thread), ns);
        }
        lane.Thread = 0;
    }

    private void Happens(Lane lane, string name, string what, long value, long ns)
    {
        if (!IsSilent)
        {
            _out.Instant(lane.Track, ns, _out.Name(name), 0, _out.Annotation(what), value);
        }
    }

    private void OnSysmon(string name, string what, long value, long ns)
    {
        if (!IsSilent)
        {
            _out.Instant(
                SysmonUuid, ns, _out.Name(name), 0, what.Length > 0 ? _out.Annotation(what) : 0, value);
        }
    }

    /// <summary>A region or a line of the program's.</summary>
    private void Tell(in TraceRecord record, long ns, string text)
    {
        if (IsSilent)
        {
            return;
        }
        ulong track;
        if (record.Number == 0)
        {
            track = ThreadTrack(_thread);
        }
        else
        {
            Life life = LifeOf(record.Number);
            if (life.Regions == 0)
            {
                life.Regions = NewTrack(life, ": regions");
            }
            track = life.Regions;
            life.Depth += record.What == TraceEvent.RegionBegin ? 1 : 0;
            if (record.What == TraceEvent.RegionEnd && --life.Depth < 0)
            {
                life.Depth = 0; // It began before the trace.
                return;
            }
        }
        if (record.What == TraceEvent.RegionEnd)
        {
            _out.End(track, ns);
        }
        else
        {
            _out.Text(track, ns, text, begins: record.What == TraceEvent.RegionBegin);
        }
    }

    /// <summary>Changes the slice on the goroutine's own track.</summary>
    private void Become(Life life, string state, long ns)
    {
        if (life.State == state)
        {
            return;
        }
        if (IsSilent)
        {
            life.State = state;
            return;
        }
        if (life.Track == 0 && _tracks < 2 * MostTracks)
        {
            life.Track = NewTrack(life, "");
        }
        if (life.Track != 0)
        {
            if (life.State.Length > 0)
            {
                _out.End(life.Track, ns);
            }
            if (state.Length > 0)
            {
                _out.Begin(life.Track, ns, _out.Name(state));
            }
        }
        life.State = state;
    }

    private ulong NewTrack(Life life, string what)
    {
        ulong track = FirstGoroutine + _tracks++;
        _out.Track(
            track, ProcessUuid, $"goroutine {life.Id}{what}",
            GoroutineRank + (int)Math.Min(life.Id, int.MaxValue - GoroutineRank));
        return track;
    }

    private void Close(Life life, long ns)
    {
        Become(life, "", ns);
        for (; life.Depth > 0 && !IsSilent; life.Depth--)
        {
            _out.End(life.Regions, ns);
        }
    }

    private ulong ThreadTrack(int thread)
    {
        ulong track = FirstThread + (uint)thread;
        if (_threads.Add(thread))
        {
            _out.ThreadTrack(track, _process, thread, $"thread {thread}");
        }
        return track;
    }

    private string FunctionAt(nint code)
    {
        if (!_functions.TryGetValue(code, out string? name))
        {
            name = _source.NameOf(code);
            _functions.Add(code, name);
        }
        return name;
    }

    private Life LifeOf(long id)
    {
        if (!_lives.TryGetValue(id, out Life? life))
        {
            life = new Life(id);
            if (_named.TryGetValue(id, out string? name))
            {
                life.Name = _out.Name(name);
            }
            _lives.Add(id, life);
        }
        return life;
    }

    private Lane LaneOf(int ring)
    {
        while (_lanes.Count <= ring)
        {
            int number = _lanes.Count - 1;
            Lane lane = new(number, number < 0 ? OutsideUuid : FirstProcessor + (uint)number);
            if (number >= 0)
            {
                _out.Track(lane.Track, ProcessUuid, $"P{number}", GoroutineRank / 2 + number);
            }
            _lanes.Add(lane);
        }
        return _lanes[ring];
    }

    /// <summary>A goroutine, while it lives.</summary>
    private sealed class Life(long id)
    {
        internal long Id { get; } = id;
        internal ulong Name { get; set; }
        internal ulong Track { get; set; }
        internal ulong Regions { get; set; }
        internal int Depth { get; set; }
        internal bool HasArrow { get; set; }

        /// <summary>Empty while it is not known.</summary>
        internal string State { get; set; } = "";
    }

    /// <summary>A ring, and what it belongs to.</summary>
    private sealed class Lane(int number, ulong track)
    {
        internal int Number { get; } = number;
        internal ulong Track { get; } = track;
        internal Life? Runs { get; set; }
        internal int Thread { get; set; }
    }
}
