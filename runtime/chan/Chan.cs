// A channel. Three invariants hold whenever the lock is free:
//
//   1. At least one of the two wait queues is empty.
//   2. A receiver waits only on an empty buffer, a sender only on a full one.
//   3. After close both queues are empty.
//
// An element passes straight between two goroutines when the other side waits: Waiter.Slot is the address
// of a local of the parked one, whose stack does not move while it is parked. A reference written there
// is seen by the collector, because parked stacks are roots.
//
// The waiter is enqueued under the lock, and the lock is released only once the goroutine has left its
// stack (Unlock as the commit of Park): nobody can ready it too early.
// Locks: _lock, a leaf but for the scheduler's.

using System.Collections;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A channel of Go: a typed queue between goroutines that blocks the sender while it is full and the
/// receiver while it is empty. Capacity 0 makes each send wait for its receive. Safe for any number of
/// goroutines and threads at once; waiting goroutines are served in order of arrival. A goroutine that
/// waits costs no OS thread; a thread that is not a goroutine may wait too, and blocks.
/// </summary>
/// <typeparam name="T">The element.</typeparam>
public sealed unsafe partial class Chan<T> : IEnumerable<T>, IParkLock
{
    private readonly T[] _buffer;
    private ShortLock _lock;
    private WaitQueue _senders;
    private WaitQueue _receivers;
    private int _first;
    private int _count;
    private bool _closed;

    /// <summary>Makes a channel. Go: make(chan T, capacity).</summary>
    /// <param name="capacity">How many elements it holds before a send waits; 0 or more.</param>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative.</exception>
    public Chan(int capacity = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(capacity);
        Capacity = capacity;
        _buffer = capacity == 0 ? [] : new T[capacity];
    }

    /// <summary>How many elements the channel can hold without a receiver. Go: cap.</summary>
    public int Capacity { get; }

    /// <summary>What ChanExtensions.Count shows.</summary>
    internal int BufferedCount => Volatile.Read(ref _count);

    /// <summary>Sends a value; waits while the channel is full. Go: c &lt;- value.</summary>
    /// <param name="value">The element.</param>
    /// <exception cref="ChannelClosedException">The channel is closed, or was closed while the sender
    /// waited: the value was not sent.</exception>
    public void Send(T value)
    {
        _lock.Enter();
        if (_closed)
        {
            _lock.Exit();
            ThrowClosed();
        }
        Waiter* receiver = _receivers.Dequeue();
        if (receiver != null)
        {
            Unsafe.AsRef<T>(receiver->Slot) = value;
            receiver->Success = true;
            _lock.Exit();
            Scheduler.Ready(receiver->Goroutine);
            return;
        }
        if (_count < Capacity)
        {
            Append(value);
            _lock.Exit();
            return;
        }
        if (!Wait(ref _senders, ref value, ParkReason.ChanSend))
        {
            ThrowClosed();
        }
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

    private bool ReceiveInto(ref T element)
    {
        _lock.Enter();
        if (_count > 0 || !_senders.IsEmpty)
        {
            return TakeReady(ref element);
        }
        if (_closed)
        {
            _lock.Exit();
            return false;
        }
        return Wait(ref _receivers, ref element, ParkReason.ChanReceive);
    }

    /// <summary>Called with the lock held, which it releases, when an element is there.</summary>
    private bool TakeReady(ref T element)
    {
        if (_count > 0)
        {
            element = RemoveFirst();
            Waiter* refill = _senders.Dequeue();
            if (refill != null)
            {
                Append(Unsafe.AsRef<T>(refill->Slot));
                Finish(refill);
                return true;
            }
            _lock.Exit();
            return true;
        }
        Waiter* sender = _senders.Dequeue();
        element = Unsafe.AsRef<T>(sender->Slot);
        Finish(sender);
        return true;
    }

    /// <summary>Closes the channel: receivers drain it and then find it closed; senders fail. Only a
    /// sender should close. Go: close.</summary>
    /// <exception cref="ChannelClosedException">It is closed already.</exception>
    public void Close()
    {
        _lock.Enter();
        if (_closed)
        {
            _lock.Exit();
            throw new ChannelClosedException("The channel is closed already.");
        }
        FinishClose();
    }

    /// <summary>Called with the lock held, which it releases.</summary>
    private void FinishClose()
    {
        _closed = true;
        Goroutine* list = _receivers.IsEmpty ? _senders.DequeueAll() : _receivers.DequeueAll();
        _lock.Exit();
        Scheduler.ReadyAll(list);
    }

    /// <summary>Receives until the channel is closed and drained. Go: for v := range c.</summary>
    /// <returns>An enumerator; several goroutines may have one each, and share the elements.</returns>
    public Enumerator GetEnumerator() => new(this);

    IEnumerator<T> IEnumerable<T>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    void IParkLock.Unlock() => _lock.Exit();

    /// <summary>Called with the lock held, which it releases. True when a peer took or gave the element;
    /// false when the channel was closed first.</summary>
    private bool Wait(ref WaitQueue queue, ref T element, ParkReason reason)
    {
        T local = element; // On this stack: what its address is taken of must be.
        Goroutine* g = EnterWait();
        Waiter* waiter = Goroutine.WaiterAt(g, 0);
        waiter->Goroutine = g;
        waiter->Slot = Unsafe.AsPointer(ref local);
        waiter->Success = false;
        Goroutine.ParkObject(g) = this;
        queue.Enqueue(waiter);
        Scheduler.Park(g, &ParkLock.Release, null, reason);
        bool success = waiter->Success;
        waiter->Slot = null;
        Goroutine.ParkObject(g) = null;
        Scheduler.LeaveWait(g);
        element = local;
        return success;
    }

    /// <summary>Starting the runtime, or taking a stand-in for a thread, can fail: not with the lock
    /// held.</summary>
    private Goroutine* EnterWait()
    {
        try
        {
            return Scheduler.EnterWait();
        }
        catch
        {
            _lock.Exit();
            throw;
        }
    }

    /// <summary>A sender's element was taken: releases the lock and readies it.</summary>
    private void Finish(Waiter* sender)
    {
        sender->Success = true;
        _lock.Exit();
        Scheduler.Ready(sender->Goroutine);
    }

    private void Append(T value)
    {
        int at = _first + _count;
        at = at >= Capacity ? at - Capacity : at;
        _buffer[at] = value;
        Volatile.Write(ref _count, _count + 1);
    }

    private T RemoveFirst()
    {
        T value = _buffer[_first];
        _buffer[_first] = default!;
        _first = _first + 1 == Capacity ? 0 : _first + 1;
        Volatile.Write(ref _count, _count - 1);
        return value;
    }

    private static void ThrowClosed() =>
        throw new ChannelClosedException("The channel is closed: the value was not sent.");

    /// <summary>Receives from a channel until it is closed and drained.</summary>
    public struct Enumerator : IEnumerator<T>
    {
        private readonly Chan<T> _channel;
        private T _current;

        internal Enumerator(Chan<T> channel)
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
