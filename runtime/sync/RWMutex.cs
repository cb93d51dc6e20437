// Go's reader/writer lock. A writer announces itself: from then on readers queue up behind it, so they
// cannot starve it; and when it unlocks, the readers that came meanwhile go before the next writer, so
// writers cannot starve them.
//
//   _state, one word    63          62 .. 32                             31 .. 0
//                       Announced   readers that the announced writer    who reads or wants to
//                                   waits for
//   _writing            1 from the moment the writer has the lock to Unlock
//
// A reader that was let in may not be in the queue yet: it finds its leave in _admitted. If another takes it
// first, the two have changed places, and every count is as before.
//
// Who gives up, because of its token, takes back what it has announced. All that others have counted it for
// lies in the one word, so that is one exchange, under _lock:
//   a reader, while a writer is announced: one less. Else that writer has just unlocked and has counted the
//       reader: it is let in, and its token comes too late.
//   a writer, while it waits for readers: Announced and what it waits for are cleared, and the readers that
//       came after it are let in. Else the last has just left: as above.
//
// A thread that gets no stand-in, for lack of memory or because the runtime does not start, looks again every
// millisecond instead: a wait after an announcement may not fail.
//
// Rejected: everything under the lock, as in WaitGroup: readers that only read would contend for it. Go's two
// words, one for each count: while a reader leaves it has changed one of them and not the other, and a writer
// that gives up could not tell how many it need not wait for any more.
// Locks: _lock, a leaf but for the scheduler's. Never while _writers is locked or unlocked.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// A lock for any number of readers or one writer. Go: sync.RWMutex. A writer that waits goes before readers
/// that come later, so a goroutine that reads already must not call <see cref="RLock()"/> again: it may wait
/// for a writer that waits for it. Goroutines park, other threads block. Not reentrant; another goroutine
/// or thread may unlock it.
/// </summary>
public sealed unsafe partial class RWMutex : IParkLock, IParkPlace, ITokenQueue
{
    private const long Announced = long.MinValue;
    private const long OneLeaving = 1L << 32;

    private readonly Mutex _writers = new();
    private long _state;
    private int _writing;
    private ShortLock _lock;
    private WaitQueue _waitingReaders;
    private int _admitted;
    private Goroutine* _waitingWriter;
    private bool _writerMayGo;

    /// <summary>Locks it for reading; waits while a writer has it or waits for it.</summary>
    public void RLock()
    {
        if (Interlocked.Increment(ref _state) < 0)
        {
            WaitForWriter();
        }
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock.</exception>
    public void RLock(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (!TryRLock() && !RLockSlow(token))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>Locks it for reading if no writer has it or waits for it. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    public bool TryRLock()
    {
        long old = Volatile.Read(ref _state);
        while (old >= 0)
        {
            long seen = Interlocked.CompareExchange(ref _state, old + 1, old);
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
        long old = Volatile.Read(ref _state);
        while (true)
        {
            if (old < 0 ? Leaving(old) == 0 : old == 0)
            {
                throw new InvalidOperationException("RUnlock of an RWMutex that is not locked for reading.");
            }
            long seen = Interlocked.CompareExchange(
                ref _state, old < 0 ? old - 1 - OneLeaving : old - 1, old);
            if (seen == old)
            {
                break;
            }
            old = seen;
        }
        if (old < 0 && Leaving(old) == 1)
        {
            AdmitWriter();
        }
    }

    /// <summary>Locks it for writing; waits while anybody has it.</summary>
    public void Lock()
    {
        _writers.Lock();
        if (Announce() != 0)
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

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock, and readers that waited behind it go on.</exception>
    public void Lock(CancellationToken token)
    {
        _writers.Lock(token);
        bool locked = false;
        try
        {
            locked = LockSlow(token);
        }
        finally
        {
            if (!locked)
            {
                _writers.Unlock();
            }
        }
        if (!locked)
        {
            CancelCause.Throw(token);
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
        if (Interlocked.CompareExchange(ref _state, Announced, 0) != 0)
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
        int readers = Readers(Interlocked.Add(ref _state, Announced)); // The bit is set: this clears it.
        if (readers != 0)
        {
            ReadyList list = default;
            _lock.Enter();
            AdmitReaders(readers, ref list);
            _lock.Exit();
            list.Ready();
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

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>What unlocks it.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock.</exception>
    public ReadScope EnterReadScope(CancellationToken token)
    {
        RLock(token);
        return new ReadScope(this);
    }

    /// <summary>Locks it for writing until the scope is disposed.</summary>
    /// <returns>What unlocks it.</returns>
    public Scope EnterScope()
    {
        Lock();
        return new Scope(this);
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>What unlocks it.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock.</exception>
    public Scope EnterScope(CancellationToken token)
    {
        Lock(token);
        return new Scope(this);
    }

    private static int Readers(long state) => (int)state;

    private static int Leaving(long state) => (int)(state >> 32) & int.MaxValue;

    /// <summary>The caller holds _writers. How many readers it has to wait for.</summary>
    private int Announce()
    {
        long old = Volatile.Read(ref _state);
        while (true)
        {
            long seen = Interlocked.CompareExchange(ref _state, Announced | (old << 32) | old, old);
            if (seen == old)
            {
                return Readers(old);
            }
            old = seen;
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
