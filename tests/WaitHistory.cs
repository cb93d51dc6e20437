// Is what goroutines and threads saw of one lock, event or semaphore possible? As ChanHistory does it for
// channels: is there an order of the acts, in keeping with real time, in which each result is right?
//
// An act may be put anywhere between its start and its end. Monitor.Wait is two, of the same time: it gives
// the lock up and joins those that wait; it has the lock again, pulsed or not. A wait that ends by its
// time-out has found nothing at some moment, so what was given meanwhile must still be there for others: no
// signal is lost.

namespace Weft.Tests;

internal enum WaitKind
{
    Take,
    Give,
    Set,
    Reset,
    Enter,
    Exit,
    EnterRead,
    ExitRead,
    EnterUpgradeable,
    ExitUpgradeable,
    BeginWait,
    EndWait,
    Pulse,
    PulseAll,
}

/// <summary>What one act did. Done: not for a wait whose time was over, nor a semaphore that was full. Value:
/// the count that a semaphore said it had had.</summary>
internal sealed record WaitAct(int Who, WaitKind Kind, bool Done, int Value, int Start, int End)
{
    public override string ToString() => $"[{Start}..{End}] {Who}: {Kind}{(Done ? "" : ", not")} {Value}";
}

/// <summary>The state between two acts. Those that wait are letters, 'a' the first actor.</summary>
internal abstract record WaitModel
{
    /// <summary>The state after the act, or null where it cannot end so.</summary>
    internal abstract WaitModel? After(WaitAct act);
}

internal sealed record SemaphoreModel(int Count, int Most) : WaitModel
{
    internal override WaitModel? After(WaitAct act) => (act.Kind, act.Done) switch
    {
        (WaitKind.Take, true) when Count > 0 => this with { Count = Count - 1 },
        (WaitKind.Take, false) when Count == 0 => this,
        (WaitKind.Give, true) when Count < Most && act.Value == Count => this with { Count = Count + 1 },
        (WaitKind.Give, false) when Count == Most => this,
        _ => null,
    };
}

internal sealed record EventModel(bool IsSet, bool ResetsItself) : WaitModel
{
    internal override WaitModel? After(WaitAct act) => (act.Kind, act.Done) switch
    {
        (WaitKind.Set, _) => this with { IsSet = true },
        (WaitKind.Reset, _) => this with { IsSet = false },
        (WaitKind.Take, true) when IsSet => this with { IsSet = !ResetsItself },
        (WaitKind.Take, false) when !IsSet => this,
        _ => null,
    };
}

/// <summary>Who tries and gives up may have stood behind somebody who waits to write.</summary>
internal sealed record ReaderWriterModel(int Readers, int Writer, int Upgradeable) : WaitModel
{
    internal const int Nobody = -1;

    internal override WaitModel? After(WaitAct act) => act.Done ? Done(act) : this;

    private ReaderWriterModel? Done(WaitAct act) => act.Kind switch
    {
        WaitKind.EnterRead when Writer == Nobody => this with { Readers = Readers + 1 },
        WaitKind.ExitRead when Readers > 0 => this with { Readers = Readers - 1 },
        WaitKind.EnterUpgradeable when Writer == Nobody && Upgradeable == Nobody =>
            this with { Upgradeable = act.Who },
        WaitKind.ExitUpgradeable when Upgradeable == act.Who && Writer != act.Who =>
            this with { Upgradeable = Nobody },
        WaitKind.Enter when Writer == Nobody && Readers == 0
            && (Upgradeable == Nobody || Upgradeable == act.Who) => this with { Writer = act.Who },
        WaitKind.Exit when Writer == act.Who => this with { Writer = Nobody },
        _ => null,
    };
}

internal sealed record MonitorModel(int Owner, string Waiting, string Pulsed) : WaitModel
{
    internal const int Nobody = -1;

    internal override WaitModel? After(WaitAct act)
    {
        char me = (char)('a' + act.Who);
        return (act.Kind, act.Done) switch
        {
            (WaitKind.Enter, true) when Owner == Nobody => this with { Owner = act.Who },
            (WaitKind.Enter, false) => this,
            (WaitKind.Exit, _) when Owner == act.Who => this with { Owner = Nobody },
            (WaitKind.BeginWait, _) when Owner == act.Who =>
                this with { Owner = Nobody, Waiting = Waiting + me },
            (WaitKind.EndWait, true) when Owner == Nobody && Pulsed.Contains(me) =>
                this with { Owner = act.Who, Pulsed = Pulsed.Remove(Pulsed.IndexOf(me), 1) },
            (WaitKind.EndWait, false) when Owner == Nobody && Waiting.Contains(me) =>
                this with { Owner = act.Who, Waiting = Waiting.Remove(Waiting.IndexOf(me), 1) },
            (WaitKind.Pulse, _) when Owner == act.Who => Move(Math.Min(1, Waiting.Length)),
            (WaitKind.PulseAll, _) when Owner == act.Who => Move(Waiting.Length),
            _ => null,
        };
    }

    /// <summary>Who waits longest is pulsed first.</summary>
    private MonitorModel Move(int count) => this with
    {
        Waiting = Waiting[count..],
        Pulsed = string.Concat((Pulsed + Waiting[..count]).Order()),
    };
}

internal sealed class WaitHistory(WaitModel start, IReadOnlyList<WaitAct> acts)
{
    internal const int MostActs = 64;

    private readonly HashSet<(ulong, WaitModel)> _seen = [];

    internal bool IsPossible() => Search(0, start);

    private bool Search(ulong done, WaitModel state)
    {
        if (done == ulong.MaxValue >> (MostActs - acts.Count))
        {
            return true;
        }
        if (!_seen.Add((done, state)))
        {
            return false;
        }
        int firstEnd = int.MaxValue; // Nothing that began later can come next.
        for (int i = 0; i < acts.Count; i++)
        {
            if ((done & (1UL << i)) == 0)
            {
                firstEnd = Math.Min(firstEnd, acts[i].End);
            }
        }
        for (int i = 0; i < acts.Count; i++)
        {
            if ((done & (1UL << i)) == 0 && acts[i].Start <= firstEnd
                && state.After(acts[i]) is WaitModel after && Search(done | (1UL << i), after))
            {
                return true;
            }
        }
        return false;
    }
}
