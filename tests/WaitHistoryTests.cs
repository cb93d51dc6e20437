// Random small programs on one lock, event or semaphore of the base library, or a mutex of Weft's, by
// goroutines and threads, each checked against every order that it allows (WaitHistory.cs). Many at once, as
// they sleep a lot: most waits have a time-out of a millisecond or two, and what they wait for comes at about
// that time. When a program stops by itself, a last actor signals until nobody waits any more, which is part
// of the history.
//
// Safeguards of asm/waits.c and sched/DotNetWait.cs, taken out one at a time, with 1, 2 and 4 processors, and
// in how many of five runs of the suite's length that is seen here:
//
//   who timed out leaves the queue                           5
//   the commit of a park sees that it was signalled          4
//   a signal ends the wait of one that is about to park      3
//   a monitor is handed over or free, not both               1; LowLevelMonitorTests 3 of 3
//   a signal to one whose time is over is the next one's     0; LowLevelMonitorTests 3 of 3
//   a time-out that comes late finds its own wait            0; DotNetWaitTests
//   into the queue before the release                        0; LowLevelMonitorTests 2 of 3
//   whether it was signalled or timed out is told            0
//   a thread's time-out exchanges the word                   0
//
// The base library looks once more at what it waited for, under a lock of its own, so such faults are mostly
// made good before anybody sees them; LowLevelMonitorTests look at the monitor by itself. What remains is for
// the long run (Storm): ten minutes each with 1, 2 and 4 processors were right (2026-11-26).

using System.Diagnostics;
using System.Globalization;

namespace Weft.Tests;

internal sealed class WaitHistoryTests
{
    private const int AtOnce = 16;

