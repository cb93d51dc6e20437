// One select, while it lasts: the order in which it locks, the order in which it looks, and the passes
// (Select.cs). It lies on the stack of who selects, which may move; nothing outside points to it.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal unsafe ref struct SelectRound
{
    private const int FewToSort = 16;

    private readonly ReadOnlySpan<SelectCase?> _cases;

    /// <summary>Places of the cases that have a channel, shuffled.</summary>
    private Span<int> _looks;

    /// <summary>The same places, by the id of the channel.</summary>
    private Span<int> _locks;

    internal SelectRound(ReadOnlySpan<SelectCase?> cases, Span<int> looks, Span<int> locks)
    {
        _cases = cases;
        _looks = looks;
        _locks = locks;
    }

    /// <summary>How many cases have a channel.</summary>
    internal readonly int Count => _looks.Length;

    /// <summary>The case that was done, or -1.</summary>
    internal int Chosen { get; private set; } = -1;

    internal bool IsTwice { get; private set; }

    /// <summary>A channel is of a bubble.</summary>
    internal bool IsBubbled { get; private set; }

    /// <summary>A channel has a source, which is to be asked and watched.</summary>
    internal bool HasSources { get; private set; }

    private readonly SelectCase LockedAs(int place) => _cases[_locks[place]]!;

    /// <summary>Draws the order in which it looks. The goroutine may be null.</summary>
    internal void Shuffle(Goroutine* g)
    {
        int count = 0;
        for (int i = 0; i < _cases.Length; i++)
        {
            if (_cases[i]?.Channel is not Chan channel)
            {
                continue;
            }
            HasSources |= channel.Source != null;
            IsBubbled |= channel.MadeIn != null;
            int j = (int)Random(g, (uint)++count);
            _looks[count - 1] = _looks[j];
            _looks[j] = i;
            _locks[count - 1] = i; // As they are given: a select is sorted in the same steps each time.
        }
        _looks = _looks[..count];
        _locks = _locks[..count];
    }

    /// <summary>Pass 0: the first of a few that looks ready, with the lock of its channel only.</summary>
    internal Outcome AttemptFirst()
    {
        foreach (int place in _looks)
        {
            SelectCase each = _cases[place]!;
            if (!each.LooksReady)
            {
                continue;
            }
            if (HasTwice())
            {
                return Outcome.Waits; // Prepare will tell.
            }
            Chan channel = each.Channel!;
            channel.Lock();
            Goroutine* peer = null;
            Outcome outcome = each.IsBusy ? Outcome.Misused : each.Attempt(out peer);
            channel.Unlock(peer);
            if (outcome != Outcome.Waits)
            {
                Chosen = outcome == Outcome.Done ? place : -1;
                return outcome;
            }
        }
        return Outcome.Waits;
    }

    /// <summary>Finds the order of the locks. Misused when a case is twice in the list, else Waits.</summary>
    internal Outcome Prepare()
    {
        Sort();
        bool shared = false;
        for (int i = 1; i < Count; i++)
        {
            for (int j = i - 1; j >= 0 && LockedAs(j).Channel == LockedAs(i).Channel; j--)
            {
                shared = true;
                if (LockedAs(j) == LockedAs(i))
                {
                    IsTwice = true;
                    return Outcome.Misused;
                }
            }
        }
        if (shared)
        {
            _looks.CopyTo(_locks); // Cases of one channel wait in it in this order: it must be random.
            Sort();
        }
        return Outcome.Waits;
    }

    /// <summary>Does one of the cases. The waiters are g's own where none are given. Closed: the chosen
    /// case sends, and its channel is closed.</summary>
    internal Outcome Run(Goroutine* g, bool wait, Waiter* waiters)
    {
        LockAll();
        Outcome outcome = AttemptEach(out Goroutine* peer);
        if (outcome == Outcome.Waits && wait)
        {
            GoroutineExtra* extra = GoroutineExtras.Of(g);
            waiters = waiters != null ? waiters : &extra->FirstWaiter;
            extra->SelectDone = 0;
            Goroutine.ParkObject(g) = EnqueueAll(g, waiters);
            Scheduler.Park(g, &ReleaseAll, null, ParkReason.Select);
            LockAll();
            outcome = DequeueAll(g, waiters);
            Goroutine.ParkObject(g) = null;
        }
        UnlockAll();
        if (outcome == Outcome.Waits && wait)
        {
            Scheduler.ExitIfAbandoned(g);
        }
        if (peer != null)
        {
            Scheduler.Ready(peer);
        }
        return outcome;
    }

    /// <summary>Asks the sources. False where it seems that each case would have to wait.</summary>
    internal readonly bool PollSources()
    {
        bool looksReady = false;
        foreach (int place in _looks)
        {
            SelectCase each = _cases[place]!;
            each.Channel!.Source?.Poll();
            looksReady |= each.LooksReady;
        }
        return looksReady;
    }

    /// <summary>Watched: of how many cases that is to be ended, whatever happens.</summary>
    internal readonly void WatchSources(ref int watched)
    {
        while (watched < Count)
        {
            LockedAs(watched++).Channel!.Source?.Watch();
        }
    }

    internal readonly void UnwatchSources(int watched)
    {
        while (--watched >= 0)
        {
            LockedAs(watched).Channel!.Source?.Unwatch();
        }
    }

    /// <summary>Pass 1.</summary>
    private Outcome AttemptEach(out Goroutine* peer)
    {
        peer = null;
        foreach (int place in _looks)
        {
            SelectCase each = _cases[place]!;
            Outcome outcome = each.IsBusy ? Outcome.Misused : each.Attempt(out peer);
            if (outcome != Outcome.Waits)
            {
                Chosen = outcome == Outcome.Done ? place : -1;
                return outcome;
            }
        }
        return Outcome.Waits;
    }

    /// <summary>Pass 2: a waiter on each channel. Returns the first of the cases, linked.</summary>
    private readonly SelectCase EnqueueAll(Goroutine* g, Waiter* waiters)
    {
        SelectCase? next = null;
        for (int i = Count - 1; i >= 0; i--)
        {
            SelectCase each = LockedAs(i);
            each.Next = next;
            each.IsBusy = true;
            next = each;
            Waiter* waiter = &waiters[i];
            waiter->Goroutine = g;
            waiter->Slot = null;
            waiter->Index = i;
            waiter->Success = false;
            waiter->IsSelect = true;
            each.Enqueue(waiter);
        }
        return next!;
    }

    /// <summary>The commit of pass 2. g may be chosen as soon as the first lock is released, but it then
    /// waits for the last; g's stack, which it runs on meanwhile, is not touched.</summary>
    private static bool ReleaseAll(Goroutine* g, void* argument)
    {
        SelectCase? each = Unsafe.As<SelectCase?>(Goroutine.ParkObject(g));
        while (each != null)
        {
            SelectCase? next = each.Next; // Before the unlock: g may go on after the last one.
            if (next == null || next.Channel != each.Channel)
            {
                each.Channel!.Unlock();
            }
            each = next;
        }
        return true;
    }

    /// <summary>Pass 3.</summary>
    private Outcome DequeueAll(Goroutine* g, Waiter* waiters)
    {
        Outcome outcome = Outcome.Waits;
        for (int i = 0; i < Count; i++)
        {
            SelectCase each = LockedAs(i);
            Waiter* waiter = &waiters[i];
            each.Remove(waiter);
            waiter->IsSelect = false;
            each.Next = null;
            each.IsBusy = false;
            if (waiter == g->Extra->SelectWinner)
            {
                Chosen = _locks[i];
                outcome = each.Finish(waiter->Success);
            }
        }
        Check.Always(
            outcome != Outcome.Waits || g->Abandoned, "select: readied, but no case was chosen"u8);
        return outcome;
    }

    private readonly void LockAll()
    {
        Chan? last = null;
        foreach (int place in _locks)
        {
            Chan channel = _cases[place]!.Channel!;
            if (channel != last)
            {
                channel.Lock();
                last = channel;
            }
        }
    }

    private readonly void UnlockAll()
    {
        Chan? last = null;
        foreach (int place in _locks)
        {
            Chan channel = _cases[place]!.Channel!;
            if (channel != last)
            {
                channel.Unlock();
                last = channel;
            }
        }
    }

    private readonly bool HasTwice()
    {
        for (int i = 1; i < Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (_cases[_looks[i]] == _cases[_looks[j]])
                {
                    return true;
                }
            }
        }
        return false;
    }

    /// <summary>Cases of one channel stay in the order that they are in, if they are few.</summary>
    private readonly void Sort()
    {
        if (Count > FewToSort)
        {
            SortMany();
            return;
        }
        for (int i = 1; i < Count; i++)
        {
            int place = _locks[i];
            long id = _cases[place]!.Channel!.Id;
            int j = i;
            while (j > 0 && LockedAs(j - 1).Channel!.Id > id)
            {
                _locks[j] = _locks[j - 1];
                j--;
            }
            _locks[j] = place;
        }
    }

    private readonly void SortMany()
    {
        long[] ids = new long[Count];
        for (int i = 0; i < Count; i++)
        {
            ids[i] = LockedAs(i).Channel!.Id;
        }
        ids.AsSpan().Sort(_locks);
    }

    /// <summary>At least 0, below the bound; in a bubble with a seed drawn from that. The generator is
    /// SplitMix64; each machine has its own, so that few share a word. Who changes machines in the middle may
    /// take the number of another: any will do.</summary>
    private static uint Random(Goroutine* g, uint bound)
    {
        Machine* m = g == null || g->IsBubbled ? null : g->Machine;
        if (m == null)
        {
            return Bubble.Choose(g, bound);
        }
        if (bound == 1)
        {
            return 0;
        }
        ulong z = m->SelectRandom += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (uint)(((z >> 32) * bound) >> 32);
    }
}
