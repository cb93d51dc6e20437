// Objects that are kept for whoever needs one next, in places of each processor:
//
//   places   [ processor 0: 16 places ] [ processor 1: 16 places ] ...     two cache lines each
//
// Get and Put look through those of the processor that they run on, from the first: what is found was used
// on this core just before, and nobody else writes to these lines. Where there is nothing Get looks at the
// others: else what is got on one processor and put back on another would pile up there. An object changes
// hands by one exchange of its place, so no two get it, and nobody waits for anybody.
//
// Rejected: one list under a Mutex. A web server took and gave one for each request: with 1,024 connections
// on eight cores a fifth of its time went into that lock (bench/results/16-cores-2026-11-28.md).
// Rejected: Go's way to let go, when two collections have passed without use. It needs a finalizer that
// revives itself, and after a quiet minute all is made anew; a bound for each processor keeps as little.

using System.Numerics;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Objects that cost something to make and are needed for a while again and again: buffers, parsers. Go:
/// sync.Pool. Any goroutine or thread may get and put, none waits. Up to 16 are kept for each processor;
/// what has no room is left to the collector. (ArrayPool.Shared keeps some for each thread, which with Weft
/// is each goroutine.)
/// <code>
/// Pool&lt;byte[]&gt; buffers = new(() => new byte[65536]);
/// byte[] buffer = buffers.Get();
/// try
/// {
///     Use(buffer);
/// }
/// finally
/// {
///     buffers.Put(buffer);
/// }
/// </code>
/// </summary>
/// <typeparam name="T">The type of the objects. They come back as they were put: clear what must not be
/// seen.</typeparam>
public sealed class Pool<T>
    where T : class
{
    private const int PlacesOfEach = 16; // 128 bytes: two lines, because cores fetch lines in pairs.
    private const int MostProcessors = 128;

    private readonly Func<T> _create;
    private readonly PoolPlace[] _places;

    /// <summary>Makes an empty one.</summary>
    /// <param name="create">Makes an object when none is there. Runs on the caller of <see cref="Get"/>, for
    /// several at once perhaps.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public Pool(Func<T> create)
    {
        ArgumentNullException.ThrowIfNull(create);
        _create = create;
        int count = Math.Max(Scheduler.MaxProcessors, Environment.ProcessorCount); // 0 before the start.
        uint stripes = BitOperations.RoundUpToPowerOf2((uint)Math.Min(count, MostProcessors));
        _places = new PoolPlace[stripes * PlacesOfEach];
    }

    /// <summary>Takes one out, or makes one. Sees what was written to it before
    /// <see cref="Put"/>.</summary>
    /// <returns>An object that nobody else has.</returns>
    public T Get()
    {
        int first = FirstPlace();
        return Take(first, PlacesOfEach) ?? Take(first, _places.Length) ?? _create();
    }

    /// <summary>Gives one back, or one made elsewhere. The caller does not use it any more.</summary>
    /// <param name="item">The object.</param>
    /// <exception cref="ArgumentNullException">The object is null.</exception>
    public void Put(T item)
    {
        ArgumentNullException.ThrowIfNull(item);
        int first = FirstPlace();
        for (int i = first; i < first + PlacesOfEach; i++)
        {
            ref T? place = ref _places[i].Item;
            if (Volatile.Read(ref place) == null
                && Interlocked.CompareExchange(ref place, item, null) == null)
            {
                return;
            }
        }
    }

    /// <summary>From the first place of a processor on, and round.</summary>
    private T? Take(int first, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref T? place = ref _places[(first + i) & (_places.Length - 1)].Item;
            if (Volatile.Read(ref place) != null && Interlocked.Exchange(ref place, null) is T item)
            {
                return item;
            }
        }
        return null;
    }

    private int FirstPlace() => (ReaderStripes.Here() * PlacesOfEach) & (_places.Length - 1);

    /// <summary>A struct: a reference into an array of objects would have its type looked at.</summary>
    private struct PoolPlace
    {
        internal T? Item;
    }
}
