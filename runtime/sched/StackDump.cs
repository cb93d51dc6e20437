// What every goroutine does: number, state, how long it has waited, and its managed stack.
//
//   1. a forced collection stops the world; a record is made of each stack (StackRecords.cs)
//   2. with the world running again the addresses become names
//
// Rejected: stopping the world ourselves. It is what a collection does first.
// Locks: Gate, an ordinary one.

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Weft.Runtime;

internal static unsafe class StackDump
{
    private const int ExitCode = 2;
    internal const string OwnNamespace = "Weft.Runtime.";

    /// <summary>One user of the records at a time.</summary>
    internal static Lock Gate { get; } = new();

    /// <summary>Whether WEFTDEBUG asks for an entry for each goroutine, in every report.</summary>
    internal static bool IsEachWanted { get; set; }

    /// <summary>Writes what all goroutines do: an entry for each, or one for all that do the same; of the
    /// bubble with that number, or of all. Any thread, any goroutine.</summary>
    internal static void Write(TextWriter writer, bool each = false, int bubble = -1)
    {
        if (Jit.IsOn)
        {
            JitThreads.Dump(writer, bubble);
            return;
        }
        WithRecords(() => Print(writer, each || IsEachWanted, bubble));
    }

    /// <summary>Tells a record of each goroutine's stack, a StackRecord*. Not on the JIT.</summary>
    internal static void ForEach(Action<nint> tell) => WithRecords(() =>
    {
        for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
        {
            tell((nint)record);
        }
    });

    private static void WithRecords(Action action)
    {
        lock (Gate)
        {
            StackRecords.Reserve();
            try
            {
                GcRoots.AtNextMarking(&StackRecords.AddAll);
                do
                {
                    GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                }
                while (!StackRecords.IsComplete);
                action();
            }
            finally
            {
                StackRecords.Release();
            }
        }
    }

    /// <summary>Writes the reason and what all goroutines do to standard error, and ends the process, as Go
    /// does on a deadlock and on SIGQUIT.</summary>
    [DoesNotReturn]
    internal static void WriteAndExit(ReadOnlySpan<byte> reason)
    {
        lock (Gate) // To the end: another report that ends the process waits here.
        {
            try
            {
                Fatal.Write(reason);
                Fatal.Write("\n\n"u8);
                using StringWriter text = new();
                Write(text);
                Fatal.Write(text.ToString());
            }
            catch (Exception e)
            {
                Fatal.Write($"The stacks cannot be shown: {e.Message}\n");
            }
            SchedulerTrace.Finish();
            Os.Exit(ExitCode);
        }
    }

    private static void Print(TextWriter writer, bool each, int bubble)
    {
        Dictionary<nint, string> names = [];
        if (each)
        {
            PrintEach(writer, names, bubble);
        }
        else
        {
            PrintGroups(writer, names, bubble);
        }
        if (StackRecords.Missed > 0)
        {
            writer.WriteLine($"{StackRecords.Missed} goroutines that had just started are missing.");
        }
    }

    private static void PrintEach(TextWriter writer, Dictionary<nint, string> names, int bubble)
    {
        for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
        {
            if (bubble >= 0 && record->Bubble != bubble)
            {
                continue;
            }
            string what = Describe(record->State, record->Reason);
            if (record->State == GoroutineState.Waiting)
            {
                what += ", " + Duration(Since(record->WaitSince));
            }
            PrintOne(writer, record->Id, what, Frames(record, names), NameOf(record));
            writer.WriteLine();
        }
    }

    /// <summary>Those in the same state with the same methods on their stacks are one entry. A stack is
    /// looked up by its addresses first, and only new ones become text: a million goroutines make no garbage,
    /// of which each collection would look at a million stacks.</summary>
    private static void PrintGroups(TextWriter writer, Dictionary<nint, string> names, int bubble)
    {
        Dictionary<ulong, Group> byStack = [];
        Dictionary<(string What, string Frames), Group> byText = [];
        List<Group> groups = [];
        for (StackRecord* record = StackRecords.First; record->Id != 0; record = StackRecord.Next(record))
        {
            if (bubble >= 0 && record->Bubble != bubble)
            {
                continue;
            }
            ulong hash = HashOf(record);
            if (!byStack.TryGetValue(hash, out Group? group))
            {
                (string What, string Frames) text = (
                    Describe(record->State, record->Reason), Frames(record, names));
                if (!byText.TryGetValue(text, out group))
                {
                    group = new Group(text.What, text.Frames, record->State == GoroutineState.Waiting);
                    byText.Add(text, group);
                    groups.Add(group);
                }
                byStack.Add(hash, group);
            }
            group.Add(record);
        }
        foreach (Group group in groups)
        {
            group.WriteTo(writer);
            writer.WriteLine();
        }
    }

