// Reads a trace in Perfetto's format, as much of it as Weft writes, independently of what wrote it: decodes the
// packets, sorts the events by time, and replays them as trace_processor does. What does not fit is a fault: a
// slice that ends and has not begun, or has not ended; an arrow without a beginning or an end; a name, a track
// or a packet that is not there.

using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Weft.Tests;

/// <summary>A track, and which one it lies below.</summary>
internal sealed record PerfettoTrack(ulong Id, string Name, ulong Parent, int Thread);

/// <summary>A slice, or an instant, which has no length. From: where an arrow that ends here began.</summary>
internal sealed record PerfettoSlice(
    PerfettoTrack Track, string Name, long Begin, int Depth, Dictionary<string, long> Values)
{
    public long End { get; set; } = -1;

    public PerfettoSlice? Outer { get; init; }

    public PerfettoSlice? From { get; init; }

    public bool IsInstant { get; init; }
}

internal sealed class PerfettoFile
{
    private readonly Dictionary<ulong, string> _names = [];
    private readonly Dictionary<ulong, string> _annotations = [];
    private readonly Dictionary<ulong, PerfettoTrack> _tracks = [];
    private readonly List<Event> _events = [];
    private readonly List<string> _faults = [];
    private readonly List<PerfettoSlice> _slices = [];

    internal PerfettoFile(byte[] bytes)
    {
        foreach (Field packet in Fields(bytes))
        {
            Expect(packet.Number == 1, "a field of the file that is no packet");
            ReadPacket(packet.Bytes);
        }
        Replay();
    }

    internal IReadOnlyCollection<PerfettoTrack> Tracks => _tracks.Values;

    internal IReadOnlyList<PerfettoSlice> All => _slices;

    internal IReadOnlyList<string> Faults => _faults;

    internal int Arrows { get; private set; }

    internal IEnumerable<PerfettoSlice> Slices => _slices.Where(slice => !slice.IsInstant);

    internal IEnumerable<PerfettoSlice> Instants => _slices.Where(slice => slice.IsInstant);

    /// <summary>Runs of goroutines: what lies on the tracks of processors.</summary>
    internal IEnumerable<PerfettoSlice> Runs => Slices.Where(slice => IsProcessor(slice.Track));

    /// <summary>The figures that the end of the trace gives.</summary>
    internal Dictionary<string, long> Figures => Instants.Single(i => i.Name == "end of the trace").Values;

    internal static bool IsProcessor(PerfettoTrack track) =>
        track.Name.Length > 1 && track.Name[0] == 'P' && track.Name[1..].All(char.IsAsciiDigit);

    /// <summary>On the track of a goroutine, not that of its regions.</summary>
    internal IEnumerable<PerfettoSlice> StatesOf(long goroutine) =>
        Slices.Where(slice => slice.Track.Name == $"goroutine {goroutine}");

