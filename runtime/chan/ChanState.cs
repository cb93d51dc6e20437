// What a channel is without its elements: a lock, two queues, closed or not. A select sees channels of
// different elements only as this.
//
// Locks: _lock, a leaf but for the scheduler's and GoroutineExtras'. A select holds those of all its
// channels, taken in the order of Id. The id is given on the first select: most channels never need one.
// Rejected: the order of addresses, as in Go. Here the collector moves a channel.

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft;

/// <summary>What an attempt under the lock comes to.</summary>
internal enum Outcome
{
    /// <summary>Nothing has changed: the caller would have to wait.</summary>
    Waits,

    Done,

    /// <summary>Nothing has changed: the channel is closed, and drained if this is a receive.</summary>
    Closed,

    /// <summary>Nothing has changed: another select waits with the same case.</summary>
    Misused,

    /// <summary>Nothing has changed: the wait was ended by its scope.</summary>
    Ended,
}

/// <summary>A channel of any element. Make a <see cref="Chan{T}"/>.</summary>
public abstract unsafe class Chan : IParkPlace, IBubbled
{
    private const string What = "The channel";

    private static long s_lastId;

    private protected ShortLock _lock;
    private protected WaitQueue _senders;
    private protected WaitQueue _receivers;
    private protected int _first; // Of those in the buffer, as _count. Guarded by the lock.
    private protected int _count;
    private protected bool _closed;

    /// <summary>Probes that a receiver has met, to be readied after the lock is released. Guarded by
    /// it.</summary>
    private Goroutine* _probes;

    /// <summary>The bubble that it was made in, or null.</summary>
    private protected readonly Bubble? _bubble;

    private long _id;

    private protected Chan(int capacity, Bubble? bubble)
    {
        Capacity = capacity;
        _bubble = bubble;
        IsPlain = bubble == null;
    }

    /// <summary>Called by who has taken a receiver out of the queue, under the lock: before it writes the
    /// element to the receiver's frame, 0, and after that, 1. For tests: in builds with checks
    /// only.</summary>
    internal static delegate*<int, void> AtHandOver { get; set; }

    /// <summary>How many elements the channel can hold without a receiver. Go: cap.</summary>
    public int Capacity { get; }

    /// <summary>The error that an adapter closed it with. Written before the close.</summary>
    internal Exception? Error { get; set; }

    /// <summary>Who sends to it only when it is asked to. Null for most; set before others know the
    /// channel.</summary>
    internal IChanSource? Source
    {
        get;
        init
        {
            field = value;
            IsPlain &= value == null;
        }
    }

    /// <summary>Whether it has neither a bubble nor a source: nobody has to be asked first.</summary>
    internal bool IsPlain { get; private init; }

    internal bool IsClosed => Volatile.Read(ref _closed);

    [Conditional("WEFT_CHECKS")]
    private protected static void HandOver(int step)
    {
        if (AtHandOver != null)
        {
            AtHandOver(step);
        }
    }

    /// <summary>Never 0, the same for good.</summary>
    [DebuggerBrowsable(DebuggerBrowsableState.Never)] // Who asks first makes it.
    internal long Id
    {
        get
        {
            long id = Volatile.Read(ref _id);
            return id != 0 ? id : GiveId();
        }
    }

    /// <summary>Closes the channel: receivers drain it and then find it closed; senders fail. Only a
    /// sender should close. Go: close.</summary>
    /// <exception cref="ChannelClosedException">It is closed already.</exception>
    /// <exception cref="InvalidOperationException">It was made in a bubble of <c>WeftTest.Run</c>, and the
    /// caller is not of it.</exception>
    public void Close()
    {
        EnterBubble();
        if (!TryClose())
        {
            throw new ChannelClosedException("The channel is closed already.");
        }
        LeaveBubble();
    }

    bool IBubbled.IsOf(Bubble bubble) => _bubble == bubble;

    internal Bubble? MadeIn => _bubble;

    /// <summary>Before an operation: the caller has to be of the channel's bubble, if that has one; others of
    /// it may run first.</summary>
    internal void EnterBubble()
    {
        if (_bubble != null)
        {
            _bubble.CheckCaller(What);
            Bubble.Point();
        }
    }

    /// <summary>After one.</summary>
    internal void LeaveBubble()
    {
        if (_bubble != null)
        {
            Bubble.Point();
        }
    }

