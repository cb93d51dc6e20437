// A profile in pprof's format (profile.proto of github.com/google/pprof, compressed by gzip): samples, each a
// stack with some numbers, and the names that the stacks' addresses stand for. `go tool pprof`, speedscope
// and others open it.
//
// Addresses are looked up when a profile is written, each once. Weft's own inner functions are left out, as
// in Go.Dump; so they are no part of a stack.

using System.IO.Compression;

namespace Weft.Runtime;

/// <summary>What a number of each sample means.</summary>
internal readonly record struct ProfileUnit(string Type, string Scale);

internal sealed class ProfileWriter
{
    // Of Profile, and of the messages in it.
    private const int SampleTypeField = 1, SampleField = 2, MappingField = 3, LocationField = 4;
    private const int FunctionField = 5, TextField = 6, TimeField = 9, DurationField = 10;
    private const int PeriodTypeField = 11, PeriodField = 12;
    private const int IdField = 1;

    private readonly ProtobufWriter _out = new();
    private readonly Func<nint, string?> _nameOf;
    private readonly Dictionary<string, ulong> _texts = new() { [""] = 0 };
    private readonly Dictionary<nint, ulong> _locations = [];
    private readonly Dictionary<string, ulong> _functions = [];
    private readonly List<ulong> _stack = [];

    /// <summary>The function gives the name for an instruction's address, or null for one that is not
    /// shown.</summary>
    internal ProfileWriter(Func<nint, string?> nameOf, params ProfileUnit[] units)
    {
        _nameOf = nameOf;
        foreach (ProfileUnit unit in units)
        {
            WriteUnit(SampleTypeField, unit);
        }
    }

    /// <summary>A stack, innermost first, of instructions' addresses, and what was counted there. A
    /// label, if it has a key.</summary>
    internal void Sample(
        ReadOnlySpan<nint> stack, ReadOnlySpan<long> values, string key = "", string label = "")
    {
        const int locations = 1, numbers = 2, labels = 3, labelKey = 1, labelText = 2;
        _stack.Clear();
        foreach (nint address in stack)
        {
            ulong location = LocationOf(address);
            if (location != 0)
            {
                _stack.Add(location);
            }
        }
        ulong keyText = Text(key);
        ulong text = Text(label);
        int sample = _out.Begin(SampleField);
        _out.Packed(locations, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_stack));
        _out.Packed(numbers, values);
        if (keyText != 0)
        {
            int entry = _out.Begin(labels);
            _out.Varint(labelKey, keyText);
            _out.Varint(labelText, text);
            _out.End(entry);
        }
        _out.End(sample);
    }

    /// <summary>Writes all of it. The period is what one sample stands for, if there is one.</summary>
    internal void WriteTo(Stream stream, ProfileUnit period, long length, long durationNs = 0)
    {
        WriteMapping();
        WriteUnit(PeriodTypeField, period);
        _out.Varint(PeriodField, length);
        _out.Varint(TimeField, (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick);
        if (durationNs > 0)
        {
            _out.Varint(DurationField, durationNs);
        }
        string[] texts = new string[_texts.Count];
        foreach ((string text, ulong number) in _texts)
        {
            texts[number] = text;
        }
        foreach (string text in texts)
        {
            _out.Text(TextField, text);
        }
        using GZipStream zip = new(stream, CompressionLevel.Fastest, leaveOpen: true);
        zip.Write(_out.Written);
    }

    /// <summary>One, for the program: it says that there are names already.</summary>
    private void WriteMapping()
    {
        const int file = 5, hasFunctions = 7;
        ulong name = Text(Environment.ProcessPath ?? "");
        int mapping = _out.Begin(MappingField);
        _out.Varint(IdField, 1);
        _out.Varint(file, name);
        _out.Varint(hasFunctions, 1);
        _out.End(mapping);
    }

    private void WriteUnit(int field, ProfileUnit unit)
    {
        const int type = 1, unitField = 2;
        ulong typeText = Text(unit.Type);
        ulong unitText = Text(unit.Scale);
        int at = _out.Begin(field);
        _out.Varint(type, typeText);
        _out.Varint(unitField, unitText);
        _out.End(at);
    }

    private ulong LocationOf(nint address)
    {
        const int mapping = 2, addressField = 3, line = 4, lineFunction = 1;
        if (_locations.TryGetValue(address, out ulong location))
        {
            return location;
        }
        string? name = _nameOf(address);
        if (name != null)
        {
            ulong function = FunctionOf(name);
            location = (ulong)_locations.Count + 1; // Numbers of those that are not shown are left out.
            int at = _out.Begin(LocationField);
            _out.Varint(IdField, location);
            _out.Varint(mapping, 1);
            _out.Varint(addressField, address);
            int lines = _out.Begin(line);
            _out.Varint(lineFunction, function);
            _out.End(lines);
            _out.End(at);
        }
        _locations.Add(address, location);
        return location;
    }

    private ulong FunctionOf(string name)
    {
        const int nameField = 2, systemName = 3;
        if (!_functions.TryGetValue(name, out ulong function))
        {
            function = (ulong)_functions.Count + 1;
            _functions.Add(name, function);
            ulong text = Text(name);
            int at = _out.Begin(FunctionField);
            _out.Varint(IdField, function);
            _out.Varint(nameField, text);
            _out.Varint(systemName, text);
            _out.End(at);
        }
        return function;
    }

    private ulong Text(string text)
    {
        if (!_texts.TryGetValue(text, out ulong number))
        {
            number = (ulong)_texts.Count;
            _texts.Add(text, number);
        }
        return number;
    }
}
