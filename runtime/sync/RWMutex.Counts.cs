// How an RWMutex counts its readers, and how a writer shuts and opens the gate. Why it is right: RWMutex.cs.
//
//   RLock      AddReader      one word: add, nobody else there: done             else RLockNotAlone
//                             stripes:  AddReaderInStripe                         gate shut: TakeBack, wait
//   RUnlock    TakeReader     one word: the only one there: subtract, done         else TakeReaderNotAlone
//                             stripes:  TakeReaderFromStripe
//
// The way through one word has no frame: what it calls it calls last. An interlocked instruction waits until
// all that was stored before it is in the cache, and what a frame pushes is stored: a nanosecond of five.
//
// Who leaves subtracts in the word only if there is one to subtract. A number that was below zero for a
// moment, until the one who had made it so took it back, would meet a reader who comes and goes: who of the
// two had not locked is not to be told then (the model "excess").
//
// Rejected: DECISIONS, 82.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

public sealed unsafe partial class RWMutex
{
    /// <summary>From now on readers are counted in stripes. They may be inside.</summary>
    internal void MakeStripes()
    {
        long[] stripes;
        try
        {
            stripes = ReaderStripes.Make();
        }
        catch (OutOfMemoryException)
        {
            _meetings = 0; // The caller is counted, and may not fail.
            return;
        }
        _lock.Enter();
        _stripes ??= stripes;
        _lock.Exit();
    }

    private static bool HasStripesAtOnce => Layout.MeetingsBeforeStripes == 0;

    private static bool IsOpen(long state) => (state & (Shut | Counting)) == 0;

