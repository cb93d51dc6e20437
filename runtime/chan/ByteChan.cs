// A channel whose elements are so many bytes each, at addresses that the caller gives: the C face's. The
// rules and the locks are those of Chan<T>; only what an element is differs.
//
// Waiter.Slot is the caller's own address: a peer copies straight from it or to it while the caller is
// parked. It may lie on a goroutine's stack, which does not move while it is parked; growth before the park
// moves the slot. A null slot of a receiver takes the element and drops it.
//
// Rejected: Chan<T> with a struct for each size. Every size would be compiled, and none of the large ones.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal sealed unsafe class ByteChan : Chan
{
    private byte[] _buffer;
    private readonly int _size;

    /// <summary>The size of an element, 0 or more; their product with the capacity fits an array.</summary>
    internal ByteChan(int size, int capacity)
        : base(capacity, Bubble.OfCaller())
    {
        _size = size;
        _buffer = size == 0 || capacity == 0 ? [] : new byte[checked(size * capacity)];
    }

    internal int ElementSize => _size;

    /// <summary>Closes it and drops what is in it. A case may hold it until the next select of its
    /// goroutine: without the elements.</summary>
    internal void Drop()
    {
        _ = TryClose();
        _lock.Enter();
        Volatile.Write(ref _count, 0);
        _buffer = [];
        _lock.Exit();
    }

    internal int BufferedCount => Volatile.Read(ref _count);

    internal override bool CanSendNow => _closed || !_receivers.IsEmpty || _count < Capacity;

    /// <summary>False where it seems that it would have to wait; stale as soon as it is read.</summary>
    internal bool LooksReady(bool sends) => Volatile.Read(ref _closed) || !(sends ? LooksFull : LooksEmpty);

    private bool LooksFull => Capacity == 0 ? _receivers.LooksEmpty : Volatile.Read(ref _count) == Capacity;

    private bool LooksEmpty => Capacity == 0 ? _senders.LooksEmpty : Volatile.Read(ref _count) == 0;

    /// <summary>Sends what is at the address; waits while the channel is full. Closed: it was not sent.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome Send(void* element)
    {
        _lock.Enter();
        Outcome outcome = SendNow(element, out Goroutine* receiver);
        if (outcome == Outcome.Waits)
        {
            return Wait(ref _senders, element, ParkReason.ChanSend);
        }
        Unlock(receiver);
        return outcome;
    }

    /// <summary>The same, but Waits where it would wait.</summary>
    internal Outcome TrySend(void* element)
    {
        if (!Volatile.Read(ref _closed) && LooksFull)
        {
            return Outcome.Waits;
        }
        _lock.Enter();
        Outcome outcome = SendNow(element, out Goroutine* receiver);
        Unlock(receiver);
        return outcome;
    }

    /// <summary>Receives to the address; waits while the channel is empty. Closed: there is nothing, and the
    /// element is made zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome Receive(void* element)
    {
        _lock.Enter();
        Outcome outcome = ReceiveNow(element, out Goroutine* sender);
        if (outcome == Outcome.Waits)
        {
            outcome = Wait(ref _receivers, element, ParkReason.ChanReceive);
        }
        else
        {
            Unlock(sender);
        }
        if (outcome == Outcome.Closed)
        {
            Clear(element);
        }
        return outcome;
    }

    /// <summary>The same, but Waits where it would wait.</summary>
    internal Outcome TryReceive(void* element)
    {
        if (LooksEmpty && !Volatile.Read(ref _closed))
        {
            return Outcome.Waits;
        }
        _lock.Enter();
        Outcome outcome = ReceiveNow(element, out Goroutine* sender);
        Unlock(sender);
        if (outcome == Outcome.Closed)
        {
            Clear(element);
        }
        return outcome;
    }

    /// <summary>Send, of one whose TrySend has just said that it waits: Ended when the scope ends
    /// that.</summary>
    internal Outcome Send(void* element, WaitScope scope, long deadline) =>
        WaitIn(scope, deadline, element, sends: true);

    /// <summary>Receive, of one whose TryReceive has just said that it waits: Ended when the scope ends that,
    /// and the element is left alone.</summary>
    internal Outcome Receive(void* element, WaitScope scope, long deadline) =>
        WaitIn(scope, deadline, element, sends: false);

    /// <summary>With the lock held. The receiver that got the element, if one waited, is to be readied after
    /// the lock is released.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome SendNow(void* element, out Goroutine* receiver)
    {
        receiver = null;
        if (_closed)
        {
            return Outcome.Closed;
        }
        Waiter* waiter = _receivers.Dequeue();
        if (waiter != null)
        {
            Copy(element, AddressOf(waiter));
            waiter->Success = true;
            receiver = waiter->Goroutine;
            return Outcome.Done;
        }
        if (_count < Capacity)
        {
            int at = _first + _count;
            Store(at >= Capacity ? at - Capacity : at, element);
            Volatile.Write(ref _count, _count + 1);
            return Outcome.Done;
        }
        return Outcome.Waits;
    }

    /// <summary>With the lock held. The sender whose element was taken, if one waited, is to be readied after
    /// the lock is released.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Outcome ReceiveNow(void* element, out Goroutine* sender)
    {
        sender = null;
        if (_count > 0)
        {
            int first = _first;
            Load(first, element);
            _first = first + 1 == Capacity ? 0 : first + 1;
            Waiter* refill = DequeueSender();
            if (refill != null)
            {
                Store(first, AddressOf(refill)); // The buffer was full: its end is where it began.
                refill->Success = true;
                sender = refill->Goroutine;
                return Outcome.Done;
            }
            Volatile.Write(ref _count, _count - 1);
            return Outcome.Done;
        }
        Waiter* waiter = DequeueSender();
        if (waiter != null)
        {
            Copy(AddressOf(waiter), element);
            waiter->Success = true;
            sender = waiter->Goroutine;
            return Outcome.Done;
        }
        return _closed ? Outcome.Closed : Outcome.Waits;
    }

    internal void Clear(void* element)
    {
        if (element != null)
        {
            Unsafe.InitBlockUnaligned(element, 0, (uint)_size);
        }
    }

    private static void* AddressOf(Waiter* waiter) =>
        waiter->IsSelect ? Unsafe.As<ByteCase>(SelectCase.Of(waiter)).Element : waiter->Slot;

    /// <summary>Called with the lock held, which it releases. Closed: the channel was closed first. Ended: by
    /// the goroutine's scope. Misused: no memory to wait with.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Outcome Wait(ref WaitQueue queue, void* element, ParkReason reason)
    {
        Goroutine* g = Current.Goroutine();
        if (g == null)
        {
            g = StandIn();
            if (g == null)
            {
                return Outcome.Misused;
            }
        }
        else if (ScopeOwner.ScopeOf(g) is WaitScope scope)
        {
            Unlock();
            return WaitIn(scope, TimerNode.Never, element, sends: reason == ParkReason.ChanSend);
        }
        Waiter* waiter = Goroutine.WaiterOf(g);
        waiter->Goroutine = g;
        waiter->Slot = element;
        waiter->Success = false;
        Goroutine.ParkObject(g) = this;
        queue.Enqueue(waiter);
        Park(g, reason);
        bool success = waiter->Success;
        waiter->Slot = null;
        Goroutine.ParkObject(g) = null;
        Scheduler.LeaveWait(g);
        return success ? Outcome.Done : Outcome.Closed;
    }

    /// <summary>For a thread that is no goroutine; null, and the lock is released, when there is no
    /// memory.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Goroutine* StandIn()
    {
        try
        {
            return EnterWait();
        }
        catch (InsufficientMemoryException)
        {
            return null;
        }
    }

    /// <summary>Waits unless that has become needless. Ended: by the scope. Misused: no memory to wait
    /// with.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private Outcome WaitIn(WaitScope scope, long deadline, void* element, bool sends)
    {
        Goroutine* g;
        ScopedChanWait wait;
        bool begun;
        try
        {
            g = Scheduler.EnterWait();
            wait = ScopedChanWait.Of(scope, this, Goroutine.WaiterOf(g), sends);
            begun = scope.Begin(wait, deadline);
        }
        catch (InsufficientMemoryException)
        {
            return Outcome.Misused;
        }
        Outcome outcome = begun ? WaitIn(wait, g, element, sends) : Outcome.Ended;
        scope.End();
        wait.Forget();
        Scheduler.LeaveWait(g);
        if (outcome == Outcome.Closed && !sends)
        {
            Clear(element);
        }
        return outcome;
    }

    private Outcome WaitIn(ScopedChanWait wait, Goroutine* g, void* element, bool sends)
    {
        _lock.Enter();
        Outcome outcome = sends
            ? SendNow(element, out Goroutine* peer) : ReceiveNow(element, out peer);
        if (outcome != Outcome.Waits || wait.IsEnded)
        {
            Unlock(peer);
            return outcome == Outcome.Waits ? Outcome.Ended : outcome;
        }
        Waiter* waiter = wait.Waiter;
        waiter->Goroutine = g;
        waiter->Slot = element;
        waiter->Success = false;
        waiter->Result = WaitResult.Waiting;
        Goroutine.ParkObject(g) = this;
        if (sends)
        {
            _senders.Enqueue(waiter);
        }
        else
        {
            _receivers.Enqueue(waiter);
        }
        Park(g, sends ? ParkReason.ChanSend : ParkReason.ChanReceive);
        bool success = waiter->Success;
        waiter->Slot = null;
        Goroutine.ParkObject(g) = null;
        return success ? Outcome.Done
            : waiter->Result == WaitResult.Cancelled ? Outcome.Ended
            : Outcome.Closed;
    }

    /// <summary>By the scope of the wait.</summary>
    internal void EndWait(ScopedChanWait wait, bool sends)
    {
        Waiter* waiter = wait.Waiter;
        _lock.Enter();
        bool queued = waiter->IsQueued;
        wait.IsEnded = true;
        if (queued)
        {
            waiter->Result = WaitResult.Cancelled;
            (sends ? ref _senders : ref _receivers).Remove(waiter);
        }
        _lock.Exit();
        if (queued)
        {
            Scheduler.Ready(waiter->Goroutine);
        }
    }

    private void Store(int at, void* element)
    {
        if (_size == sizeof(long))
        {
            Unsafe.WriteUnaligned(ref At(at), Unsafe.ReadUnaligned<long>(element));
        }
        else
        {
            Unsafe.CopyBlockUnaligned(ref At(at), ref *(byte*)element, (uint)_size);
        }
    }

    private void Load(int at, void* element)
    {
        if (element == null)
        {
            return;
        }
        if (_size == sizeof(long))
        {
            Unsafe.WriteUnaligned(element, Unsafe.ReadUnaligned<long>(ref At(at)));
        }
        else
        {
            Unsafe.CopyBlockUnaligned(ref *(byte*)element, ref At(at), (uint)_size);
        }
    }

    private void Copy(void* from, void* to)
    {
        if (to == null)
        {
            return;
        }
        if (_size == sizeof(long))
        {
            Unsafe.WriteUnaligned(to, Unsafe.ReadUnaligned<long>(from));
        }
        else
        {
            Unsafe.CopyBlockUnaligned(to, from, (uint)_size);
        }
    }

    private ref byte At(int at) => ref Unsafe.Add(
        ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(_buffer), (nint)at * _size);
}

