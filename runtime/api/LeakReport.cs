// What Go.FindLeaks returns.

using System.Collections;
using System.Globalization;
using Weft.Runtime;

namespace Weft;

/// <summary>The goroutines that a call of <see cref="Go.FindLeaks"/> found blocked for ever, in no particular
/// order. A list, so it can be enumerated and counted. Does not change afterwards; any number of threads may
/// read it.</summary>
public sealed class LeakReport : IReadOnlyList<LeakedGoroutine>
{
    private readonly List<LeakedGoroutine> _goroutines;

    internal LeakReport(List<LeakedGoroutine> goroutines) => _goroutines = goroutines;

    /// <summary>How many there are.</summary>
    public int Count => _goroutines.Count;

    /// <summary>One of them.</summary>
    /// <param name="index">From 0 to below <see cref="Count"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The index is outside of that.</exception>
    public LeakedGoroutine this[int index] => _goroutines[index];

    /// <inheritdoc/>
    public IEnumerator<LeakedGoroutine> GetEnumerator() => _goroutines.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Writes all of them, in the form of <see cref="Go.Dump(TextWriter)"/>, after a line with
    /// their number.</summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">The writer is null.</exception>
    public void WriteTo(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"leaked goroutines: {Count}"));
        foreach (LeakedGoroutine each in _goroutines)
        {
            writer.WriteLine();
            each.WriteTo(writer);
        }
    }

    /// <summary>What <see cref="WriteTo"/> writes.</summary>
    /// <returns>Lines of text.</returns>
    public override string ToString()
    {
        using StringWriter text = new(CultureInfo.InvariantCulture);
        WriteTo(text);
        return text.ToString();
    }
}

/// <summary>A goroutine that is blocked for ever.</summary>
public sealed class LeakedGoroutine
{
    private readonly Leak _leak;

    internal LeakedGoroutine(Leak leak) => _leak = leak;

    /// <summary>Its number: what <see cref="Go.Id"/> is to itself.</summary>
    public long Id => _leak.Id;

    /// <summary>What it waits for, in the words of <see cref="Go.Dump(TextWriter)"/>: "chan receive",
    /// "chan send",
    /// "select", "no channel" (a null channel, or a select that has none), "mutex", "rw mutex", "wait group",
    /// "cond", "semaphore".</summary>
    public string WaitReason => _leak.Reason;

    /// <summary>How long it has waited, to some 10 ms.</summary>
    public TimeSpan Waited => _leak.Waited;

    /// <summary>The methods on its stack, innermost first, a line for each, without Weft's own inner
    /// ones.</summary>
    public string StackTrace => _leak.Frames;

    /// <summary>Whether it was told to end. False unless that was asked for; and for one that native code
    /// called back, through whose frames no exception may pass.</summary>
    public bool IsReclaimed => _leak.IsReclaimed;

    /// <summary>Number, reason, time, and the stack.</summary>
    /// <returns>Lines of text.</returns>
    public override string ToString()
    {
        using StringWriter text = new(CultureInfo.InvariantCulture);
        WriteTo(text);
        return text.ToString();
    }

    internal void WriteTo(TextWriter writer)
    {
        string end = IsReclaimed ? ", reclaimed" : "";
        StackDump.PrintOne(writer, Id, $"{WaitReason}, {StackDump.Duration(Waited)}{end}", StackTrace);
    }
}
