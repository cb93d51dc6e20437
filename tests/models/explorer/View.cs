// How new what a thread, or whoever reads a store, has to see is: for each place the number of its store, and
// for each thread how far it has come.

namespace Weft.Models;

internal sealed class View
{
    internal const int MaxThreads = 4;
    private const int MaxPlaces = 512;

    private static readonly Stack<View> s_free = new();

    private readonly int[] _stores = new int[MaxPlaces];
    private readonly int[] _clocks = new int[MaxThreads];
    private int _places;

    /// <summary>The oldest store of a place that may be seen.</summary>
    internal int this[Place place]
    {
        get => place.Number < _places ? _stores[place.Number] : 0;
        set
        {
            while (_places <= place.Number)
            {
                _stores[_places++] = 0;
            }
            _stores[place.Number] = value;
        }
    }

    /// <summary>For races: which of its steps the thread's is known to come after.</summary>
    internal ref int Clock(int thread) => ref _clocks[thread];

    internal static View Copy(View of)
    {
        View view = s_free.Count > 0 ? s_free.Pop() : new View();
        view.Become(of);
        return view;
    }

    internal static void GiveBack(View view) => s_free.Push(view);

    internal void Become(View other)
    {
        _places = other._places;
        Array.Copy(other._stores, _stores, _places);
        Array.Copy(other._clocks, _clocks, MaxThreads);
    }

    internal void Clear()
    {
        _places = 0;
        Array.Clear(_clocks);
    }

    internal void Join(View other)
    {
        for (int i = 0; i < other._places; i++)
        {
            if (i >= _places)
            {
                _stores[_places++] = other._stores[i];
            }
            else if (other._stores[i] > _stores[i])
            {
                _stores[i] = other._stores[i];
            }
        }
        for (int i = 0; i < MaxThreads; i++)
        {
            _clocks[i] = Math.Max(_clocks[i], other._clocks[i]);
        }
    }
}
