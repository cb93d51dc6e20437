// A channel. Three invariants hold whenever the lock is free:
//
//   1. At least one of the two wait queues is empty, but for a goroutine that selects both ways.
//   2. A receiver waits only on an empty buffer, a sender only on a full one.
//   3. After close both queues are empty.
//
// An element passes straight between two goroutines when the other side waits: Waiter.Slot is the address
// of a local of the parked one, whose stack does not move while it is parked. A reference written there
// is seen by the collector, because parked stacks are roots. The element of a select lies in its case, an
// object (SelectCase.cs). The queues may hold waiters of selects that have gone on: WaitQueue skips them.
//
// The waiter is enqueued under the lock, and the lock is released only once the goroutine has left its
// stack (Release as the commit of Park): nobody can ready it too early.
//
// TrySend and TryReceive look without the lock first. Closing cannot be undone, so two reads are enough:
// what is seen empty, and after that not closed, was both at the first read; what is seen open, and after
// that full, was both at the second, or just before the close: its receivers then get that.
// Locks: see ChanState.cs.

using System.Collections;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A channel of Go: a typed queue between goroutines that blocks the sender while it is full and the
/// receiver while it is empty. Capacity 0 makes each send wait for its receive. Safe for any number of
/// goroutines and threads at once; waiting goroutines are served in order of arrival. A goroutine that
/// waits costs no OS thread; a thread that is not a goroutine may wait too, and blocks.
/// <see cref="Select"/> waits on several.
/// </summary>
/// <typeparam name="T">The element.</typeparam>
[DebuggerDisplay("{DebugText,nq}")]
[DebuggerTypeProxy(typeof(ChanDebugView<>))]
public sealed unsafe class Chan<T> : Chan, IEnumerable<T>
{
    private readonly T[] _buffer;

    /// <summary>Makes a channel. Go: make(chan T, capacity).</summary>
    /// <param name="capacity">How many elements it holds before a send waits; 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative.</exception>
    public Chan(int capacity = 0)
        : this(capacity, Bubble.OfCaller())
    {
    }

