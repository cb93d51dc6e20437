// Is a history of channel operations one that a channel allows? Searched by brute force: is there an order
// of the operations, in keeping with real time, in which each result is right? (Linearizability.)
//
// An operation may be put anywhere between its start and its end. On a channel without a buffer a send and
// its receive are one step. An operation that waited may count as arrived late, so a try on such a channel
// may always fail while it is open.

namespace Weft.Tests;

internal enum Act
{
    Send,
    TrySend,
    Receive,
    TryReceive,
    Close,

    /// <summary>A select with a default, none of whose cases was ready.</summary>
    Nothing,
}

internal enum Result
{
    Done,
    WouldWait,
    Closed,
}

/// <summary>What one operation did. A select is what its chosen case did; Waits says whether it could have
/// waited. Channels: the ones of a select that did nothing, as bits, with the sends above the
/// receives.</summary>
internal sealed record Operation(
    Act Act, int Channel, int Value, Result Result, bool Waits, int Channels, int Start, int End)
{
    public override string ToString() => Act == Act.Nothing
        ? $"[{Start}..{End}] nothing ready in {Channels:b}"
        : $"[{Start}..{End}] {Act} {Channel} {Value} {Result}{(Waits ? "" : ", try")}";
}

internal sealed class ChanHistory(int[] capacities, IReadOnlyList<Operation> operations)
{
    internal const int SendShift = 8;

    private readonly HashSet<(int, string)> _seen = [];

    internal bool IsPossible() => Search(0, [.. capacities.Select(_ => new Model([], false))]);

    private sealed record Model(int[] Queue, bool Closed)
    {
        public override string ToString() => $"{Closed}{string.Join(',', Queue)}";
    }

    private bool Search(int done, Model[] state)
    {
        if (done == (1 << operations.Count) - 1)
        {
            return true;
        }
        if (!_seen.Add((done, string.Join<Model>(';', state))))
        {
            return false;
        }
        List<int> next = [.. Enumerable.Range(0, operations.Count).Where(i => IsNext(done, i))];
        foreach (int i in next)
        {
            Operation operation = operations[i];
            if (operation.Act == Act.Nothing)
            {
                if (NoneIsReady(operation.Channels, state) && Search(done | (1 << i), state))
                {
                    return true;
                }
                continue;
            }
            Model? after = Apply(operation, state[operation.Channel], capacities[operation.Channel]);
            if (after is not null && Search(done | (1 << i), With(state, operation.Channel, after)))
            {
                return true;
            }
            foreach (int j in next)
            {
                if (Meet(operation, operations[j], state) && Search(done | (1 << i) | (1 << j), state))
                {
                    return true;
                }
            }
        }
        return false;
    }

    /// <summary>Whether nothing that is left ended before this one began.</summary>
    private bool IsNext(int done, int i)
    {
        if ((done & (1 << i)) != 0)
        {
            return false;
        }
        for (int k = 0; k < operations.Count; k++)
        {
            if ((done & (1 << k)) == 0 && operations[k].End < operations[i].Start)
            {
                return false;
            }
        }
        return true;
    }

    private static Model[] With(Model[] state, int channel, Model after)
    {
        Model[] copy = [.. state];
        copy[channel] = after;
        return copy;
    }

    private static Model? Apply(Operation operation, Model model, int capacity)
    {
        int count = model.Queue.Length;
        return (operation.Act, operation.Result) switch
        {
            (Act.Send or Act.TrySend, Result.Done) when !model.Closed && count < capacity =>
                model with { Queue = [.. model.Queue, operation.Value] },
            (Act.Receive or Act.TryReceive, Result.Done) when count > 0 && model.Queue[0] == operation.Value =>
                model with { Queue = model.Queue[1..] },
            (Act.Send or Act.TrySend or Act.Close, Result.Closed) when model.Closed => model,
            (Act.Receive or Act.TryReceive, Result.Closed) when model.Closed && count == 0 => model,
            (Act.TrySend, Result.WouldWait) when !model.Closed && count == capacity => model,
            (Act.TryReceive, Result.WouldWait) when !model.Closed && count == 0 => model,
            (Act.Close, Result.Done) when !model.Closed => model with { Closed = true },
            _ => null,
        };
    }

    /// <summary>A send and a receive without a buffer. One of them has to have waited for the
    /// other.</summary>
    private bool Meet(Operation send, Operation receive, Model[] state) =>
        send.Act is Act.Send or Act.TrySend
        && receive.Act is Act.Receive or Act.TryReceive
        && send.Result == Result.Done
        && receive.Result == Result.Done
        && send.Channel == receive.Channel
        && send.Value == receive.Value
        && (send.Waits || receive.Waits)
        && capacities[send.Channel] == 0
        && !state[send.Channel].Closed;

    private bool NoneIsReady(int channels, Model[] state)
    {
        for (int c = 0; c < state.Length; c++)
        {
            bool receives = (channels & (1 << c)) != 0;
            bool sends = (channels & (1 << (c + SendShift))) != 0;
            if ((receives || sends) && state[c].Closed)
            {
                return false;
            }
            if ((receives && state[c].Queue.Length > 0)
                || (sends && capacities[c] > 0 && state[c].Queue.Length < capacities[c]))
            {
                return false;
            }
        }
        return true;
    }
}