    /// <summary>What is in a file: for a person.</summary>
    internal static int Print(string[] args)
    {
        PerfettoFile file = new(File.ReadAllBytes(args[0]));
        Console.WriteLine($"tracks: {file.Tracks.Count}, of threads {file.Tracks.Count(t => t.Thread != 0)}");
        Console.WriteLine($"slices on processors: {file.Runs.Count()}");
        Console.WriteLine($"arrows: {file.Arrows}");
        foreach (var group in file.All.GroupBy(slice => (slice.IsInstant, slice.Name))
            .OrderByDescending(group => group.Count()).Take(25))
        {
            string what = group.Key.IsInstant ? "instants" : "slices";
            long ns = group.Sum(slice => slice.End - slice.Begin);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"  {group.Count(),9} {what} {ns / 1e6,10:0.0} ms  {group.Key.Name}"));
        }
        foreach ((string name, long value) in file.Figures)
        {
            Console.WriteLine($"at the end: {name} = {value}");
        }
        foreach (string fault in file.Faults.Take(10))
        {
            Console.WriteLine("fault: " + fault);
        }
        Console.WriteLine($"{file.Faults.Count} faults");
        return file.Faults.Count == 0 ? 0 : 1;
    }

    private void ReadPacket(byte[] bytes)
    {
        long time = -1;
        byte[]? happened = null;
        foreach (Field field in Fields(bytes))
        {
            switch (field.Number)
            {
                case 8:
                    time = (long)field.Value;
                    break;
                case 11:
                    happened = field.Bytes;
                    break;
                case 12:
                    ReadNames(field.Bytes);
                    break;
                case 60:
                    ReadTrack(field.Bytes);
                    break;
                case 10:
                    Expect(field.Value == 1, "another sequence");
                    break;
                case 13:
                    break;
                default:
                    _faults.Add($"field {field.Number} of a packet");
                    break;
            }
        }
        if (happened is not null)
        {
            Expect(time >= 0, "an event without a time");
            ReadEvent(happened, time);
        }
    }

    private void ReadNames(byte[] bytes)
    {
        foreach (Field table in Fields(bytes))
        {
            Dictionary<ulong, string> names = table.Number == 2 ? _names : _annotations;
            Expect(table.Number is 2 or 3, "another table of names");
            List<Field> entry = [.. Fields(table.Bytes)];
            names.Add(entry.Single(f => f.Number == 1).Value, entry.Single(f => f.Number == 2).Text);
        }
    }

    private void ReadTrack(byte[] bytes)
    {
        List<Field> fields = [.. Fields(bytes)];
        ulong id = fields.Single(f => f.Number == 1).Value;
        string name = fields.Find(f => f.Number == 2)?.Text ?? "";
        int thread = 0;
        if (fields.Find(f => f.Number == 4) is { } descriptor)
        {
            List<Field> inner = [.. Fields(descriptor.Bytes)];
            thread = (int)inner.Single(f => f.Number == 2).Value;
            name = inner.Single(f => f.Number == 5).Text;
        }
        ulong parent = fields.Find(f => f.Number == 5)?.Value ?? 0;
        Expect(parent == 0 || _tracks.ContainsKey(parent), $"track {name} below one that is not there");
        Expect(_tracks.TryAdd(id, new PerfettoTrack(id, name, parent, thread)), $"track {name} twice");
    }

    private void ReadEvent(byte[] bytes, long time)
    {
        Event e = new() { Time = time };
        foreach (Field field in Fields(bytes))
        {
            switch (field.Number)
            {
                case 9:
                    e.Type = (int)field.Value;
                    break;
                case 10:
                    Expect(_names.TryGetValue(field.Value, out string? name), "a name that is not there");
                    e.Name = name ?? "?";
                    break;
                case 11:
                    Expect(_tracks.TryGetValue(field.Value, out PerfettoTrack? track), "no such track");
                    e.Track = track;
                    break;
                case 23:
                    e.Name = field.Text;
                    break;
                case 47:
                    e.Arrow = field.Value;
                    break;
                case 48:
                    e.ArrowEnd = field.Value;
                    break;
                case 4:
                    List<Field> value = [.. Fields(field.Bytes)];
                    e.Values[_annotations[value.Single(f => f.Number == 1).Value]] =
                        (long)value.Single(f => f.Number == 4).Value;
                    break;
                default:
                    _faults.Add($"field {field.Number} of an event");
                    break;
            }
        }
        Expect(e.Track is not null, "an event on no track");
        _events.Add(e);
    }

    private void Replay()
    {
        Dictionary<PerfettoTrack, Stack<PerfettoSlice>> open = [];
        Dictionary<ulong, PerfettoSlice> arrows = [];
        foreach (Event e in _events.OrderBy(e => e.Time))
        {
            if (!open.TryGetValue(e.Track!, out Stack<PerfettoSlice>? stack))
            {
                open.Add(e.Track!, stack = []);
            }
            if (e.Type == 2)
            {
                if (stack.TryPop(out PerfettoSlice? ended))
                {
                    ended.End = e.Time;
                }
                else
                {
                    _faults.Add($"at {e.Time}: an end on {e.Track!.Name}, where nothing has begun");
                }
                continue;
            }
            PerfettoSlice? from = null;
            if (e.ArrowEnd != 0)
            {
                Expect(arrows.Remove(e.ArrowEnd, out from), $"at {e.Time}: arrow {e.ArrowEnd} has no beginning");
                Arrows++;
            }
            PerfettoSlice slice = new(e.Track!, e.Name, e.Time, stack.Count, e.Values)
            {
                From = from,
                IsInstant = e.Type == 3,
                Outer = stack.Count > 0 ? stack.Peek() : null,
            };
            _slices.Add(slice);
            if (e.Arrow != 0)
            {
                Expect(arrows.TryAdd(e.Arrow, slice), $"at {e.Time}: arrow {e.Arrow} begins twice");
            }
            if (e.Type == 1)
            {
                stack.Push(slice);
            }
            else
            {
                slice.End = e.Time;
            }
        }
        foreach ((PerfettoTrack track, Stack<PerfettoSlice> stack) in open)
        {
            Expect(stack.Count == 0, $"{stack.Count} slices on {track.Name} do not end");
        }
        OpenArrows = arrows.Count;
    }

    /// <summary>Of goroutines that were runnable at the end.</summary>
    internal int OpenArrows { get; private set; }

    private void Expect(bool condition, string fault)
    {
        if (!condition)
        {
            _faults.Add(fault);
        }
    }

    private static IEnumerable<Field> Fields(byte[] bytes) => Protobuf.Fields(bytes);

    private sealed class Event
    {
        public long Time { get; init; }
        public int Type { get; set; }
        public string Name { get; set; } = "";
        public PerfettoTrack? Track { get; set; }
        public ulong Arrow { get; set; }
        public ulong ArrowEnd { get; set; }
        public Dictionary<string, long> Values { get; } = [];
    }
}

/// <summary>A field of a message of Protocol Buffers: a number, or bytes.</summary>
internal sealed record Field(int Number, ulong Value, byte[] Bytes)
{
    public string Text => Encoding.UTF8.GetString(Bytes);
}

internal static class Protobuf
{
    /// <summary>The fields of a message, in order.</summary>
    internal static IEnumerable<Field> Fields(byte[] bytes)
    {
        for (int at = 0; at < bytes.Length;)
        {
            ulong tag = Varint(bytes, ref at);
            int number = (int)(tag >> 3);
            switch (tag & 7)
            {
                case 0:
                    yield return new Field(number, Varint(bytes, ref at), []);
                    break;
                case 1:
                    yield return new Field(number, BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at)), []);
                    at += 8;
                    break;
                case 2:
                    int length = (int)Varint(bytes, ref at);
                    yield return new Field(number, 0, bytes[at..(at + length)]);
                    at += length;
                    break;
                default:
                    throw new InvalidDataException($"field {number} has type {tag & 7}, at {at}");
            }
        }
    }

    internal static ulong Varint(byte[] bytes, ref int at)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte b = bytes[at++];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80)
            {
                return value;
            }
        }
    }
}