    /// <summary>One that was made in this bubble, or in none.</summary>
    internal Chan(int capacity, Bubble? bubble)
        : base(capacity, bubble)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        _buffer = capacity == 0 ? [] : new T[capacity];
    }

    /// <summary>What ChanExtensions.Count shows.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)] // It asks the source, which may send then.
    internal int BufferedCount
    {
        get
        {
            Source?.Poll();
            return Volatile.Read(ref _count);
        }
    }

    /// <summary>For debuggers: ChanDebugView.cs.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)]
    internal string DebugText =>
        $"Count = {_count} of {Capacity}{(_closed ? ", closed" : "")}"
        + (_receivers.LooksEmpty ? "" : ", receivers wait") + (_senders.LooksEmpty ? "" : ", senders wait");

    internal override bool CanSendNow => _closed || !_receivers.IsEmpty || _count < Capacity;

    /// <summary>Whether a receive seems to need no waiting; stale as soon as it is read.</summary>
    internal bool LooksReady => !LooksEmpty || Volatile.Read(ref _closed);

    /// <summary>The same of a send.</summary>
    internal bool LooksReadyToSend => Volatile.Read(ref _closed) || !LooksFull;

    private bool LooksFull => Capacity == 0 ? _receivers.LooksEmpty : Volatile.Read(ref _count) == Capacity;

    private bool LooksEmpty => Capacity == 0 ? _senders.LooksEmpty : Volatile.Read(ref _count) == 0;

    /// <summary>Sends a value; waits while the channel is full. Go: c &lt;- value.</summary>
    /// <param name="value">The element.</param>
    /// <exception cref="ChannelClosedException">The channel is closed, or was closed while the sender
    /// waited: the value was not sent.</exception>
    public void Send(T value)
    {
        if (_bubble != null)
        {
            SendInBubble(value);
            return;
        }
        SendFrom(ref value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void SendInBubble(T value)
    {
        EnterBubble();
        SendFrom(ref value);
        LeaveBubble();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void SendFrom(ref T value)
    {
        _lock.Enter();
        Outcome outcome = SendNow(ref value, out Goroutine* receiver);
        if (outcome == Outcome.Done)
        {
            Unlock(receiver);
            return;
        }
        if (outcome == Outcome.Closed)
        {
            _lock.Exit();
            ThrowClosed();
        }
        if (!Wait(ref _senders, ref value, ParkReason.ChanSend))
        {
            ThrowClosed();
        }
    }

    /// <summary>The same, but stops waiting when the token is cancelled.</summary>
    /// <param name="value">The element.</param>
    /// <param name="cancellationToken">Ends the wait. A wait with a token that can be cancelled
    /// allocates.</param>
    /// <exception cref="ChannelClosedException">As without a token.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, before the call or while it waited: the
    /// value was not sent.</exception>
    public void Send(T value, CancellationToken cancellationToken)
    {
        CancelCause.ThrowIfCancelled(cancellationToken);
        if (!cancellationToken.CanBeCanceled)
        {
            Send(value);
        }
        else if (!TrySend(value))
        {
            _ = Select.Wait(cancellationToken, new SendCase<T>(this, value));
        }
    }

    /// <summary>Sends a value if that needs no waiting: a receiver waits, or the buffer has room. Go: a
    /// select of one send and a default.</summary>
    /// <param name="value">The element.</param>
    /// <returns>False when it was not sent.</returns>
    /// <exception cref="ChannelClosedException">The channel is closed.</exception>
    public bool TrySend(T value)
    {
        EnterBubble();
        Outcome outcome = SendIfOpen(value);
        if (outcome == Outcome.Closed)
        {
            ThrowClosed();
        }
        return outcome == Outcome.Done;
    }

    /// <summary>TrySend without the exception.</summary>
    internal Outcome SendIfOpen(T value)
    {
        if (!Volatile.Read(ref _closed) && LooksFull)
        {
            return Outcome.Waits;
        }
        _lock.Enter();
        Outcome outcome = SendNow(ref value, out Goroutine* receiver);
        Unlock(receiver);
        return outcome;
    }

    /// <summary>Receives a value; waits while the channel is empty. From a channel that is closed and
    /// drained it returns the default value at once. Go: &lt;-c.</summary>
    /// <returns>The element, or the default.</returns>
    public T Receive()
    {
        _ = Receive(out T value);
        return value;
    }

    /// <summary>Receives a value; waits while the channel is empty. Go: value, ok := &lt;-c.</summary>
    /// <param name="value">The element, or the default when there is none.</param>
    /// <returns>False when the channel is closed and drained.</returns>
    public bool Receive(out T value)
    {
        Unsafe.SkipInit(out value);
        T element = default!;
        bool received = ReceiveInto(ref element);
        value = element;
        return received;
    }

    /// <summary>The same, but stops waiting when the token is cancelled.</summary>
    /// <param name="value">The element, or the default when there is none.</param>
    /// <param name="cancellationToken">Ends the wait. A wait with a token that can be cancelled
    /// allocates.</param>
    /// <returns>False when the channel is closed and drained.</returns>
    /// <exception cref="OperationCanceledException">Cancelled, before the call or while it waited: nothing
    /// was received.</exception>
    public bool Receive(out T value, CancellationToken cancellationToken)
    {
        CancelCause.ThrowIfCancelled(cancellationToken);
        if (!cancellationToken.CanBeCanceled)
        {
            return Receive(out value);
        }
        if (TryReceive(out value, out bool isClosed) || isClosed)
        {
            return !isClosed;
        }
        ReceiveCase<T> receive = new(this);
        _ = Select.Wait(cancellationToken, receive);
        value = receive.Value;
        return receive.Ok;
    }

    /// <summary>The same; from a channel that is closed and drained it returns the default value.</summary>
    /// <param name="cancellationToken">Ends the wait. A wait with a token that can be cancelled
    /// allocates.</param>
    /// <returns>The element, or the default.</returns>
    /// <exception cref="OperationCanceledException">Cancelled, before the call or while it waited: nothing
    /// was received.</exception>
    public T Receive(CancellationToken cancellationToken)
    {
        _ = Receive(out T value, cancellationToken);
        return value;
    }

    /// <summary>Receives a value if one is there. Go: a select of one receive and a default.</summary>
    /// <param name="value">The element, or the default when there is none.</param>
    /// <returns>False when nothing was received: the channel is empty, or closed and drained.</returns>
    public bool TryReceive(out T value) => TryReceive(out value, out _);

    /// <summary>The same; says which of the two it is when there is nothing.</summary>
    /// <param name="value">The element, or the default when there is none.</param>
    /// <param name="isClosed">True when the channel is closed and drained: nothing will come any more. False
    /// with an element, and when there is none now.</param>
    /// <returns>False when nothing was received.</returns>
    public bool TryReceive(out T value, out bool isClosed)
    {
        value = default!;
        isClosed = false;
        return (!IsPlain || !LooksEmpty || Volatile.Read(ref _closed))
            && LookUnderLock(out value, out isClosed);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool LookUnderLock(out T value, out bool isClosed)
    {
        EnterBubble();
        if (LooksEmpty)
        {
            Source?.Poll();
        }
        value = default!;
        _lock.Enter();
        Outcome outcome = ReceiveNow(ref value, out Goroutine* sender);
        Unlock(sender);
        isClosed = outcome == Outcome.Closed;
        return outcome == Outcome.Done;
    }

    /// <summary>TryReceive without asking the source, which may be the caller.</summary>
    internal bool TryTake(out T value)
    {
        value = default!;
        if (LooksEmpty)
        {
            return false;
        }
        _lock.Enter();
        Outcome outcome = ReceiveNow(ref value, out Goroutine* sender);
        Unlock(sender);
        return outcome == Outcome.Done;
    }

    /// <summary>For debuggers: what is in the buffer.</summary>
    internal T[] CopyForDebugger()
    {
        T[] elements = new T[Math.Clamp(_count, 0, Capacity)];
        for (int i = 0; i < elements.Length; i++)
        {
            elements[i] = _buffer[(_first + i) % Capacity];
        }
        return elements;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool ReceiveInto(ref T element) =>
        _bubble == null ? ReceiveNowOrWait(ref element) : ReceiveInBubble(ref element);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ReceiveInBubble(ref T element)
    {
        EnterBubble();
        bool received = ReceiveNowOrWait(ref element);
        LeaveBubble();
        return received;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool ReceiveNowOrWait(ref T element)
    {
        _lock.Enter();
        Outcome outcome = ReceiveNow(ref element, out Goroutine* sender);
        if (outcome == Outcome.Waits)
        {
            if (Source != null)
            {
                Unlock();
                return ReceiveInto(ref element, Source);
            }
            return Wait(ref _receivers, ref element, ParkReason.ChanReceive);
        }
        Unlock(sender);
        return outcome == Outcome.Done;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ReceiveInto(ref T element, IChanSource source)
    {
        source.Poll();
        try
        {
            source.Watch();
            _lock.Enter();
            Outcome outcome = ReceiveNow(ref element, out Goroutine* sender);
            if (outcome == Outcome.Waits)
            {
                return Wait(ref _receivers, ref element, ParkReason.ChanReceive);
            }
            Unlock(sender);
            return outcome == Outcome.Done;
        }
        finally
        {
            source.Unwatch();
        }
    }

    /// <summary>With the lock held. The receiver that got the value, if one waited, is to be readied after
    /// the lock is released.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome SendNow(ref T value, out Goroutine* receiver)
    {
        receiver = null;
        if (_closed)
        {
            return Outcome.Closed;
        }
        Waiter* waiter = _receivers.Dequeue();
        if (waiter != null)
        {
            if (RuntimeHelpers.IsReferenceOrContainsReferences<T>())
            {
                GcAges.Forget(waiter->Goroutine); // After its waiter has left the queue: see there.
            }
            HandOver(0);
            ElementOfReceiver(waiter) = value;
            HandOver(1);
            waiter->Success = true;
            receiver = waiter->Goroutine;
            return Outcome.Done;
        }
        if (_count < Capacity)
        {
            int at = _first + _count;
            _buffer[at >= Capacity ? at - Capacity : at] = value;
            Volatile.Write(ref _count, _count + 1);
            return Outcome.Done;
        }
        return Outcome.Waits;
    }

    /// <summary>With the lock held. The sender whose value was taken, if one waited, is to be readied after
    /// the lock is released.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome ReceiveNow(ref T element, out Goroutine* sender)
    {
        sender = null;
        if (_count > 0)
        {
            ref T first = ref _buffer[_first];
            element = first;
            _first = _first + 1 == Capacity ? 0 : _first + 1;
            Waiter* refill = DequeueSender();
            if (refill != null)
            {
                first = TakeFrom(refill, out sender); // The buffer was full: its end is where it began.
                return Outcome.Done;
            }
            first = default!;
            Volatile.Write(ref _count, _count - 1);
            return Outcome.Done;
        }
        Waiter* waiter = DequeueSender();
        if (waiter != null)
        {
            element = TakeFrom(waiter, out sender);
            return Outcome.Done;
        }
        return _closed ? Outcome.Closed : Outcome.Waits;
    }

    private static T TakeFrom(Waiter* waiter, out Goroutine* sender)
    {
        waiter->Success = true;
        sender = waiter->Goroutine;
        return waiter->IsSelect
            ? Unsafe.As<SendCase<T>>(SelectCase.Of(waiter)).Element
            : Unsafe.AsRef<T>(waiter->Slot);
    }

    private static ref T ElementOfReceiver(Waiter* waiter)
    {
        if (waiter->IsSelect)
        {
            return ref Unsafe.As<ReceiveCase<T>>(SelectCase.Of(waiter)).Element;
        }
        return ref Unsafe.AsRef<T>(waiter->Slot);
    }

    /// <summary>Called with the lock held, which it releases. True when a peer took or gave the element;
    /// false when the channel was closed first. In line: a call costs a fifth of a ping-pong.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Wait(ref WaitQueue queue, ref T element, ParkReason reason)
    {
        T local = element; // On this stack: what its address is taken of must be.
        Goroutine* g = Current.GoroutineOrNull();
        if (g == null)
        {
            g = EnterWait();
        }
        Waiter* waiter = Goroutine.WaiterOf(g);
        waiter->Goroutine = g;
        waiter->Slot = Unsafe.AsPointer(ref local);
        waiter->Success = false;
        Goroutine.ParkObject(g) = this;
        queue.Enqueue(waiter);
        Park(g, reason);
        bool success = waiter->Success;
        waiter->Slot = null;
        Goroutine.ParkObject(g) = null;
        if (!success)
        {
            Scheduler.ExitIfAbandoned(g);
        }
        Scheduler.LeaveWait(g);
        element = local;
        return success;
    }

    /// <summary>Receives until the channel is closed and drained. Go: for v := range c.</summary>
    /// <returns>An enumerator; several goroutines may have one each, and share the elements.</returns>
    public Enumerator GetEnumerator() => new(this);

    IEnumerator<T> IEnumerable<T>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Receives from a channel until it is closed and drained.</summary>
    public struct Enumerator : IEnumerator<T>
    {
        private readonly ReceiveChan<T> _channel;
        private T _current;

        internal Enumerator(ReceiveChan<T> channel)
        {
            _channel = channel;
            _current = default!;
        }

        /// <summary>The element received last.</summary>
        public readonly T Current => _current;

        readonly object? IEnumerator.Current => _current;

        /// <summary>Receives the next element; waits for it.</summary>
        /// <returns>False when the channel is closed and drained.</returns>
        public bool MoveNext() => _channel.Receive(out _current);

        /// <summary>Not supported: what was received is gone from the channel.</summary>
        /// <exception cref="NotSupportedException">Always.</exception>
        public readonly void Reset() => throw new NotSupportedException();

        /// <summary>Does nothing; the channel stays as it is.</summary>
        public readonly void Dispose()
        {
        }
    }
}
