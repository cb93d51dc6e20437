// Perfetto's traces: a file is a sequence of packets, and a packet says that a slice begins or ends on a
// track, or that something happens there. The numbers are those of protos/perfetto/trace/ in
// github.com/google/perfetto (trace_packet.proto, track_event/track_event.proto,
// track_event/track_descriptor.proto). ui.perfetto.dev and trace_processor open it.
//
// All packets are one sequence, with names written once (interned). Times are the monotonic clock's. A file
// that ends in the middle is whole up to its last packet.

namespace Weft.Runtime;

internal sealed class PerfettoWriter
{
    private const int Sequence = 1;

    // Of Trace and TracePacket.
    private const int PacketField = 1;
    private const int TimestampField = 8;
    private const int SequenceField = 10;
    private const int TrackEventField = 11;
    private const int InternedField = 12;
    private const int FlagsField = 13;
    private const int TrackField = 60;
    private const int StateCleared = 1;
    private const int NeedsState = 2;

    // Of TrackEvent.
    private const int AnnotationField = 4;
    private const int TypeField = 9;
    private const int NameField = 10;
    private const int OnTrackField = 11;
    private const int NameTextField = 23;
    private const int FlowField = 47;
    private const int FlowEndField = 48;
    private const int TypeBegin = 1;
    private const int TypeEnd = 2;
    private const int TypeInstant = 3;

    // Of InternedData, EventName, DebugAnnotation.
    private const int EventNamesField = 2;
    private const int AnnotationNamesField = 3;
    private const int IidField = 1;
    private const int InternedNameField = 2;
    private const int AnnotationNameField = 1;
    private const int AnnotationIntField = 4;

    private readonly ProtobufWriter _out = new();
    private readonly Dictionary<string, ulong> _names = [];
    private readonly Dictionary<string, ulong> _annotations = [];

    internal PerfettoWriter()
    {
        int packet = _out.Begin(PacketField);
        _out.Varint(SequenceField, Sequence);
        _out.Varint(FlagsField, StateCleared);
        _out.End(packet);
    }

    /// <summary>What has been written since the last Clear.</summary>
    internal ReadOnlySpan<byte> Written => _out.Written;

    internal void Clear() => _out.Clear();

    /// <summary>The number of a name, which is written when it is new.</summary>
    internal ulong Name(string name) => Intern(_names, EventNamesField, name);

    /// <summary>The same of what a number beside an event means.</summary>
    internal ulong Annotation(string name) => Intern(_annotations, AnnotationNamesField, name);

    /// <summary>The process, which other tracks have as their parent.</summary>
    internal void ProcessTrack(ulong uuid, int process, string name)
    {
        const int processField = 3, pid = 1, processName = 6, childOrdering = 11;
        const int explicitly = 3;
        int packet = BeginTrack(uuid, out int track);
        int descriptor = _out.Begin(processField);
        _out.Varint(pid, process);
        _out.Text(processName, name);
        _out.End(descriptor);
        _out.Varint(childOrdering, explicitly);
        EndTrack(packet, track);
    }

    internal void ThreadTrack(ulong uuid, int process, int thread, string name)
    {
        const int threadField = 4, pid = 1, tid = 2, threadName = 5;
        int packet = BeginTrack(uuid, out int track);
        int descriptor = _out.Begin(threadField);
        _out.Varint(pid, process);
        _out.Varint(tid, thread);
        _out.Text(threadName, name);
        _out.End(descriptor);
        EndTrack(packet, track);
    }

    /// <summary>Any other track; in order of rank below its parent.</summary>
    internal void Track(ulong uuid, ulong parent, string name, int rank)
    {
        const int nameField = 2, parentField = 5, rankField = 12;
        int packet = BeginTrack(uuid, out int track);
        _out.Text(nameField, name);
        _out.Varint(parentField, parent);
        _out.Varint(rankField, rank);
        EndTrack(packet, track);
    }

    /// <summary>A slice begins. An arrow of that number, not 0, ends there; and a number beside it.</summary>
    internal void Begin(
        ulong track, long ns, ulong name, ulong arrow = 0, ulong annotation = 0, long value = 0) =>
        Event(TypeBegin, FlowEndField, track, ns, name, arrow, annotation, value);

    internal void End(ulong track, long ns) => EndEvent(BeginEvent(track, ns, TypeEnd, out int at), at);

    /// <summary>Something happens. An arrow of that number, not 0, begins there.</summary>
    internal void Instant(
        ulong track, long ns, ulong name, ulong arrow = 0, ulong annotation = 0, long value = 0) =>
        Event(TypeInstant, FlowField, track, ns, name, arrow, annotation, value);

    /// <summary>A slice begins, or something happens, with a text that is not used again.</summary>
    internal void Text(ulong track, long ns, string text, bool begins)
    {
        int packet = BeginEvent(track, ns, begins ? TypeBegin : TypeInstant, out int at);
        _out.Text(NameTextField, text);
        EndEvent(packet, at);
    }

    /// <summary>Something happens, with several numbers.</summary>
    internal void Instant(
        ulong track, long ns, ulong name, ReadOnlySpan<(ulong Annotation, long Value)> values)
    {
        int packet = BeginEvent(track, ns, TypeInstant, out int at);
        _out.Varint(NameField, name);
        foreach ((ulong annotation, long value) in values)
        {
            Annotate(annotation, value);
        }
        EndEvent(packet, at);
    }

    private void Event(
        int type, int flow, ulong track, long ns, ulong name, ulong arrow, ulong annotation, long value)
    {
        int packet = BeginEvent(track, ns, type, out int at);
        _out.Varint(NameField, name);
        if (arrow != 0)
        {
            _out.Fixed64(flow, arrow);
        }
        Annotate(annotation, value);
        EndEvent(packet, at);
    }

    private void Annotate(ulong annotation, long value)
    {
        if (annotation != 0)
        {
            int at = _out.Begin(AnnotationField);
            _out.Varint(AnnotationNameField, annotation);
            _out.Varint(AnnotationIntField, value);
            _out.End(at);
        }
    }

    private int BeginEvent(ulong track, long ns, int type, out int at)
    {
        int packet = _out.Begin(PacketField);
        _out.Varint(TimestampField, ns);
        _out.Varint(SequenceField, Sequence);
        _out.Varint(FlagsField, NeedsState);
        at = _out.Begin(TrackEventField);
        _out.Varint(TypeField, type);
        _out.Varint(OnTrackField, track);
        return packet;
    }

    private void EndEvent(int packet, int at)
    {
        _out.End(at);
        _out.End(packet);
    }

    private int BeginTrack(ulong uuid, out int track)
    {
        const int uuidField = 1;
        int packet = _out.Begin(PacketField);
        _out.Varint(SequenceField, Sequence);
        track = _out.Begin(TrackField);
        _out.Varint(uuidField, uuid);
        return packet;
    }

    private void EndTrack(int packet, int track)
    {
        _out.End(track);
        _out.End(packet);
    }

    private ulong Intern(Dictionary<string, ulong> table, int field, string name)
    {
        if (table.TryGetValue(name, out ulong number))
        {
            return number;
        }
        number = (ulong)table.Count + 1;
        table.Add(name, number);
        int packet = _out.Begin(PacketField);
        _out.Varint(SequenceField, Sequence);
        _out.Varint(FlagsField, NeedsState);
        int interned = _out.Begin(InternedField);
        int entry = _out.Begin(field);
        _out.Varint(IidField, number);
        _out.Text(InternedNameField, name);
        _out.End(entry);
        _out.End(interned);
        _out.End(packet);
        return number;
    }
}
