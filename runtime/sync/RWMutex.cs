// Go's reader/writer lock. A writer that comes shuts the gate: from then on readers queue up behind it, so
// they cannot starve it; and when it unlocks, the readers in the queue go before the next writer, so writers
// cannot starve them. Writers are kept apart by a mutex.
//
//   _state    63 .. 5             4            3        2         1            0
//             readers inside,     ReadersWait  Writing  Counting  WriterParks  Shut: the gate
//             a signed number
//   _stripes  null, or more places where readers are counted; only the sum of all is how many are inside
//
// A reader adds one, and then looks at the gate. If it is shut, the reader takes back what it has added, from
// the same place, and goes the slow way. A writer shuts the gate, and then looks at the sum: it goes in when
// that is 0. Between the store and the load each of the two has a full barrier, an interlocked instruction;
// so of a reader and a writer that come at the same time at least one sees the other. The same holds for who
// leaves (subtracts, then looks whether a writer has parked) and the writer that parks (says so, then looks
// at the sum).
//
// While the gate is shut the sum is never too small. Whoever was let in had added before it was shut; who has
// subtracted has left; and who only looks in adds and subtracts in the same place, where a look finds both,
// neither, or the former. So 0 is true, and stays true until the gate is opened. A sum that was too large is
// put right by the one who made it so, and looks after the writer.
//
// The one word is enough while readers seldom meet. After so many meetings on different processors, without
// a writer in between, stripes are made (ReaderStripes.cs): two cores that read need not exchange a line any
// more, and a writer looks at each stripe. They may be made at any time: whoever has not seen them counts in
// the word; or is a writer that shut the gate before they were there, and who uses them sees that.
//
// RUnlock of what is not locked: in one word there is nothing to subtract from, and nothing is changed; or it
// was the count of one who only looked in and takes it back, then the next writer finds the sum too low. In
// stripes a count may be negative because a reader has changed processors. So who makes one lower than it
// ever was has the readers counted, with the gate shut for that moment (Counting). What is missed, because
// another count is too high by as much, the next writer finds.
//
// A thread that gets no stand-in, for lack of memory or because the runtime does not start, looks again every
// millisecond instead: a wait after the gate was shut may not fail.
//
// Rejected: everything under the lock, as in WaitGroup: readers that only read would contend for it. Go's
// count of readers that the writer still waits for: one more word that all readers write. membarrier in place
// of the readers' barrier: a writer waits for microseconds. A seqlock: user code runs inside. Back from
// stripes to one word: a reader may be about to use them.
// Locks: _lock, a leaf but for the scheduler's. Never while _writers is locked or unlocked.

using System.Diagnostics.CodeAnalysis;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A lock for any number of readers or one writer. Go: sync.RWMutex. A writer that waits goes before readers
/// that come later, so a goroutine that reads already must not call <see cref="RLock()"/> again: it may wait
/// for a writer that waits for it. Goroutines park, other threads block. Not reentrant; another goroutine
/// or thread may unlock it.
/// </summary>
/// <remarks>
/// Where many processors read at the same time, and seldom write, it takes 128 bytes for each of them from
/// then on: readers do not slow each other down any more, and a writer has a little more to do.
/// </remarks>
public sealed unsafe partial class RWMutex : IParkLock, IParkPlace, ITokenQueue, IBubbled
{
    private const long Shut = 1; // A writer has it or wants it.
    private const long WriterParks = 2; // It waits in _waitingWriter. Under _lock.
    private const long Counting = 4; // Shut as well, for a moment. Under _lock.
    private const long Writing = 8; // A writer has it.
    private const long ReadersWait = 16; // Somebody waits to read. Set under _lock while Shut.
    private const long One = 32;
    private const int ReadersShift = 5;

    private readonly Mutex _writers = new();
    private readonly bool _isBubbled = Bubble.OfCaller() != null;
    private long _state;
    private long[]? _stripes; // Written once, under _lock.
    private int _lastMet; // Where the last reader was that met another, and how often that was elsewhere.
    private int _meetings;
    private ShortLock _lock;
    private WaitQueue _waitingReaders;
    private int _polling;
    private int _admitted;
    private Goroutine* _waitingWriter;

