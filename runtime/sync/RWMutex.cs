// Go's reader/writer lock. A writer announces itself by making the count of readers negative: from then on
// readers queue up behind it, so they cannot starve it; and when it unlocks, the readers that came meanwhile
// go before the next writer, so writers cannot starve them.
//
//   _readers    who reads or wants to; MaxReaders less while a writer writes or waits
//   _leaving    readers that the writer which has announced itself waits for; for a moment negative, when one
//               has left before the writer has added them
//   _writing    1 from the moment the writer has the lock to Unlock
//
// A reader that was let in may not be in the queue yet: it finds its leave in _admitted. If another takes it
// first, the two have changed places, and every count is as before.
//
// Announcing cannot be taken back (others have counted it), so a wait after it may not fail. A thread that
// gets no stand-in, for lack of memory or because the runtime does not start, looks again every millisecond
// instead.
//
// Rejected: everything under the lock, as in WaitGroup: readers that only read would contend for it.
// Locks: _lock, a leaf but for the scheduler's. Never while _writers is locked or unlocked.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// A lock for any number of readers or one writer. Go: sync.RWMutex. A writer that waits goes before readers
/// that come later, so a goroutine that reads already must not call <see cref="RLock"/> again: it may wait
/// for a writer that waits for it. Goroutines park, other threads block. Not reentrant; another goroutine
/// or thread may unlock it.
/// </summary>
public sealed unsafe class RWMutex : IParkLock, IParkPlace
{
    private const int MaxReaders = 1 << 30;

    private readonly Mutex _writers = new();
    private int _readers;
    private int _leaving;
    private int _writing;
    private ShortLock _lock;
    private WaitQueue _waitingReaders;
    private int _admitted;
    private Goroutine* _waitingWriter;
    private bool _writerMayGo;

    /// <summary>Locks it for reading; waits while a writer has it or waits for it.</summary>
    public void RLock()
    {
        if (Interlocked.Increment(ref _readers) < 0)
        {
            WaitForWriter();
        }
    }

