// chan/: threads send to and receive from one channel. They wait as threads that are no goroutines do
// (Scheduler.ParkThread); goroutines pass the same lock, and come back through run queues (ParkModel).
//
//   sends       what it points to, then under the lock: the element to who waits, or the buffer
//   is woken    release of Wakened, acquire: the element and Success were written before
//   closes      Closing cannot be undone: the looks without the lock rely on that
//
// Must hold: each element is received once, in order, and what it points to is seen; nothing is received behind
// "closed", and nothing that was sent is missed by then.

using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Models.Protocols;

internal abstract unsafe class ChanModel : Model
{
    private protected const int Most = 3;

    private readonly List<int> _sent = [];
    private readonly List<int> _received = [];

    private int* _elements;

    /// <summary>For a channel of that capacity.</summary>
    private protected ChanModel(int capacity) => Channel = new Chan<nint>(capacity);

    private protected Chan<nint> Channel { get; }

    /// <summary>One thread sends, one receives.</summary>
    private protected virtual bool IsOrdered => false;

    internal override void Prepare() => Explorer.Adopt(Channel);

    internal override void SetUp()
    {
        GcAges.Initialize((nint)Explorer.Allocate<byte>("ages", 1024), (Goroutine*)Explorer.Static(0));
        _elements = Explorer.Allocate<int>("elements", Most);
        StandIns = Scheduler.MakeStandIns(3);
        _sent.Clear();
        _received.Clear();
    }

    private Goroutine* StandIns { get; set; }

    internal override void AtEnd()
    {
        Explorer.Assert(
            _received.Count + Channel.BufferedCount == _sent.Count,
            $"{_sent.Count} were sent, {_received.Count} received, {Channel.BufferedCount} are left.");
        Explorer.Assert(_received.Distinct().Count() == _received.Count, "One is received twice.");
        if (IsOrdered)
        {
            Explorer.Assert(_received.SequenceEqual(_sent.Take(_received.Count)), "Not in the order of sending.");
        }
    }

    private protected void Enter() => Explorer.Local.StandIn = (nint)(StandIns + Explorer.Local.Id);

    private protected nint Make(int number)
    {
        _elements[number] = number + 1;
        return (nint)(_elements + number);
    }

    private protected void Sent(int number) => _sent.Add(number);

    private protected void Receive(nint element)
    {
        int number = (int)((int*)element - _elements);
        Explorer.Assert(*(int*)element == number + 1, "What the element points to is not seen.");
        _received.Add(number);
    }
}

/// <summary>Two sends and two receives that wait.</summary>
internal abstract unsafe class HandOffModel(int capacity) : ChanModel(capacity)
{
    internal override int Depth => 2;

    private protected override bool IsOrdered => true;

    internal override Action[] Threads => [Send, Receive];

    private void Send()
    {
        Enter();
        for (int i = 0; i < 2; i++)
        {
            Sent(i);
            Channel.Send(Make(i));
        }
    }

    private void Receive()
    {
        Enter();
        Receive(Channel.Receive());
        Receive(Channel.Receive());
    }
}

internal sealed class UnbufferedModel() : HandOffModel(0)
{
    internal override (string, string)[] Barriers =>
    [
        ("chan-wake", "Scheduler.WakeThread VolatileWrite Goroutine.Wakened"),
        ("chan-woken", "Scheduler.ParkThread VolatileRead Goroutine.Wakened"),
        ("chan-unlock", "ShortLock.Release VolatileWrite ShortLock._held"),
    ];
}

internal sealed class BufferedModel() : HandOffModel(1)
{
    internal override (string, string)[] Barriers =>
    [
        ("buffered-wake", "Scheduler.WakeThread VolatileWrite Goroutine.Wakened"),
        ("buffered-lock", "Switch.EnterLock CompareExchange ?"),
    ];
}

/// <summary>One is sent, and the channel closed, while another looks, and a third one tries to send.</summary>
internal sealed unsafe class ClosingModel() : ChanModel(1)
{
    internal override int Depth => 2;

    internal override (string, string)[] Barriers =>
    [
        ("closing-unlock", "ShortLock.Release VolatileWrite ShortLock._held"),
    ];

    internal override Action[] Threads => [SendAndClose, Look, TrySend];

    private void SendAndClose()
    {
        Enter();
        Try(0);
        Channel.Close();
    }

    private void Look()
    {
        Enter();
        bool isClosed = false;
        while (!isClosed)
        {
            if (Channel.TryReceive(out nint element, out isClosed))
            {
                Explorer.Assert(!isClosed, "An element, and closed.");
                Receive(element);
            }
            else
            {
                Explorer.GiveWay();
            }
        }
        Explorer.Assert(!Channel.TryReceive(out _), "Something is received from what was closed and drained.");
    }

    private void TrySend()
    {
        Enter();
        Try(1);
    }

    private void Try(int number)
    {
        try
        {
            if (Channel.TrySend(Make(number)))
            {
                Sent(number);
            }
        }
        catch (ChannelClosedException)
        {
            // Not sent.
        }
    }
}

/// <summary>One waits for either of two channels, on which two others send.</summary>
internal sealed unsafe class SelectModel() : ChanModel(0)
{
    private readonly Chan<nint> _second = new(0);
    private ReceiveCase<nint> _fromFirst = null!;
    private ReceiveCase<nint> _fromSecond = null!;

    internal override int Depth => 1;

    internal override (string, string)[] Barriers =>
    [
        ("select-unlock", "ShortLock.Release VolatileWrite ShortLock._held"),
        ("select-wake", "Scheduler.WakeThread VolatileWrite Goroutine.Wakened"),
        ("select-lock", "Switch.EnterLock CompareExchange ?"),
    ];

    /// <summary>A select looks whether somebody waits before it takes a lock: what it finds it asks again with the
    /// lock, and where it finds nothing it takes all of them.</summary>
    internal override string[] Races => ["WaitQueue._head"];

    internal override Action[] Threads => [Choose, () => Send(Channel, 0), () => Send(_second, 1)];

    /// <summary>The cases too: a waiting one is referred to from memory that the collector does not know.</summary>
    internal override void Prepare()
    {
        _fromFirst = new ReceiveCase<nint>(Channel);
        _fromSecond = new ReceiveCase<nint>(_second);
        Explorer.Adopt(Channel, _second, _fromFirst, _fromSecond);
    }

    private void Choose()
    {
        Enter();
        bool isFirst = Select.Wait(_fromFirst, _fromSecond) == 0;
        Receive((isFirst ? _fromFirst : _fromSecond).Value);
        Receive((isFirst ? _second : Channel).Receive());
    }

    private void Send(Chan<nint> channel, int number)
    {
        Enter();
        Sent(number);
        channel.Send(Make(number));
    }
}