    /// <summary>Locks it for reading; waits while a writer has it or waits for it.</summary>
    public void RLock()
    {
        if (_isBubbled)
        {
            RLockInBubble();
        }
        else
        {
            AddReader();
        }
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock.</exception>
    public void RLock(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (!TryRLock() && !RLockSlow(new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>Locks it for reading if no writer has it or waits for it. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    public bool TryRLock()
    {
        if (_isBubbled)
        {
            Bubble.Point();
        }
        if (TryEnter())
        {
            return true;
        }
        LookAfterWriter();
        if ((Volatile.Read(ref _state) & Shut) != 0)
        {
            return false;
        }
        _lock.Enter(); // Somebody counts.
        bool entered = TryEnter();
        _lock.Exit();
        return entered;
    }

    bool IBubbled.IsOf(Bubble bubble) => _isBubbled;

    /// <summary>Undoes one RLock.</summary>
    /// <exception cref="InvalidOperationException">It is not locked for reading. Where others come and go at
    /// the same time it may be another's RUnlock, or the next Lock, that says so.</exception>
    public void RUnlock()
    {
        if (_isBubbled)
        {
            RUnlockInBubble();
        }
        else
        {
            TakeReader();
        }
    }

    /// <summary>Locks it for writing; waits while anybody has it.</summary>
    /// <exception cref="InvalidOperationException">RUnlock was called more often than RLock; the caller does
    /// not have the lock.</exception>
    public void Lock()
    {
        _writers.Lock();
        if (ShutGate() != 0)
        {
            WaitForReaders();
        }
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <exception cref="InvalidOperationException">As <see cref="Lock()"/>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock, and readers that waited behind it go on.</exception>
    public void Lock(CancellationToken token)
    {
        CancelCause.ThrowIfCancelled(token);
        if (!Lock(new WaitEnd(token)))
        {
            CancelCause.Throw(token);
        }
    }

    /// <summary>Locks it for writing if nobody has it or waits to write. Never waits.</summary>
    /// <returns>Whether the caller has it now.</returns>
    /// <exception cref="InvalidOperationException">As <see cref="Lock()"/>.</exception>
    public bool TryLock()
    {
        if (!_writers.TryLock())
        {
            return false;
        }
        bool locked = false;
        try
        {
            locked = TryShutGate();
        }
        finally
        {
            if (!locked)
            {
                _writers.Unlock();
            }
        }
        return locked;
    }

    /// <summary>Undoes Lock; lets the readers in that wait, then the next writer.</summary>
    /// <exception cref="InvalidOperationException">It is not locked for writing.</exception>
    public void Unlock()
    {
        long old = Volatile.Read(ref _state);
        while (true)
        {
            if ((old & Writing) == 0)
            {
                ThrowNotWriting();
            }
            if ((old & ReadersWait) != 0)
            {
                UnlockSlow();
                break;
            }
            long seen = Interlocked.CompareExchange(ref _state, old & ~(Shut | Writing), old);
            if (seen == old)
            {
                break;
            }
            old = seen;
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
    /// <exception cref="InvalidOperationException">As <see cref="Lock()"/>.</exception>
    public Scope EnterScope()
    {
        Lock();
        return new Scope(this);
    }

    /// <summary>The same, unless the token is cancelled first.</summary>
    /// <param name="token">Ends the wait.</param>
    /// <returns>What unlocks it.</returns>
    /// <exception cref="InvalidOperationException">As <see cref="Lock()"/>.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled: the caller does not have the
    /// lock.</exception>
    public Scope EnterScope(CancellationToken token)
    {
        Lock(token);
        return new Scope(this);
    }

    [DoesNotReturn]
    private static void ThrowNotWriting() =>
        throw new InvalidOperationException("Unlock of an RWMutex that is not locked for writing.");

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