    /// <summary>Of state, reason and addresses. 64 bits, well mixed: two stacks of a process do not meet.
    /// </summary>
    internal static ulong HashOf(StackRecord* record)
    {
        const ulong prime = 0x9e3779b97f4a7c15;
        ulong hash = ((ulong)record->State << 32) | (uint)record->Reason;
        for (int i = 0; i < record->FrameCount; i++)
        {
            hash = (hash ^ (ulong)StackRecord.Frames(record)[i]) * prime;
            hash ^= hash >> 29;
        }
        return hash;
    }

    /// <summary>Goroutines that a report does not tell apart.</summary>
    private sealed class Group(string what, string frames, bool waits)
    {
        private const int Shown = 8;

        private readonly List<string> _shown = new(Shown);
        private long _firstId;
        private string _firstName = "";
        private long _count;
        private long _longest = long.MaxValue;
        private long _shortest = long.MinValue;

        internal void Add(StackRecord* record)
        {
            string name = _count < Shown ? NameOf(record) : "";
            if (_count++ == 0)
            {
                _firstId = record->Id;
                _firstName = name;
            }
            if (_shown.Count < Shown)
            {
                string id = record->Id.ToString(CultureInfo.InvariantCulture);
                _shown.Add(name.Length > 0 ? $"{id} \"{name}\"" : id);
            }
            _longest = Math.Min(_longest, record->WaitSince);
            _shortest = Math.Max(_shortest, record->WaitSince);
        }

        internal void WriteTo(TextWriter writer)
        {
            string longest = Duration(Since(_longest));
            string shortest = Duration(Since(_shortest));
            string times = !waits ? "" : longest == shortest ? $", {longest}" : $", {shortest} to {longest}";
            if (_count == 1)
            {
                PrintOne(writer, _firstId, what + times, frames, _firstName);
                return;
            }
            string others = _count > Shown ? $" and {_count - Shown} more" : "";
            writer.WriteLine($"{_count} goroutines [{what}{times}]: {string.Join(", ", _shown)}{others}");
            writer.Write(frames);
        }
    }

    /// <summary>The same form for a goroutine in any report.</summary>
    internal static void PrintOne(TextWriter writer, long id, string what, string frames, string name = "")
    {
        writer.Write("goroutine ");
        writer.Write(id.ToString(CultureInfo.InvariantCulture));
        if (name.Length > 0)
        {
            writer.Write($" \"{name}\"");
        }
        writer.Write(" [");
        writer.Write(what);
        writer.WriteLine("]:");
        writer.Write(frames);
    }

    /// <summary>A line for each method of the program on the stack, innermost first. Names that were looked
    /// up are kept for the next one.</summary>
    internal static string Frames(StackRecord* record, Dictionary<nint, string> names)
    {
        StringBuilder text = new();
        for (int i = 0; i < record->FrameCount; i++)
        {
            // The instruction before: a return address may be the first of the next function.
            nint address = StackRecord.Frames(record)[i] - 1;
            if (!names.TryGetValue(address, out string? name))
            {
                name = NameOf(address);
                names.Add(address, name);
            }
            if (!name.StartsWith(OwnNamespace, StringComparison.Ordinal))
            {
                text.Append("   at ").AppendLine(name);
            }
        }
        return text.Length > 0
            ? text.ToString()
            : "   (nothing of the program's: it has not started, or has just ended)" + Environment.NewLine;
    }

    private static string NameOf(StackRecord* record) =>
        Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(record->Name));

    internal static string NameOf(nint address)
    {
        DiagnosticMethodInfo? method = DiagnosticMethodInfo.Create(NewStackFrame(address, false));
        return method == null
            ? string.Create(CultureInfo.InvariantCulture, $"0x{address:x}")
            : $"{method.DeclaringTypeName}.{method.Name}";
    }

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    private static extern StackFrame NewStackFrame(IntPtr address, bool needFileInfo);

    internal static string Describe(GoroutineState state, ParkReason reason) => state switch
    {
        GoroutineState.Runnable => "runnable",
        GoroutineState.Running => reason == ParkReason.NativeReturn ? "in native code" : "running",
        _ => reason switch
        {
            ParkReason.ChanSend => "chan send",
            ParkReason.ChanReceive => "chan receive",
            ParkReason.WaitGroup => "wait group",
            ParkReason.Select => "select",
            ParkReason.Sleep => "sleep",
            ParkReason.Mutex => "mutex",
            ParkReason.RWMutex => "rw mutex",
            ParkReason.Cond => "cond",
            ParkReason.Semaphore => "semaphore",
            ParkReason.Network => "network",
            ParkReason.Never => "no channel",
            ParkReason.DotNetWait => ".NET wait",
            ParkReason.TestRun => "WeftTest.Run",
            ParkReason.TestWait => "WeftTest.Wait",
            _ => "waiting",
        },
    };

    internal static string Duration(TimeSpan time) => time.TotalSeconds < 60
        ? string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s")
        : string.Create(CultureInfo.InvariantCulture, $"{time.TotalMinutes:0} minutes");

    /// <summary>From a time of sysmon's clock to now.</summary>
    internal static TimeSpan Since(long ns) =>
        TimeSpan.FromTicks(Math.Max(0, Os.NowNs() - ns) / TimeSpan.NanosecondsPerTick);
}
