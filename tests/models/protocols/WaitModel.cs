// asm/waits.c, in which .NET's own waits end, transcribed: what it does with the word of a wait, and a monitor that
// is handed over. Of sched/DotNetWait.cs the commit and the timer are compiled in. The guard is a ShortLock.
//
//   waits      guard, word Preparing, enqueue; Parked once the stack is left, or at once for a thread
//   signals    guard, dequeue, exchange to Signalled; whom it was Parked for is made ready, or woken
//   a timer    exchange to TimedOut; the same
//
// Must hold: a wait ends once, as its word says; who was signalled sees what the one before has written, without
// the guard; and nobody touches what has been given up. .NET 11's leaf is left out: who waits only looks again.

using Weft.Runtime;

namespace Weft.Models.Protocols;

internal static unsafe class Waits
{
    internal const long Preparing = 0;
    internal const long Parked = 1;
    internal const long Signalled = 2;
    internal const long TimedOut = 3;
    internal const long Mask = 3;
    internal const int StateBits = 2;
    internal const long NoLimit = long.MaxValue;
    internal const long OverAtOnce = 0; // Time passes only where nobody can go on.

    internal struct Record
    {
        internal Record* Next;
        internal Record* Previous;
        internal Goroutine* Goroutine;
        internal long* Word;
        internal int Queued;
    }

    internal struct Monitor
    {
        internal ShortLock Guard;
        internal int Held;
        internal Record* First;
        internal Record* Last;
    }

    internal struct Wake
    {
        internal Goroutine* Goroutine;
        internal long* Word;
    }

    internal static void Enqueue(Monitor* m, Record* w)
    {
        w->Next = null;
        w->Previous = m->Last;
        if (m->Last == null)
        {
            m->First = w;
        }
        else
        {
            m->Last->Next = w;
        }
        m->Last = w;
        w->Queued = 1;
    }

    internal static void Dequeue(Monitor* m, Record* w)
    {
        if (w->Previous == null)
        {
            m->First = w->Next;
        }
        else
        {
            w->Previous->Next = w->Next;
        }
        if (w->Next == null)
        {
            m->Last = w->Previous;
        }
        else
        {
            w->Next->Previous = w->Previous;
        }
        w->Queued = 0;
    }

    internal static void Prepare(Record* w, long sequence) =>
        Volatile.Write(ref *w->Word, sequence << StateBits | (w->Goroutine == null ? Parked : Preparing));

    internal static bool Signal(Record* w, ref Wake wake)
    {
        long* at = w->Word;
        long word = Volatile.Read(ref *at);
        Goroutine* g = w->Goroutine;
        while ((word & Mask) <= Parked)
        {
            if (Interlocked.CompareExchange(ref *at, (word & ~Mask) | Signalled, word) == word)
            {
                if ((word & Mask) == Parked)
                {
                    wake.Goroutine = g;
                    wake.Word = at;
                }
                return true;
            }
            word = Volatile.Read(ref *at);
            g = w->Goroutine;
        }
        return false;
    }

    internal static void WakeUp(in Wake wake)
    {
        if (wake.Goroutine != null)
        {
            Scheduler.Ready(wake.Goroutine);
        }
        else if (wake.Word != null)
        {
            Os.WakeAddress((int*)wake.Word, int.MaxValue);
        }
    }

    internal static void Block(Record* w, long until)
    {
        while (true)
        {
            long word = Volatile.Read(ref *w->Word);
            if ((word & Mask) != Parked)
            {
                return;
            }
            if (until > Explorer.Now)
            {
                Os.WaitOnAddressUntil((int*)w->Word, (int)word, until);
            }
            else if (Interlocked.CompareExchange(ref *w->Word, (word & ~Mask) | TimedOut, word) == word)
            {
                return;
            }
        }
    }

    internal static long StateOf(Record* w) => Volatile.Read(ref *w->Word) & Mask;

    internal static Wake PassOn(Monitor* m)
    {
        Wake wake = default;
        bool passed = false;
        while (m->First != null && !passed)
        {
            Record* w = m->First;
            Dequeue(m, w);
            passed = Signal(w, ref wake);
        }
        m->Held -= passed ? 0 : 1;
        return wake;
    }

    /// <summary>As a thread, with its record. False for a time-out.</summary>
    internal static bool Acquire(Monitor* m, Record* w, long until)
    {
        m->Guard.Enter();
        if (m->Held == 0)
        {
            m->Held = 1;
            m->Guard.Exit();
            return true;
        }
        Prepare(w, 1);
        Enqueue(m, w);
        m->Guard.Exit();
        Block(w, until);
        if (StateOf(w) == Signalled)
        {
            return true;
        }
        m->Guard.Enter();
        if (w->Queued != 0)
        {
            Dequeue(m, w);
        }
        m->Guard.Exit();
        return false;
    }

    internal static void Release(Monitor* m)
    {
        m->Guard.Enter();
        Wake next = PassOn(m);
        m->Guard.Exit();
        WakeUp(next);
    }
}

/// <summary>Three threads want a monitor, one of them for a time only, and count what they did with it.</summary>
internal sealed unsafe class MonitorModel : Model
{
    private Waits.Monitor* _monitor;
    private Waits.Record* _records;
    private long* _words;
    private int* _data;
    private int _entered;

    internal override int Depth => 2;

    internal override (string, string)[] Barriers =>
    [
        ("monitor-pass", "Waits.Signal CompareExchange ?"),
        ("monitor-woken", "Waits.Block VolatileRead ? + Waits.StateOf VolatileRead ?"),
    ];

    internal override Action[] Threads =>
        [() => Use(Waits.NoLimit), () => Use(Waits.NoLimit), () => Use(Waits.OverAtOnce)];