    /// <summary>Locks it for reading if no writer has it or waits for it. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    public bool TryRLock()
    {
        int old = Volatile.Read(ref _readers);
        while (old >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _readers, old + 1, old);
            if (seen == old)
            {
                return true;
            }
            old = seen;
        }
        return false;
    }

    /// <summary>Undoes one RLock.</summary>
    /// <exception cref="InvalidOperationException">It is not locked for reading.</exception>
    public void RUnlock()
    {
        int old = Volatile.Read(ref _readers);
        while (true)
        {
            if (old is 0 or -MaxReaders || (old < 0 && Volatile.Read(ref _writing) != 0))
            {
                throw new InvalidOperationException("RUnlock of an RWMutex that is not locked for reading.");
            }
            int seen = Interlocked.CompareExchange(ref _readers, old - 1, old);
            if (seen == old)
            {
                break;
            }
            old = seen;
        }
        if (old < 0 && Interlocked.Decrement(ref _leaving) == 0)
        {
            AdmitWriter();
        }
    }

    /// <summary>Locks it for writing; waits while anybody has it.</summary>
    public void Lock()
    {
        _writers.Lock();
        int readers = Interlocked.Add(ref _readers, -MaxReaders) + MaxReaders;
        if (readers != 0 && Interlocked.Add(ref _leaving, readers) != 0)
        {
            try
            {
                WaitForReaders();
            }
            catch (GoroutineExit)
            {
                _writers.Unlock();
                throw;
            }
        }
        Volatile.Write(ref _writing, 1);
    }

    /// <summary>Locks it for writing if nobody has it or waits to write. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    public bool TryLock()
    {
        if (!_writers.TryLock())
        {
            return false;
        }
        if (Interlocked.CompareExchange(ref _readers, -MaxReaders, 0) != 0)
        {
            _writers.Unlock();
            return false;
        }
        Volatile.Write(ref _writing, 1);
        return true;
    }

    /// <summary>Undoes Lock; lets the readers in that wait, then the next writer.</summary>
    /// <exception cref="InvalidOperationException">It is not locked for writing.</exception>
    public void Unlock()
    {
        if (Interlocked.Exchange(ref _writing, 0) == 0)
        {
            throw new InvalidOperationException("Unlock of an RWMutex that is not locked for writing.");
        }
        int readers = Interlocked.Add(ref _readers, MaxReaders);
        if (readers != 0)
        {
            AdmitReaders(readers);
        }
        _writers.Unlock();
    }

    /// <summary>Locks it for reading until the scope is disposed.</summary>
    /// <returns>What unlocks it.</returns>
    public ReadScope EnterReadScope()
    {
        RLock();
        return new ReadScope(this);
    }

    /// <summary>Locks it for writing until the scope is disposed.</summary>
    /// <returns>What unlocks it.</returns>
    public Scope EnterScope()
    {
        Lock();
        return new Scope(this);
    }

    void IParkLock.Unlock() => _lock.Exit();

    bool IParkPlace.Abandon(Goroutine* g)
    {
        _lock.Enter();
        bool waits = true;
        if (_waitingWriter == g)
        {
            // Nobody who has it for reading will leave. Those who wait to read are abandoned as well.
            TakeWaitingWriter();
            _leaving = 0;
            Interlocked.Add(ref _readers, MaxReaders);
        }
        else if (_waitingReaders.RemoveIfParked(g, this))
        {
            Interlocked.Decrement(ref _readers);
        }
        else
        {
            waits = false;
        }
        _lock.Exit();
        return waits;
    }

    private void WaitForWriter()
    {
        Goroutine* g = EnterWait();
        while (true)
        {
            _lock.Enter();
            if (_admitted > 0)
            {
                _admitted--;
                _lock.Exit();
                break;
            }
            if (g != null)
            {
                Waiter* waiter = Goroutine.WaiterAt(g, 0);
                waiter->Goroutine = g;
                _waitingReaders.Enqueue(waiter);
                Park(g);
                break;
            }
            _lock.Exit();
            Thread.Sleep(1);
        }
        LeaveWait(g);
    }

    private void AdmitReaders(int count)
    {
        ReadyList list = default;
        _lock.Enter();
        for (; count > 0 && !_waitingReaders.IsEmpty; count--)
        {
            list.Add(_waitingReaders.Dequeue()->Goroutine);
        }
        _admitted += count;
        _lock.Exit();
        list.Ready();
    }

    private void WaitForReaders()
    {
        Goroutine* g = EnterWait();
        while (true)
        {
            _lock.Enter();
            if (_writerMayGo)
            {
                _writerMayGo = false;
                _lock.Exit();
                break;
            }
            if (g != null)
            {
                _waitingWriter = g;
                Goroutine.WaiterAt(g, 0)->IsQueued = true;
                Park(g);
                break;
            }
            _lock.Exit();
            Thread.Sleep(1);
        }
        LeaveWait(g);
    }

    private void AdmitWriter()
    {
        _lock.Enter();
        Goroutine* g = TakeWaitingWriter();
        _writerMayGo = g == null;
        _lock.Exit();
        if (g != null)
        {
            Scheduler.Ready(g);
        }
    }

    /// <summary>With the lock held. Null when none waits.</summary>
    private Goroutine* TakeWaitingWriter()
    {
        Goroutine* g = _waitingWriter;
        _waitingWriter = null;
        if (g != null)
        {
            Goroutine.WaiterAt(g, 0)->IsQueued = false;
        }
        return g;
    }

    /// <summary>With the lock held, which it releases.</summary>
    private void Park(Goroutine* g)
    {
        Goroutine.ParkObject(g) = this;
        Scheduler.Park(g, &ParkLock.Release, null, ParkReason.RWMutex);
        Goroutine.ParkObject(g) = null;
        Scheduler.ExitIfAbandoned(g);
    }

    /// <summary>Null for a thread when there is no stand-in to be had.</summary>
    private static Goroutine* EnterWait()
    {
        try
        {
            return Scheduler.EnterWait();
        }
        catch (Exception)
        {
            return null;
        }
    }

    private static void LeaveWait(Goroutine* g)
    {
        if (g != null)
        {
            Scheduler.LeaveWait(g);
        }
    }

    /// <summary>Undoes RLock when it is disposed.</summary>
    public ref struct ReadScope
    {
        private RWMutex? _mutex;

        internal ReadScope(RWMutex mutex) => _mutex = mutex;

        /// <summary>Undoes RLock. A second call does nothing.</summary>
        /// <exception cref="InvalidOperationException">It is not locked for reading any more.</exception>
        public void Dispose()
        {
            RWMutex? mutex = _mutex;
            _mutex = null;
            mutex?.RUnlock();
        }
    }

    /// <summary>Undoes Lock when it is disposed.</summary>
    public ref struct Scope
    {
        private RWMutex? _mutex;

        internal Scope(RWMutex mutex) => _mutex = mutex;

        /// <summary>Undoes Lock. A second call does nothing.</summary>
        /// <exception cref="InvalidOperationException">It is not locked for writing any more.</exception>
        public void Dispose()
        {
            RWMutex? mutex = _mutex;
            _mutex = null;
            mutex?.Unlock();
        }
    }
}
