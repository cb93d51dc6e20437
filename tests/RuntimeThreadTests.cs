// The check at start against the table of .NET's Thread: each number of the table changed by itself is found.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class RuntimeThreadTests
{
    private static readonly string[] s_bits =
        [nameof(ThreadTable.NoCollection), nameof(ThreadTable.Attached), nameof(ThreadTable.TrapThreads)];

    [Test]
    public async Task TheTableFitsTheRuntimeOfThisProgram()
    {
        RuntimeThread.Load();

        await Assert.That(RuntimeThread.FindMismatch(RuntimeThread.Table)).IsNull();
    }

    [Test]
    public async Task EachNumberThatIsChangedIsFound()
    {
        RuntimeThread.Load();
        List<string> missed = [];
        foreach ((string name, int index) in Entries())
        {
            foreach (nint wrong in WrongValues(name, Entry(RuntimeThread.Table, index)))
            {
                ThreadTable changed = RuntimeThread.Table;
                Entry(changed, index) = wrong;
                if (RuntimeThread.FindMismatch(changed) is null)
                {
                    missed.Add($"{name} = 0x{wrong:x}");
                }
            }
        }

        await Assert.That(missed).IsEmpty().Because(string.Join(", ", missed));
    }

    /// <summary>An offset: a word off, in both directions, or that of another field. A bit: each other
    /// bit.</summary>
    private static IEnumerable<nint> WrongValues(string name, nint right)
    {
        if (name == nameof(ThreadTable.Version))
        {
            return [right - 1, right + 1];
        }
        if (s_bits.Contains(name))
        {
            return Enumerable.Range(0, 31).Select(i => (nint)1 << i).Where(bit => bit != right);
        }
        return Enumerable.Range(0, 32).Select(i => (nint)(8 * i)).Where(offset => offset != right);
    }

    private static IEnumerable<(string Name, int Index)> Entries()
    {
        string[] names =
        [
            nameof(ThreadTable.Flags), nameof(ThreadTable.TransitionFrame), nameof(ThreadTable.DeferredFrame),
            nameof(ThreadTable.CachedFrame), nameof(ThreadTable.HijackSlot), nameof(ThreadTable.HijackValue),
            nameof(ThreadTable.ExInfo), nameof(ThreadTable.Statics), nameof(ThreadTable.InlinedList),
            nameof(ThreadTable.GcFrames), nameof(ThreadTable.BoundsLow), nameof(ThreadTable.BoundsHigh),
            nameof(ThreadTable.Interrupted), nameof(ThreadTable.NoCollection), nameof(ThreadTable.Attached),
            nameof(ThreadTable.TrapThreads), nameof(ThreadTable.Version),
        ];
        if (names.Length * Unsafe.SizeOf<nint>() != Unsafe.SizeOf<ThreadTable>())
        {
            throw new InvalidOperationException("the table has entries that this test does not know");
        }
        return names.Select((name, index) => (name, index));
    }

    private static ref nint Entry(in ThreadTable table, int index) => ref Unsafe.Add(
        ref Unsafe.As<ThreadTable, nint>(ref Unsafe.AsRef(in table)), index);
}
