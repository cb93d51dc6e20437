// One case of a select: a channel, a direction, and the element, which lies here, in an object. A peer
// that takes a waiter of a select off its queue finds the case through the goroutine's ParkObject, which
// is a root, and the cases linked from there. So nobody holds an address of the element, which would not
// survive a collection, and elements of any types and any number need no stack.
//
//   g.ParkObject -> case 0 -> case 1 -> ... in the order of the locks; Waiter.Index counts along
//
// Next and IsBusy are set with the locks of all the channels of the select held; so whoever holds the lock of
// one of them, and has won, may follow the links while the goroutine is parked. Who selects clears them when
// it goes on, those of each case with the lock of its channel, or after that was won.
//
// Rejected: elements on the stack of who selects, as the other operations have them. Each has a type of
// its own, so there is no place for an unknown number; and growth would have to know them.
// Rejected: a case that makes its own delegate run under the channel's lock.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// One case of a <see cref="Select"/>: a <see cref="ReceiveCase{T}"/> or a <see cref="SendCase{T}"/>. Make
/// it once and use it again: a select then allocates nothing. It belongs to one goroutine at a time, and
/// only one place of a select.
/// </summary>
public abstract unsafe class SelectCase : IParkPlace, IBubbled
{
    private protected SelectCase(Chan? channel) => Channel = channel;

    /// <summary>Null is never ready.</summary>
    internal Chan? Channel { get; private protected set; }

    /// <summary>The case behind it in the order of the locks.</summary>
    internal SelectCase? Next { get; set; }

    /// <summary>A goroutine is parked with it.</summary>
    internal bool IsBusy { get; set; }

    /// <summary>The case that this waiter waits with. The caller has just taken the waiter off its
    /// queue, and holds the lock.</summary>
    internal static SelectCase Of(Waiter* waiter)
    {
        SelectCase found = Unsafe.As<SelectCase>(Goroutine.ParkObject(waiter->Goroutine)!);
        for (int i = waiter->Index; i > 0; i--)
        {
            found = found.Next!;
        }
        return found;
    }

    /// <summary>For LeakScan, raw: whether somebody can reach a channel that g selects on.</summary>
    internal static bool IsReachable(Goroutine* g)
    {
        SelectCase? each = Unsafe.As<SelectCase?>(Goroutine.ParkObject(g));
        for (; each != null; each = each.Next)
        {
            Chan channel = each.Channel!;
            if (Collector.IsMarked(Unsafe.As<Chan, nint>(ref channel)))
            {
                return true;
            }
        }
        return false;
    }

    /// <summary>g chooses no case then, and leaves all queues by itself.</summary>
    bool IParkPlace.Abandon(Goroutine* g)
    {
        if (Interlocked.CompareExchange(ref g->Extra->SelectDone, 1, 0) != 0)
        {
            return false;
        }
        g->Extra->SelectWinner = null;
        return true;
    }

    /// <summary>All that it waits for with this case and those behind it. The locks of their channels are
    /// held.</summary>
    bool IBubbled.IsOf(Bubble bubble)
    {
        for (SelectCase? each = this; each != null; each = each.Next)
        {
            if (each.Channel!.MadeIn != bubble)
            {
                return false;
            }
        }
        return true;
    }

    /// <summary>False where it seems that it would have to wait; stale as soon as it is read. With the lock
    /// held: false where Attempt says Waits, and that is so after an Attempt that says it.</summary>
    internal abstract bool LooksReady { get; }

    /// <summary>Sends or receives if that needs no waiting. With the lock held; the peer is to be readied
    /// after it is released.</summary>
    internal abstract Outcome Attempt(out Goroutine* peer);

    internal abstract void Enqueue(Waiter* waiter);

    /// <summary>Takes the waiter out of its queue, if it is in it still.</summary>
    internal abstract void Remove(Waiter* waiter);

    /// <summary>The case was chosen while it waited; success as in Waiter.</summary>
    internal abstract Outcome Finish(bool success);

    /// <summary>Calls what the case was made with.</summary>
    internal abstract void Invoke();
}