    [Test]
    public async Task TheCheckItselfAcceptsWhatIsRightAndRefusesWhatIsWrong()
    {
        WaitAct Act(int who, WaitKind kind, int start, int end, bool done = true, int value = 0) =>
            new(who, kind, done, value, start, end);
        bool Possible(WaitModel model, params WaitAct[] acts) => new WaitHistory(model, acts).IsPossible();
        SemaphoreModel semaphore = new(0, 1);
        WaitAct give = Act(0, WaitKind.Give, 2, 3);
        EventModel auto = new(false, ResetsItself: true);
        WaitAct set = Act(0, WaitKind.Set, 0, 1);
        WaitAct take = Act(1, WaitKind.Take, 2, 3);
        MonitorModel monitor = new(MonitorModel.Nobody, "", "");
        WaitAct[] waits =
        [
            Act(0, WaitKind.Enter, 0, 1), Act(0, WaitKind.BeginWait, 2, 9), Act(0, WaitKind.EndWait, 2, 9),
            Act(0, WaitKind.Exit, 10, 11), Act(1, WaitKind.Enter, 3, 4), Act(1, WaitKind.Exit, 7, 8),
        ];
        WaitAct read = Act(0, WaitKind.EnterRead, 0, 1);
        ReaderWriterModel readers = new(0, ReaderWriterModel.Nobody, ReaderWriterModel.Nobody);

        await Assert.That(Possible(semaphore, give, Act(1, WaitKind.Take, 0, 4))).IsTrue();
        await Assert.That(Possible(semaphore, give, Act(1, WaitKind.Take, 0, 1))).IsFalse();
        await Assert.That(Possible(semaphore, give, Act(1, WaitKind.Take, 0, 4, false))).IsTrue();
        await Assert.That(Possible(semaphore, give, Act(1, WaitKind.Take, 4, 5, false))).IsFalse();
        await Assert.That(Possible(semaphore, give, give)).IsFalse();
        await Assert.That(Possible(auto, set, take, take with { Who = 2 })).IsFalse();
        await Assert.That(Possible(auto, set, take, take with { Who = 2, Done = false })).IsTrue();
        await Assert.That(Possible(monitor, waits)).IsFalse();
        await Assert.That(Possible(monitor, [.. waits, Act(1, WaitKind.Pulse, 5, 6)])).IsTrue();
        await Assert.That(Possible(monitor, [.. waits, Act(2, WaitKind.Pulse, 5, 6)])).IsFalse();
        await Assert.That(Possible(readers, read, read with { Who = 1, Kind = WaitKind.Enter })).IsFalse();
        await Assert.That(Possible(readers, read, read with { Who = 1 })).IsTrue();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task EveryHistoryOfASmallProgramIsPossible(int procs)
    {
        Totals totals = new();
        string? failure = RunFor(TimeSpan.FromSeconds(0.4), procs, Environment.TickCount, totals);

        await Assert.That(failure).IsNull();
        await Assert.That(totals.Programs).IsGreaterThan(0);
    }

    /// <summary>SECONDS [PROCS]: the same for long, in a storm of collections and signals; with 1, 2 and 4
    /// processors in turn if not told how many.</summary>
    internal static int Storm(string[] args)
    {
        double seconds = double.Parse(args[0], CultureInfo.InvariantCulture);
        int[] procs = args.Length > 1 ? [int.Parse(args[1], CultureInfo.InvariantCulture)] : [1, 2, 4];
        Totals totals = new();
        using StormAround storm = StormAround.Start();
        long start = Stopwatch.GetTimestamp();
        for (int round = 0; Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; round++)
        {
            TimeSpan each = TimeSpan.FromSeconds(Math.Min(5, seconds / procs.Length));
            string? failure = RunFor(each, procs[round % procs.Length], Environment.TickCount, totals);
            if (failure is not null)
            {
                Console.WriteLine(failure);
                return 1;
            }
        }
        Console.WriteLine(
            $"right: {totals.Programs} programs, {totals.Acts} acts, {totals.TimeOuts} in vain");
        return 0;
    }

    private sealed class Totals
    {
        internal int Programs;
        internal int Acts;
        internal int TimeOuts;
    }

    private static string? RunFor(TimeSpan time, int procs, int seed, Totals totals)
    {
        long start = Stopwatch.GetTimestamp();
        return Crew.Run(procs, crew =>
        {
            for (int i = 0; i < AtOnce; i++)
            {
                crew.Go(() =>
                {
                    while (Stopwatch.GetElapsedTime(start) < time && !crew.Failed)
                    {
                        SmallProgram program = new(Interlocked.Increment(ref seed));
                        program.Run(crew);
                        Interlocked.Add(ref totals.Programs, program.IsChecked ? 1 : 0);
                        Interlocked.Add(ref totals.Acts, program.Acts);
                        Interlocked.Add(ref totals.TimeOuts, program.TimeOuts);
                    }
                });
            }
        });
    }

    private sealed class SmallProgram
    {
        private readonly int _seed;
        private readonly Subject _subject;
        private readonly List<Actor> _actors = [];
        private int _running;

        internal SmallProgram(int seed)
        {
            _seed = seed;
            Random random = new(seed);
            _subject = Subject.Choose(random);
            int count = random.Next(2, 5);
            for (int who = 0; who <= count; who++) // The last one helps those that are left.
            {
                _actors.Add(new Actor(_subject, who, random.Next()));
            }
        }

        internal int Acts { get; private set; }

        internal int TimeOuts { get; private set; }

        internal bool IsChecked { get; private set; }

        internal void Run(Crew crew)
        {
            WaitGroup all = new();
            _running = _actors.Count - 1;
            for (int i = 0; i < _actors.Count - 1; i++)
            {
                Actor actor = _actors[i];
                all.Add();
                crew.Start(asThread: actor.Random.Next(8) == 0, () =>
                {
                    int acts = actor.Random.Next(1, 5);
                    for (int k = 0; k < acts; k++)
                    {
                        _subject.Act(actor);
                        actor.Pause();
                    }
                    Interlocked.Decrement(ref _running);
                    all.Done();
                });
            }
            Actor last = _actors[^1];
            for (int rounds = 0; Volatile.Read(ref _running) > 0; rounds++)
            {
                Go.Sleep(TimeSpan.FromMilliseconds(1));
                if (rounds > 10)
                {
                    _subject.Help(last);
                }
            }
            all.Wait();
            List<WaitAct> history = [.. _actors.SelectMany(actor => actor.Done)];
            Acts = history.Count;
            TimeOuts = history.Count(act => !act.Done);
            IsChecked = Acts <= WaitHistory.MostActs; // A slow machine needs more help.
            crew.Expect(
                !IsChecked || new WaitHistory(_subject.Model, history).IsPossible(),
                $"program {_seed}, {_subject.Model}: no order gives\n"
                + string.Join('\n', history.OrderBy(act => act.Start)));
            _subject.Dispose();
        }
    }

    /// <summary>Who acts: its choices, and what it did.</summary>
    private sealed class Actor(Subject subject, int who, int seed)
    {
        internal Random Random { get; } = new(seed);

        internal List<WaitAct> Done { get; } = [];

        /// <summary>For ever, not at all, or about as long as it takes others to signal.</summary>
        internal int TimeOut() => Random.Next(8) switch
        {
            0 => Timeout.Infinite,
            1 => 0,
            < 6 => 1,
            _ => 2,
        };

        internal void Pause()
        {
            switch (Random.Next(6))
            {
                case 0:
                    Go.Yield();
                    break;
                case 1 or 2:
                    Go.Sleep(TimeSpan.FromMicroseconds(Random.Next(800, 1200)));
                    break;
                case 3:
                    Thread.Sleep(1);
                    break;
                default:
                    break;
            }
        }

        internal bool Do(WaitKind kind, Func<bool> act)
        {
            int start = subject.Now();
            bool done = act();
            Done.Add(new(who, kind, done, 0, start, subject.Now()));
            return done;
        }

        internal void Do(WaitKind kind, Action act) => _ = Do(kind, () =>
        {
            act();
            return true;
        });

        /// <summary>A release of a semaphore, which says what it had before; -1: it was full.</summary>
        internal void Give(Func<int> act)
        {
            int start = subject.Now();
            int before = act();
            Done.Add(new(who, WaitKind.Give, before >= 0, before, start, subject.Now()));
        }

        internal void Take(Func<int, bool> wait) => _ = Do(WaitKind.Take, () => Limited(wait));

        internal bool Try(WaitKind kind, Func<int, bool> wait) => Do(kind, () => Limited(wait));

        private bool Limited(Func<int, bool> wait)
        {
            int limit = TimeOut();
            bool done = wait(limit);
            return done || limit >= 0 ? done : throw new InvalidOperationException("its limit ended a wait");
        }

        internal void Wait(Func<int, bool> wait)
        {
            int start = subject.Now();
            bool pulsed = Limited(wait);
            int end = subject.Now();
            Done.Add(new(who, WaitKind.BeginWait, true, 0, start, end));
            Done.Add(new(who, WaitKind.EndWait, pulsed, 0, start, end));
        }
    }

    /// <summary>What a program is about.</summary>
    private abstract class Subject : IDisposable
    {
        private int _clock;

        internal abstract WaitModel Model { get; }

        internal static Subject Choose(Random random) => random.Next(12) switch
        {
            0 => OneSemaphore.Of(random.Next(3)),
            1 => OneSemaphore.Slim(random.Next(3)),
            2 => OneEvent.Of(new AutoResetEvent(false), resetsItself: true),
            3 => OneEvent.Of(new ManualResetEvent(false), resetsItself: false),
            4 => OneEvent.Slim(),
            5 => new OneReaderWriterLock(),
            6 => new OneLock(),
            7 => new OneMutex(),
            8 => new OneRWMutex(striped: false),
            9 => new OneRWMutex(striped: true),
            _ => new OneMonitor(),
        };

        internal int Now() => Interlocked.Increment(ref _clock);

        internal abstract void Act(Actor actor);

        /// <summary>Lets at least one that waits go on.</summary>
        internal abstract void Help(Actor actor);

        public abstract void Dispose();
    }

    private sealed class OneSemaphore(
        int count, IDisposable semaphore, Func<int, bool> wait, Func<int> release) : Subject
    {
        internal const int Most = 3;

        internal override WaitModel Model => new SemaphoreModel(count, Most);

        internal static OneSemaphore Of(int count)
        {
            System.Threading.Semaphore semaphore = new(count, Most);
            return new(count, semaphore, semaphore.WaitOne, semaphore.Release);
        }

        internal static OneSemaphore Slim(int count)
        {
            SemaphoreSlim semaphore = new(count, Most);
            return new(count, semaphore, semaphore.Wait, semaphore.Release);
        }

        internal override void Act(Actor actor)
        {
            if (actor.Random.Next(2) == 0)
            {
                actor.Take(wait);
            }
            else
            {
                Help(actor);
            }
        }

        internal override void Help(Actor actor) => actor.Give(() =>
        {
            try
            {
                return release();
            }
            catch (SemaphoreFullException)
            {
                return -1;
            }
        });

        public override void Dispose() => semaphore.Dispose();
    }

    private sealed class OneEvent(
        IDisposable handle, bool resetsItself, Func<int, bool> wait, Action set, Action reset) : Subject
    {
        internal override WaitModel Model => new EventModel(false, resetsItself);

        internal static OneEvent Of(EventWaitHandle handle, bool resetsItself) =>
            new(handle, resetsItself, handle.WaitOne, () => _ = handle.Set(), () => _ = handle.Reset());

        internal static OneEvent Slim()
        {
            ManualResetEventSlim handle = new(false);
            return new(handle, resetsItself: false, handle.Wait, handle.Set, handle.Reset);
        }

        internal override void Act(Actor actor)
        {
            switch (actor.Random.Next(5))
            {
                case 0:
                    actor.Do(WaitKind.Reset, reset);
                    break;
                case 1 or 2:
                    Help(actor);
                    break;
                default:
                    actor.Take(wait);
                    break;
            }
        }

        internal override void Help(Actor actor) => actor.Do(WaitKind.Set, set);

        public override void Dispose() => handle.Dispose();
    }

    private sealed class OneReaderWriterLock : Subject
    {
        private readonly ReaderWriterLockSlim _lock = new();

        internal override WaitModel Model =>
            new ReaderWriterModel(0, ReaderWriterModel.Nobody, ReaderWriterModel.Nobody);

        internal override void Act(Actor actor)
        {
            switch (actor.Random.Next(5))
            {
                case 0 or 1:
                    if (actor.Try(WaitKind.EnterRead, _lock.TryEnterReadLock))
                    {
                        actor.Pause();
                        actor.Do(WaitKind.ExitRead, _lock.ExitReadLock);
                    }
                    break;
                case 2 or 3:
                    Write(actor);
                    break;
                default:
                    if (actor.Try(WaitKind.EnterUpgradeable, _lock.TryEnterUpgradeableReadLock))
                    {
                        actor.Pause();
                        Write(actor);
                        actor.Do(WaitKind.ExitUpgradeable, _lock.ExitUpgradeableReadLock);
                    }
                    break;
            }
        }

        private void Write(Actor actor)
        {
            if (actor.Try(WaitKind.Enter, _lock.TryEnterWriteLock))
            {
                actor.Pause();
                actor.Do(WaitKind.Exit, _lock.ExitWriteLock);
            }
        }

        internal override void Help(Actor actor)
        {
        }

        public override void Dispose() => _lock.Dispose();
    }

    /// <summary>One of Weft's, whose limit of time is a token.</summary>
    private abstract class OneOfWefts : Subject
    {
        protected static bool Limited(
            int limit, Action enter, Func<bool> tryEnter, Action<CancellationToken> wait)
        {
            switch (limit)
            {
                case Timeout.Infinite:
                    enter();
                    return true;

                case 0:
                    return tryEnter();

                default:
                    using (CancellationTokenSource source = new(limit))
                    {
                        try
                        {
                            wait(source.Token);
                            return true;
                        }
                        catch (OperationCanceledException)
                        {
                            return false;
                        }
                    }
            }
        }

        internal override void Help(Actor actor)
        {
        }

        public override void Dispose()
        {
        }
    }

    private sealed class OneMutex : OneOfWefts
    {
        private readonly Mutex _mutex = new();

        internal override WaitModel Model => new MonitorModel(MonitorModel.Nobody, "", "");

        internal override void Act(Actor actor)
        {
            if (actor.Try(WaitKind.Enter, limit => Limited(limit, _mutex.Lock, _mutex.TryLock, _mutex.Lock)))
            {
                actor.Pause();
                actor.Do(WaitKind.Exit, _mutex.Unlock);
            }
        }
    }

    private sealed class OneRWMutex : OneOfWefts
    {
        private readonly RWMutex _mutex = new();

        internal OneRWMutex(bool striped)
        {
            if (striped)
            {
                _mutex.MakeStripes();
            }
        }

        internal override WaitModel Model =>
            new ReaderWriterModel(0, ReaderWriterModel.Nobody, ReaderWriterModel.Nobody);

        internal override void Act(Actor actor)
        {
            if (actor.Random.Next(10) == 0)
            {
                _mutex.MakeStripes();
            }
            if (actor.Random.Next(2) == 0)
            {
                if (actor.Try(WaitKind.EnterRead, Read))
                {
                    actor.Pause();
                    actor.Do(WaitKind.ExitRead, _mutex.RUnlock);
                }
            }
            else if (actor.Try(WaitKind.Enter, Write))
            {
                actor.Pause();
                actor.Do(WaitKind.Exit, _mutex.Unlock);
            }
        }

        private bool Read(int limit) => Limited(limit, _mutex.RLock, _mutex.TryRLock, _mutex.RLock);

        private bool Write(int limit) => Limited(limit, _mutex.Lock, _mutex.TryLock, _mutex.Lock);
    }

    private sealed class OneLock : Subject
    {
        private readonly Lock _lock = new();

        internal override WaitModel Model => new MonitorModel(MonitorModel.Nobody, "", "");

        internal override void Act(Actor actor)
        {
            if (actor.Try(WaitKind.Enter, _lock.TryEnter))
            {
                actor.Pause();
                actor.Do(WaitKind.Exit, _lock.Exit);
            }
        }

        internal override void Help(Actor actor)
        {
        }

        public override void Dispose()
        {
        }
    }

    private sealed class OneMonitor : Subject
    {
        private readonly object _lock = new();

        internal override WaitModel Model => new MonitorModel(MonitorModel.Nobody, "", "");

        internal override void Act(Actor actor)
        {
            if (!actor.Try(WaitKind.Enter, limit => Monitor.TryEnter(_lock, limit)))
            {
                return;
            }
            for (int acts = actor.Random.Next(3); acts > 0; acts--)
            {
                switch (actor.Random.Next(8))
                {
                    case 0:
                        actor.Pause();
                        break;
                    case 1 or 2:
                        actor.Do(WaitKind.Pulse, () => Monitor.Pulse(_lock));
                        break;
                    case 3:
                        actor.Do(WaitKind.PulseAll, () => Monitor.PulseAll(_lock));
                        break;
                    default:
                        actor.Wait(time => Monitor.Wait(_lock, time));
                        break;
                }
            }
            actor.Do(WaitKind.Exit, () => Monitor.Exit(_lock));
        }

        internal override void Help(Actor actor)
        {
            actor.Do(WaitKind.Enter, () => Monitor.Enter(_lock));
            actor.Do(WaitKind.PulseAll, () => Monitor.PulseAll(_lock));
            actor.Do(WaitKind.Exit, () => Monitor.Exit(_lock));
        }

        public override void Dispose()
        {
        }
    }
}
