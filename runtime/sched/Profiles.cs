// Profiles of goroutines in pprof's format: what they do, where they wait for each other, who is leaked.

namespace Weft.Runtime;

internal static unsafe class Profiles
{
    private static readonly ProfileUnit s_goroutines = new("goroutine", "count");
    private static readonly ProfileUnit s_contentions = new("contentions", "count");
    private static readonly ProfileUnit s_delay = new("delay", "nanoseconds");

    /// <summary>All goroutines, by stack and what they wait for. One at a time with other reports.</summary>
    internal static void Goroutines(Stream stream)
    {
        StackCounts counts = new();
        StackDump.ForEach(counts.Add);
        Write(stream, counts);
    }

    /// <summary>The same of those that wait for ever.</summary>
    internal static void Leaks(Stream stream, delegate*<Goroutine*, bool> selectIsReachable)
    {
        StackCounts counts = new();
        LeakFinder.ForEach(selectIsReachable, counts.Add);
        Write(stream, counts);
    }

    /// <summary>One of ContentionProfile's tables.</summary>
    internal static void Contention(Stream stream, int table)
    {
        Dictionary<nint, string?> names = [];
        ProfileWriter writer = new(address => NameOf(address, names), s_contentions, s_delay);
        Span<nint> stack = new nint[ContentionSample.MostFrames];
        foreach (ContentionSample sample in ContentionProfile.All(table))
        {
            for (int i = 0; i < sample.FrameCount; i++)
            {
                stack[i] = (nint)sample.Frames[i] - 1; // The call, not where it returns to.
            }
            writer.Sample(stack[..sample.FrameCount], [(long)sample.Count, (long)sample.Ns]);
        }
        writer.WriteTo(stream, s_contentions, 1);
    }

    private static void Write(Stream stream, StackCounts counts)
    {
        Dictionary<nint, string?> names = [];
        ProfileWriter writer = new(address => NameOf(address, names), s_goroutines);
        counts.Write(writer);
        writer.WriteTo(stream, s_goroutines, 1);
    }

    private static string? NameOf(nint address, Dictionary<nint, string?> names)
    {
        if (!names.TryGetValue(address, out string? name))
        {
            name = StackDump.NameOf(address);
            name = name.StartsWith(StackDump.OwnNamespace, StringComparison.Ordinal) ? null : name;
            names.Add(address, name);
        }
        return name;
    }

    /// <summary>How many goroutines have which stack. A million with one stack make one entry, and no
    /// garbage.</summary>
    private sealed class StackCounts
    {
        private readonly Dictionary<ulong, Entry> _entries = [];

        internal void Add(nint address)
        {
            StackRecord* record = (StackRecord*)address;
            ulong hash = StackDump.HashOf(record);
            if (!_entries.TryGetValue(hash, out Entry? entry))
            {
                nint[] stack = new Span<nint>(StackRecord.Frames(record), (int)record->FrameCount).ToArray();
                for (int i = 0; i < stack.Length; i++)
                {
                    stack[i]--;
                }
                entry = new Entry(stack, StackDump.Describe(record->State, record->Reason));
                _entries.Add(hash, entry);
            }
            entry.Count++;
        }

        internal void Write(ProfileWriter writer)
        {
            foreach (Entry entry in _entries.Values)
            {
                writer.Sample(entry.Stack, [entry.Count], "state", entry.State);
            }
        }

        private sealed class Entry(nint[] stack, string state)
        {
            internal nint[] Stack { get; } = stack;
            internal string State { get; } = state;
            internal long Count { get; set; }
        }
    }
}