/// <summary>Receives from a channel. It is ready when an element is there, or the channel is
/// closed. Go: case value, ok := &lt;-channel.</summary>
/// <typeparam name="T">The element.</typeparam>
public sealed unsafe class ReceiveCase<T> : SelectCase
{
    private readonly Chan<T>? _channel;
    private readonly Action<T, bool>? _then;

    internal T Element = default!;

    /// <summary>Makes a case.</summary>
    /// <param name="channel">Where to receive from; a null one is never ready.</param>
    /// <param name="then">What <see cref="Select.Run(ReadOnlySpan{SelectCase})"/> calls with
    /// <see cref="Value"/> and <see cref="Ok"/> when this case is chosen.</param>
    public ReceiveCase(ReceiveChan<T> channel, Action<T, bool>? then = null)
        : base(channel.Channel)
    {
        _channel = channel.Channel;
        _then = then;
    }

    /// <summary>What was received last; the default when the channel was found closed. Kept until the case
    /// is chosen again.</summary>
    public T Value => Element;

    /// <summary>False when the channel was found closed and drained.</summary>
    public bool Ok { get; private set; }

    internal override bool LooksReady => _channel!.LooksReady;

    internal override Outcome Attempt(out Goroutine* peer)
    {
        Outcome outcome = _channel!.ReceiveNow(ref Element, out peer);
        return outcome == Outcome.Waits ? outcome : Finish(outcome == Outcome.Done);
    }

    internal override void Enqueue(Waiter* waiter) => _channel!.EnqueueReceiver(waiter);

    internal override void Remove(Waiter* waiter) => _channel!.RemoveReceiver(waiter);

    internal override Outcome Finish(bool success)
    {
        Ok = success;
        if (!success)
        {
            Element = default!;
        }
        return Outcome.Done;
    }

    internal override void Invoke() => _then?.Invoke(Element, Ok);
}

/// <summary>Sends to a channel. It is ready when a receiver waits, the buffer has room, or the channel is
/// closed: then the select throws. Go: case channel &lt;- value.</summary>
/// <typeparam name="T">The element.</typeparam>
public sealed unsafe class SendCase<T> : SelectCase
{
    private readonly Chan<T>? _channel;
    private readonly Action? _then;

    internal T Element;

    /// <summary>Makes a case.</summary>
    /// <param name="channel">Where to send; a null one is never ready.</param>
    /// <param name="value">The element, until <see cref="Value"/> is set to another.</param>
    /// <param name="then">What <see cref="Select.Run(ReadOnlySpan{SelectCase})"/> calls when this case
    /// is chosen.</param>
    public SendCase(SendChan<T> channel, T value = default!, Action? then = null)
        : base(channel.Channel)
    {
        _channel = channel.Channel;
        Element = value;
        _then = then;
    }

    /// <summary>What to send. Not to be set while a select waits with this case.</summary>
    public T Value
    {
        get => Element;
        set => Element = value;
    }

    internal override bool LooksReady => _channel!.LooksReadyToSend;

    internal override Outcome Attempt(out Goroutine* peer) => _channel!.SendNow(ref Element, out peer);

    internal override void Enqueue(Waiter* waiter) => _channel!.EnqueueSender(waiter);

    internal override void Remove(Waiter* waiter) => _channel!.RemoveSender(waiter);

    internal override Outcome Finish(bool success) => success ? Outcome.Done : Outcome.Closed;

    internal override void Invoke() => _then?.Invoke();
}

/// <summary>Ready when a send to the channel would not wait, or would fail; sends nothing. It waits for its
/// turn among the senders, and learns of it when a receiver comes or makes room.</summary>
internal sealed unsafe class SendProbe(Chan channel) : SelectCase(channel)
{
    internal override bool LooksReady => Channel!.CanSendNow;

    internal override Outcome Attempt(out Goroutine* peer)
    {
        peer = null;
        return Channel!.CanSendNow ? Outcome.Done : Outcome.Waits;
    }

    internal override void Enqueue(Waiter* waiter)
    {
        waiter->IsProbe = true;
        Channel!.EnqueueSender(waiter);
    }

    internal override void Remove(Waiter* waiter)
    {
        Channel!.RemoveSender(waiter);
        waiter->IsProbe = false;
    }

    internal override Outcome Finish(bool success) => Outcome.Done;

    internal override void Invoke()
    {
    }
}