    /// <summary>False when it is closed already.</summary>
    internal bool TryClose(Exception? error = null)
    {
        _lock.Enter();
        if (_closed)
        {
            _lock.Exit();
            return false;
        }
        Error = error;
        Volatile.Write(ref _closed, true); // Pairs with the attempts that do not take the lock.
        // Both: a goroutine that selects may wait to send and to receive on the same channel.
        Goroutine* receivers = _receivers.DequeueAll();
        Goroutine* senders = _senders.DequeueAll();
        _lock.Exit();
        Scheduler.ReadyAll(receivers);
        Scheduler.ReadyAll(senders);
        return true;
    }

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        ref WaitQueue queue = ref g->Reason == ParkReason.ChanSend ? ref _senders : ref _receivers;
        bool waits = queue.RemoveIfParked(g, this);
        if (waits)
        {
            Goroutine.WaiterOf(g)->Success = false;
        }
        _lock.Exit();
        return waits;
    }

    /// <summary>For a select; in the order of Id.</summary>
    internal void Lock() => _lock.Enter();

    /// <summary>Releases the lock, then readies the probes that were met under it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Unlock()
    {
        Goroutine* probes = _probes;
        if (probes != null)
        {
            UnlockAndReady(probes);
            return;
        }
        _lock.Exit();
    }

    /// <summary>The same, then readies the peer of whoever had the lock, if there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Unlock(Goroutine* peer)
    {
        if (_probes != null)
        {
            UnlockAndReady(_probes, peer);
        }
        else if (peer != null)
        {
            Scheduler.UnlockAndReady(ref _lock, peer);
        }
        else
        {
            _lock.Exit();
        }
    }

    /// <summary>With the lock held, which it releases once the goroutine, which has enqueued itself, has left
    /// its stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected void Park(Goroutine* g, ParkReason reason)
    {
        if (_probes != null || !Scheduler.TryParkAndUnlock(g, ref _lock, reason))
        {
            Scheduler.Park(g, &Release, null, reason);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void UnlockAndReady(Goroutine* probes, Goroutine* peer)
    {
        UnlockAndReady(probes);
        if (peer != null)
        {
            Scheduler.Ready(peer);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void UnlockAndReady(Goroutine* probes)
    {
        _probes = null;
        _lock.Exit();
        Scheduler.ReadyAll(probes);
    }

    internal void EnqueueSender(Waiter* waiter) => _senders.Enqueue(waiter);

    internal void EnqueueReceiver(Waiter* waiter) => _receivers.Enqueue(waiter);

    internal void RemoveSender(Waiter* waiter) => _senders.RemoveIfQueued(waiter);

    internal void RemoveReceiver(Waiter* waiter) => _receivers.RemoveIfQueued(waiter);

    /// <summary>Whether a send would not wait, with the lock held; without it stale. A receiver that was
    /// found may turn out to be taken by another case of its select.</summary>
    internal abstract bool CanSendNow { get; }

    /// <summary>The sender that waits longest. Probes before it are told that it would have been their
    /// turn.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected Waiter* DequeueSender()
    {
        Waiter* sender = _senders.Dequeue();
        return sender == null || !sender->IsProbe ? sender : SkipProbes(sender);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private Waiter* SkipProbes(Waiter* probe)
    {
        do
        {
            probe->Success = true;
            probe->Goroutine->Link = _probes;
            _probes = probe->Goroutine;
            probe = _senders.Dequeue();
        }
        while (probe != null && probe->IsProbe);
        return probe;
    }

    /// <summary>For Scheduler.Park: releases the lock of the channel that g waits on.</summary>
    private protected static bool Release(Goroutine* g, void* argument)
    {
        Unsafe.As<Chan>(Goroutine.ParkObject(g)!).Unlock();
        return true;
    }

    /// <summary>Starting the runtime, or taking a stand-in for a thread, can fail: not with the lock
    /// held.</summary>
    private protected Goroutine* EnterWait()
    {
        try
        {
            return Scheduler.EnterWait();
        }
        catch
        {
            Unlock();
            throw;
        }
    }

    [DoesNotReturn]
    internal static void ThrowClosed() =>
        throw new ChannelClosedException("The channel is closed: the value was not sent.");

    [MethodImpl(MethodImplOptions.NoInlining)]
    private long GiveId()
    {
        long id = Interlocked.Increment(ref s_lastId);
        long other = Interlocked.CompareExchange(ref _id, id, 0);
        return other != 0 ? other : id;
    }
}