    /// <summary>RLock.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddReader()
    {
        if (_stripes != null)
        {
            AddReaderInStripe();
        }
        else if (Interlocked.Add(ref _state, One) != One || HasStripesAtOnce)
        {
            RLockNotAlone();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AddReaderInStripe()
    {
        long[] stripes = _stripes!;
        int here = ReaderStripes.Here();
        Interlocked.Increment(ref ReaderStripes.Count(stripes, here)); // Pairs with ShutGate, Counting.
        if (!IsOpen(Volatile.Read(ref _state)))
        {
            TakeBack(stripes, here);
            WaitForWriter();
        }
    }

    /// <summary>RUnlock.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void TakeReader()
    {
        if (_stripes != null)
        {
            TakeReaderFromStripe();
        }
        else if (Interlocked.CompareExchange(ref _state, 0, One) != One)
        {
            TakeReaderNotAlone();
        }
    }

    /// <summary>The same in one word, where others are there too. Who has not seen stripes is counted there:
    /// his RLock had not seen any either.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeReaderNotAlone()
    {
        long old = Volatile.Read(ref _state);
        while (true)
        {
            if (old < One)
            {
                ThrowNotReading();
            }
            long seen = Interlocked.CompareExchange(ref _state, old - One, old); // Pairs with ParkForReaders.
            if (seen == old)
            {
                break;
            }
            old = seen;
        }
        if ((old & WriterParks) != 0)
        {
            LookAfterWriter();
        }
    }

    [DoesNotReturn]
    private static void ThrowNotReading() =>
        throw new InvalidOperationException("RUnlock of an RWMutex that is not locked for reading.");

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void TakeReaderFromStripe()
    {
        long[] stripes = _stripes!;
        int here = ReaderStripes.Here();
        // Pairs with ParkForReaders.
        long count = Interlocked.Decrement(ref ReaderStripes.Count(stripes, here));
        if (count < 0 || (Volatile.Read(ref _state) & (WriterParks | Writing)) != 0)
        {
            RUnlockSlow(stripes, here, count);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RLockInBubble()
    {
        Bubble.Point();
        AddReader();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RUnlockInBubble()
    {
        Bubble.Point();
        TakeReader();
    }

    /// <summary>How many are inside, while the gate is shut; those who look in may be counted too. Negative
    /// after RUnlock of what was not locked. Without _lock it may be anything while counts are moved, but
    /// then nobody is inside.</summary>
    private long Readers()
    {
        long inWord = Volatile.Read(ref _state) >> ReadersShift;
        long[]? stripes = Volatile.Read(ref _stripes);
        return stripes == null ? inWord : inWord + ReaderStripes.Sum(stripes);
    }

    /// <summary>The caller has added one to the word, and is not the only one to do anything.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void RLockNotAlone()
    {
        if (!IsOpen(Volatile.Read(ref _state)))
        {
            TakeBack(null, 0);
            WaitForWriter();
        }
        else if (HasStripesAtOnce)
        {
            MakeStripes();
        }
        else if (Scheduler.MaxProcessors != 1)
        {
            // Counts may be lost: others do the same.
            int here = ReaderStripes.Here();
            if (here != _lastMet)
            {
                _lastMet = here;
                if (++_meetings >= Layout.MeetingsBeforeStripes)
                {
                    MakeStripes();
                }
            }
        }
    }

    /// <summary>Counts the caller as a reader if the gate is open. If not: outside _lock, LookAfterWriter has
    /// to follow. Under _lock no writer can have parked meanwhile.</summary>
    private bool TryEnter()
    {
        long[]? stripes = _stripes;
        long old = Volatile.Read(ref _state);
        if (stripes == null)
        {
            while (IsOpen(old))
            {
                long seen = Interlocked.CompareExchange(ref _state, old + One, old);
                if (seen == old)
                {
                    return true;
                }
                old = seen;
            }
            return false;
        }
        if (!IsOpen(old))
        {
            return false;
        }
        ref long count = ref ReaderStripes.Count(stripes, ReaderStripes.Here());
        Interlocked.Increment(ref count); // Pairs with ShutGate, Counting.
        if (IsOpen(Volatile.Read(ref _state)))
        {
            return true;
        }
        Interlocked.Decrement(ref count); // Pairs with ParkForReaders.
        return false;
    }

    /// <summary>The caller was counted there, and finds the gate shut.</summary>
    private void TakeBack(long[]? stripes, int here)
    {
        if (stripes == null)
        {
            Interlocked.Add(ref _state, -One);
        }
        else
        {
            Interlocked.Decrement(ref ReaderStripes.Count(stripes, here));
        }
        LookAfterWriter(); // Pairs with ParkForReaders.
    }

    /// <summary>The caller holds _writers. How many readers it has to wait for; 0: it has the lock.</summary>
    private long ShutGate()
    {
        _meetings = 0;
        bool isAlone = _stripes == null && Interlocked.CompareExchange(ref _state, Shut | Writing, 0) == 0;
        if (!isAlone)
        {
            Interlocked.Add(ref _state, Shut);
        }
        long readers = Readers(); // The barrier before it pairs with each reader that adds, then looks.
        if (isAlone != (readers == 0))
        {
            Interlocked.Add(ref _state, isAlone ? -Writing : Writing);
        }
        return readers;
    }

    /// <summary>The caller holds _writers.</summary>
    private bool TryShutGate()
    {
        if (Readers() > 0)
        {
            return false;
        }
        return ShutGate() == 0 || IsFreeAfterAll();
    }

    /// <summary>Under _lock: opens the gate, and lets those in who wait to read.</summary>
    private void OpenGate(ref ReadyList list)
    {
        long inWord = _polling;
        _admitted += _polling;
        _polling = 0;
        while (!_waitingReaders.IsEmpty)
        {
            Waiter* waiter = _waitingReaders.Dequeue();
            list.Add(waiter->Goroutine);
            if (_stripes == null)
            {
                inWord++;
            }
            else
            {
                // Where it was: there it may well be when it leaves.
                Interlocked.Increment(ref ReaderStripes.Count(_stripes, (int)waiter->Amount));
            }
        }
        long bits = Volatile.Read(ref _state) & (Shut | Writing | ReadersWait);
        Interlocked.Add(ref _state, (inWord * One) - bits);
    }
}
