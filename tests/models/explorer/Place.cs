// A place of shared memory: all that was stored there, in order, and who has looked at it, for races.

namespace Weft.Models;

/// <summary>A store. The view is what whoever reads it, by an acquire, has to have seen as well.</summary>
internal readonly record struct Store(ulong Bits, View View, int Thread);

internal sealed class Place
{
    internal readonly List<Store> Stores = [];

    // For each thread its last step of that kind, 0 for none; and where it was.
    private readonly int[] _plainReads = new int[View.MaxThreads];
    private readonly int[] _plainWrites = new int[View.MaxThreads];
    private readonly int[] _reads = new int[View.MaxThreads];
    private readonly int[] _writes = new int[View.MaxThreads];
    private readonly int[] _sites = new int[4 * View.MaxThreads];

    /// <summary>Among those of this run.</summary>
    internal int Number;

    internal nint Offset;
    internal int Size;

    /// <summary>The field, as far as the code that was here said so.</summary>
    internal string Field = "";

    internal Store Newest => Stores[^1];

    internal void Clear()
    {
        foreach (Store store in Stores)
        {
            View.GiveBack(store.View);
        }
        Stores.Clear();
        Array.Clear(_plainReads);
        Array.Clear(_plainWrites);
        Array.Clear(_reads);
        Array.Clear(_writes);
    }

    /// <summary>Notes a step of a thread here. Returns where another thread was whose step conflicts with it,
    /// is not ordered with it, and one of the two is plain; -1 for none.</summary>
    internal int Note(int thread, View seen, bool writes, bool plain, int site)
    {
        int conflict = -1;
        for (int other = 0; other < View.MaxThreads; other++)
        {
            int known = seen.Clock(other);
            if (other == thread)
            {
                continue;
            }
            conflict = _plainWrites[other] > known ? _sites[other]
                : plain && _writes[other] > known ? _sites[View.MaxThreads + other]
                : writes && _plainReads[other] > known ? _sites[(2 * View.MaxThreads) + other]
                : writes && plain && _reads[other] > known ? _sites[(3 * View.MaxThreads) + other]
                : conflict;
        }
        int kind = writes ? (plain ? 0 : 1) : (plain ? 2 : 3);
        (kind switch { 0 => _plainWrites, 1 => _writes, 2 => _plainReads, _ => _reads })[thread] = seen.Clock(thread);
        _sites[(kind * View.MaxThreads) + thread] = site;
        return conflict;
    }
}