    internal override void SetUp()
    {
        _monitor = Explorer.Allocate<Waits.Monitor>("monitor");
        _records = Explorer.Allocate<Waits.Record>("records", 3);
        _words = Explorer.Allocate<long>("words", 3);
        _data = Explorer.Allocate<int>("data");
        _entered = 0;
        for (int i = 0; i < 3; i++)
        {
            _records[i].Word = _words + i;
        }
    }

    internal override void AtEnd()
    {
        Explorer.Assert(*_data == _entered, "Two had it at once, or one did not see what the one before did.");
        Explorer.Assert(_entered >= 2, "One without a limit did not get it.");
        Explorer.Assert(_monitor->Held == 0 && _monitor->First == null, "It is not free.");
    }

    private void Use(long until)
    {
        Waits.Record* w = _records + Explorer.Local.Id;
        if (Waits.Acquire(_monitor, w, until))
        {
            ++*_data;
            _entered++;
            Waits.Release(_monitor);
        }
        w->Goroutine = null; // It lies on the thread's stack: anything may lie there now.
        w->Queued = 0;
    }
}

/// <summary>A goroutine waits, for a time; another one signals it, and the time passes.</summary>
internal unsafe class WaitModel : Model
{
    private const long Sequence = 5;

    private Machine* _first;
    private Machine* _second;
    private Machine* _third;
    private Waits.Monitor* _monitor;
    private DotNetWait.Limit _limit = null!;
    private int* _data;
    private bool _signalled;
    private int _wentOn;

    internal override int Depth => 2;

    private protected Goroutine* G { get; private set; }

    private protected Waits.Record* Record { get; private set; }

    internal override (string, string)[] Barriers =>
    [
        ("wait-signal", "Waits.Signal CompareExchange ?"),
        ("wait-over", "Waits.StateOf VolatileRead ?"),
        ("wait-commit", "DotNetWait.TryChange CompareExchange Goroutine.DotNetWaitWord"),
    ];

    internal override Action[] Threads => [Wait, Signal, PassTime];

    internal override void SetUp()
    {
        Scheduler.Make(3);
        _first = Scheduler.MakeMachine("first");
        _second = Scheduler.MakeMachine("second");
        _third = Scheduler.MakeMachine("third");
        G = Scheduler.MakeWaiting("g");
        Scheduler.Continue(_first, G);
        _monitor = Explorer.Allocate<Waits.Monitor>("monitor");
        Record = Explorer.Allocate<Waits.Record>("record");
        Record->Goroutine = G;
        Record->Word = &G->DotNetWaitWord;
        Waits.Prepare(Record, Sequence);
        Waits.Enqueue(_monitor, Record);
        _limit = new DotNetWait.Limit(G, Sequence);
        _data = Explorer.Allocate<int>("data");
        _signalled = false;
        _wentOn = 0;
    }

    internal override void AtEnd() => Explorer.Assert(_wentOn == 1, $"It went on {_wentOn} times.");

    private protected virtual void Wait()
    {
        Current.SetMachine(_first);
        if (Waits.StateOf(Record) != Waits.Preparing)
        {
            GoOn(G);
            return;
        }
        G->ParkCommit = &DotNetWait.Commit;
        G->ParkArgument = (void*)Sequence;
        Scheduler.Finish(G);
        RunReadied(_first);
    }

    private protected void Signal()
    {
        Current.SetMachine(_second);
        *_data = 1;
        Waits.Wake wake = default;
        _monitor->Guard.Enter();
        if (_monitor->First != null)
        {
            Waits.Dequeue(_monitor, Record);
            _signalled = Waits.Signal(Record, ref wake);
        }
        _monitor->Guard.Exit();
        Waits.WakeUp(wake);
        RunReadied(_second);
    }

    private void PassTime()
    {
        Current.SetMachine(_third);
        _limit.Fire(0);
        RunReadied(_third);
    }

    /// <summary>What the caller has made ready is in its own queue: nobody steals it.</summary>
    private void RunReadied(Machine* m)
    {
        if (!m->Processor->Queue.IsEmpty)
        {
            GoOn(Scheduler.Next(m));
        }
    }

    private protected void GoOn(Goroutine* g)
    {
        Explorer.Assert(g == G, "Another goroutine came.");
        _wentOn++;
        long state = Waits.StateOf(Record);
        Explorer.Assert(state is Waits.Signalled or Waits.TimedOut, $"It goes on in state {state}.");
        Explorer.Assert(state == Waits.TimedOut || *_data == 1, "What was written before the signal is not seen.");
        _monitor->Guard.Enter();
        Explorer.Assert(_signalled == (state == Waits.Signalled), "Who signals knows something else.");
        if (Record->Queued != 0)
        {
            Waits.Dequeue(_monitor, Record);
        }
        _monitor->Guard.Exit();
    }
}

/// <summary>A goroutine that cannot park: it blocks its thread, and says so in its record.</summary>
internal sealed unsafe class CannotParkModel : WaitModel
{
    internal override (string, string)[] Barriers =>
    [
        ("cannot-park", "CannotParkModel.Wait CompareExchange ?"),
        ("cannot-park-signal", "Waits.Signal VolatileRead ?"),
    ];

    /// <summary>Who signals reads it whatever the word is, and uses it if that was Parked.</summary>
    internal override string[] Races => ["Record.Goroutine"];

    internal override Action[] Threads => [Wait, Signal];

    private protected override void Wait()
    {
        long word = Volatile.Read(ref *Record->Word);
        if ((word & Waits.Mask) == Waits.Preparing)
        {
            Record->Goroutine = null;
            if (Interlocked.CompareExchange(ref *Record->Word, word | Waits.Parked, word) == word)
            {
                Waits.Block(Record, Waits.NoLimit);
            }
        }
        GoOn(G);
    }
}