/// <summary>A case of a select on a <see cref="ByteChan"/>. It serves one after the other: set Use before
/// each.</summary>
internal sealed unsafe class ByteCase() : SelectCase(null)
{
    private bool _sends;

    /// <summary>Where the element is, or goes; null drops what is received.</summary>
    internal void* Element { get; private set; }

    /// <summary>False when the channel was found closed.</summary>
    internal bool Ok { get; private set; }

    internal void Use(ByteChan? channel, bool sends, void* element)
    {
        if (Channel != channel)
        {
            Channel = channel; // With a write barrier, which costs more than the question.
        }
        _sends = sends;
        Element = element;
        Ok = false;
    }

    internal override bool LooksReady => Unsafe.As<ByteChan>(Channel!).LooksReady(_sends);

    internal override Outcome Attempt(out Goroutine* peer)
    {
        ByteChan channel = Unsafe.As<ByteChan>(Channel!);
        Outcome outcome = _sends ? channel.SendNow(Element, out peer) : channel.ReceiveNow(Element, out peer);
        return outcome == Outcome.Waits ? outcome : Finish(outcome == Outcome.Done);
    }

    internal override void Enqueue(Waiter* waiter)
    {
        if (_sends)
        {
            Channel!.EnqueueSender(waiter);
        }
        else
        {
            Channel!.EnqueueReceiver(waiter);
        }
    }

    internal override void Remove(Waiter* waiter)
    {
        if (_sends)
        {
            Channel!.RemoveSender(waiter);
        }
        else
        {
            Channel!.RemoveReceiver(waiter);
        }
    }

    /// <summary>A closed channel is an answer here, for both directions: Ok tells.</summary>
    internal override Outcome Finish(bool success)
    {
        Ok = success;
        if (!success && !_sends)
        {
            Unsafe.As<ByteChan>(Channel!).Clear(Element);
        }
        return Outcome.Done;
    }

    internal override void Invoke()
    {
    }
}
