// One select, while it lasts: which case it does, the order in which it locks, and the passes (Select.cs). It
// lies on the stack of who selects, which may move; nothing outside points to it.
//
// Which of the ready ones it does is drawn once they are known: no number at all where one is ready.
// Rejected: to look in a shuffled order, as Go does: a draw for each case, and an array.

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal unsafe ref struct SelectRound
{
    private const int FewToSort = 16;

    private readonly ReadOnlySpan<SelectCase?> _cases;

    /// <summary>May be null: a thread selects.</summary>
    private readonly Goroutine* _g;

    /// <summary>From Prepare on, places of the cases that have a channel, by the id of the channel.</summary>
    private Span<int> _locks;

    /// <summary>There is room for the place of each case.</summary>
    internal SelectRound(ReadOnlySpan<SelectCase?> cases, Goroutine* g, Span<int> locks)
    {
        _cases = cases;
        _g = g;
        _locks = locks;
    }

    /// <summary>How many cases have a channel.</summary>
    internal readonly int Count => _locks.Length;

    /// <summary>The case that was done, or -1.</summary>
    internal int Chosen { get; private set; } = -1;

    internal bool IsTwice { get; private set; }

    /// <summary>A channel is of a bubble.</summary>
    internal bool IsBubbled { get; private set; }

    /// <summary>A channel has a source, which is to be asked and watched.</summary>
    internal bool HasSources { get; private set; }

    private readonly SelectCase LockedAs(int place) => _cases[_locks[place]]!;

    /// <summary>Pass 0: one of a few that look ready, with the lock of its channel only. Waits where none
    /// does, and where a channel has a bubble or a source.</summary>
    internal static Outcome AttemptOne(ReadOnlySpan<SelectCase?> cases, out int chosen)
    {
        chosen = -1;
        uint ready = 0; // A bit for each.
        for (int i = 0; i < cases.Length; i++)
        {
            SelectCase? each = cases[i];
            if (each?.Channel is not Chan its)
            {
                continue;
            }
            if (!its.IsPlain)
            {
                return Outcome.Waits;
            }
            ready |= each.LooksReady ? 1u << i : 0;
        }
        if (ready == 0 || HasTwice(cases))
        {
            return Outcome.Waits; // Prepare will tell.
        }
        chosen = BitOperations.TrailingZeroCount(AnyBitOf(ready, Current.GoroutineOrNull()));
        SelectCase picked = cases[chosen]!;
        Chan channel = picked.Channel!;
        channel.Lock();
        Goroutine* peer = null;
        Outcome outcome = picked.IsBusy ? Outcome.Misused : picked.Attempt(out peer);
        channel.Unlock(peer);
        return outcome;
    }

    /// <summary>Finds the order of the locks. Misused when a case is twice in the list, else Waits.</summary>
    internal Outcome Prepare()
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
            _locks[count++] = i; // As they are given: a select is sorted in the same steps each time.
        }
        _locks = _locks[..count];
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
            Shuffle(); // Cases of one channel wait in it in this order: it must be random.
            Sort();
        }
        return Outcome.Waits;
    }

    /// <summary>Does one of the cases. The waiters are the goroutine's own where none are given. Closed: the
    /// chosen case sends, and its channel is closed.</summary>
    internal Outcome Run(bool wait, Waiter* waiters)
    {
        Goroutine* g = _g;
        LockAll();
        Outcome outcome = AttemptEach(out Goroutine* peer);
        if (outcome != Outcome.Waits || !wait)
        {
            UnlockAll();
            if (peer != null)
            {
                Scheduler.Ready(peer);
            }
            return outcome;
        }
        GoroutineExtra* extra = GoroutineExtras.Of(g);
        waiters = waiters != null ? waiters : &extra->FirstWaiter;
        extra->SelectDone = 0;
        Goroutine.ParkObject(g) = EnqueueAll(g, waiters);
        Scheduler.Park(g, &ReleaseAll, null, ParkReason.Select);
        outcome = DequeueAll(g, waiters);
        Goroutine.ParkObject(g) = null;
        if (outcome == Outcome.Waits)
        {
            Scheduler.ExitIfAbandoned(g);
        }
        return outcome;
    }

    /// <summary>Asks the sources. False where it seems that each case would have to wait.</summary>
    internal readonly bool PollSources()
    {
        bool looksReady = false;
        foreach (int place in _locks)
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

    /// <summary>Pass 1. An attempt may come to nothing, where only selects wait that have chosen another: its
    /// case does not look ready after that.</summary>
    private Outcome AttemptEach(out Goroutine* peer)
    {
        peer = null;
        while (true)
        {
            int ready = 0;
            int place = -1;
            foreach (int at in _locks)
            {
                SelectCase each = _cases[at]!;
                if (each.IsBusy)
                {
                    return Outcome.Misused;
                }
                if (each.LooksReady && (++ready == 1 || Random(_g, ready) == 0))
                {
                    place = at; // In the place of those before: so each gets it with the same probability.
                }
            }
            if (place < 0)
            {
                return Outcome.Waits;
            }
            Outcome outcome = _cases[place]!.Attempt(out peer);
            if (outcome != Outcome.Waits)
            {
                Chosen = outcome == Outcome.Done ? place : -1;
                return outcome;
            }
        }
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

    /// <summary>Pass 3. Channel after channel, in the order of the commit, which may be under way: what it
    /// has unlocked it does not touch again. The chosen one's was unlocked before it could be
    /// chosen.</summary>
    private Outcome DequeueAll(Goroutine* g, Waiter* waiters)
    {
        Outcome outcome = Outcome.Waits;
        Waiter* winner = g->Extra->SelectWinner;
        Chan? locked = null;
        for (int i = 0; i < Count; i++)
        {
            SelectCase each = LockedAs(i);
            Waiter* waiter = &waiters[i];
            if (waiter == winner)
            {
                Chosen = _locks[i];
            }
            else if (each.Channel != locked)
            {
                locked?.Unlock();
                locked = each.Channel!;
                locked.Lock();
            }
            each.Remove(waiter);
            waiter->IsSelect = false;
            each.Next = null;
            each.IsBusy = false;
        }
        locked?.Unlock();
        if (Chosen >= 0)
        {
            outcome = _cases[Chosen]!.Finish(winner->Success);
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

    private readonly void Shuffle()
    {
        for (int i = Count - 1; i > 0; i--)
        {
            int j = Random(_g, i + 1);
            (_locks[i], _locks[j]) = (_locks[j], _locks[i]);
        }
    }

    private static bool HasTwice(ReadOnlySpan<SelectCase?> cases)
    {
        for (int i = 1; i < cases.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (cases[i] == cases[j] && cases[i]?.Channel != null)
                {
                    return true;
                }
            }
        }
        return false;
    }

    /// <summary>One of the bits, behind which there may be others.</summary>
    internal static uint AnyBitOf(uint bits, Goroutine* g)
    {
        int count = BitOperations.PopCount(bits);
        for (int skipped = count == 1 ? 0 : Random(g, count); skipped > 0; skipped--)
        {
            bits &= bits - 1;
        }
        return bits;
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
    private static int Random(Goroutine* g, int bound)
    {
        Machine* m = g == null || g->IsBubbled ? null : g->Machine;
        if (m == null)
        {
            return (int)Bubble.Choose(g, (uint)bound);
        }
        ulong z = m->SelectRandom += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (int)(((z >> 32) * (uint)bound) >> 32);
    }
}
