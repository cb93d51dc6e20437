// The order in which the goroutines of a bubble with a seed run: one at a time, the holder. All others that
// could run are here, in no queue of the scheduler's; who comes next is drawn from the seed, and so is
// whether the holder goes on at a point (Bubble.Point): before and after each operation on what was made in
// the bubble. The scheduler may stop the holder for others of the process, but no other of the bubble runs
// meanwhile. So two runs with the same seed do the same, if the program itself does: it asks no other clock,
// no other randomness, and nobody outside.
//
// Two ways to draw, because they find different faults; the seed says which:
//
//   at random        at each point somebody else goes on, with a chance of 1, 1/2, 1/4 ... 1/32; all others
//                    are equally likely. Finds what needs many changes
//   by rank          each goroutine has a random rank, the highest runs; at a few random points the holder
//                    falls below all. Finds what needs few changes, at the right places, among very many
//                    (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of finding
//                    bugs", ASPLOS 2010). Who only yields falls, too, or it would run for ever
//
// Rejected: one way with a choice for the user: who explores has no idea which. Points at each access to
// memory: nothing of ours is called there.
// Locks: the bubble's, but for MakeRoom, and Draw by the holder.

namespace Weft.Runtime;

internal sealed unsafe partial class Bubble
{
    private readonly BubbleOrder? _order;
    private Random? _random;

    /// <summary>Whether one runs at a time, in an order drawn from a seed.</summary>
    internal bool IsOrdered => _order != null;

    /// <summary>A point where the calling goroutine of a bubble with a seed may let another run.</summary>
    internal static void Point()
    {
        Goroutine* g = Current.GoroutineOrNull();
        if (g != null && g->IsBubbled)
        {
            Of(g).PointOf(g);
        }
    }

    /// <summary>For a choice among so many that may be any. The calling goroutine's, of a bubble or not.
    /// </summary>
    internal static uint Choose(Goroutine* g, uint bound) =>
        g != null && g->IsBubbled && Of(g)._order is { } order
            ? order.Draw(bound) : (uint)Random.Shared.Next((int)bound);

    /// <summary>The same numbers in each run with the same seed; any where there is no seed.</summary>
    internal Random RandomOfSeed =>
        _order == null ? Random.Shared : _random ??= new Random(_order.SeedOfRandom);

    /// <summary>The caller wants others to run.</summary>
    internal void Demote(Goroutine* g)
    {
        if (_order != null)
        {
            _lock.Enter();
            _order.Demote(g);
            _lock.Exit();
        }
    }

    private void PointOf(Goroutine* g)
    {
        if (_order == null || _order.Count == 0)
        {
            return;
        }
        _lock.Enter();
        bool changes = _order.ChangesAtPoint(g);
        _lock.Exit();
        if (changes)
        {
            Scheduler.LetOthersOfBubbleRun(g);
        }
    }
}

internal sealed unsafe class BubbleOrder
{
    private const int MostFalls = 4;
    private const int LeastScale = 3;
    private const int Scales = 10;
    private const int Rates = 6;

    private readonly bool _byRank;
    private readonly uint _rate; // At random: one in so many points.
    private readonly long[] _falls = [];
    private nint[] _ready = new nint[16];
    private int _count;
    private bool _isHeld;
    private nint _skip;
    private ulong _state;
    private long _points;
    private long _lowest = -1;

    internal BubbleOrder(long seed)
    {
        _state = (ulong)seed;
        SeedOfRandom = (int)Draw(int.MaxValue);
        _byRank = Draw(2) == 0;
        _rate = 1u << (int)Draw(Rates);
        if (_byRank)
        {
            uint most = 1u << (LeastScale + (int)Draw(Scales));
            _falls = new long[1 + Draw(MostFalls)];
            for (int i = 0; i < _falls.Length; i++)
            {
                _falls[i] = 1 + Draw(most);
            }
        }
    }

    internal int SeedOfRandom { get; }

    /// <summary>How many could run and do not.</summary>
    internal int Count => Volatile.Read(ref _count);

    /// <summary>Not under the lock: room for so many, to be given to Use; or null. The caller is the holder,
    /// or acts for the clock.</summary>
    internal nint[]? MakeRoom(int count) => _ready.Length < count ? new nint[2 * count] : null;

    internal void Use(nint[]? room)
    {
        if (room != null)
        {
            _ready.AsSpan(0, _count).CopyTo(room);
            _ready = room;
        }
    }

    internal void Push(Goroutine* g)
    {
        _ready[_count] = (nint)g;
        Volatile.Write(ref _count, _count + 1);
    }

    /// <summary>The holder has stopped.</summary>
    internal void Free() => _isHeld = false;

    /// <summary>The next one, which is the holder from now on; null while there is one, or none is ready.
    /// </summary>
    internal Goroutine* Next()
    {
        if (_isHeld || _count == 0)
        {
            return null;
        }
        int place = _count == 1 ? 0 : _byRank ? Highest() : AtRandom();
        Goroutine* g = (Goroutine*)_ready[place];
        _ready[place] = _ready[_count - 1];
        Volatile.Write(ref _count, _count - 1);
        _isHeld = true;
        _skip = 0;
        return g;
    }

    /// <summary>Whether another one is to run instead of the holder, g.</summary>
    internal bool ChangesAtPoint(Goroutine* g)
    {
        if (!_byRank)
        {
            bool changes = Draw(_rate) == 0;
            _skip = changes ? (nint)g : 0;
            return changes;
        }
        if (Array.IndexOf(_falls, ++_points) >= 0)
        {
            Demote(g);
        }
        return ((Goroutine*)_ready[Highest()])->Extra->BubbleRank > g->Extra->BubbleRank;
    }

    internal long NewRank() => _byRank ? Draw(int.MaxValue) : 0;

    /// <summary>g, the holder, lets others run.</summary>
    internal void Demote(Goroutine* g)
    {
        g->Extra->BubbleRank = _lowest--;
        _skip = (nint)g;
    }

    /// <summary>At least 0, below the bound. SplitMix64.</summary>
    internal uint Draw(uint bound)
    {
        ulong z = _state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        return (uint)(((z >> 32) * bound) >> 32);
    }

    /// <summary>Any but the one that is to let others run, which is the last.</summary>
    private int AtRandom() => (int)Draw((uint)(_ready[_count - 1] == _skip ? _count - 1 : _count));

    private int Highest()
    {
        int best = 0;
        for (int i = 1; i < _count; i++)
        {
            if (((Goroutine*)_ready[i])->Extra->BubbleRank > ((Goroutine*)_ready[best])->Extra->BubbleRank)
            {
                best = i;
            }
        }
        return best;
    }
}
