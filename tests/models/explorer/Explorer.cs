// Runs a model again and again, each time in another order. One thread of the model runs at a time, and at
// each step on shared memory there is a choice: which thread goes on, and what a load finds (Explorer.Memory.cs).
//
//   path    [ 0 of 2 ][ 1 of 3 ][ 0 of 2 ] ...      what was chosen at each step, and of how many
//           the next run takes the next choice at the last step that has one left: depth first
//
// The first choice is the straight course: the same thread goes on, the newest store is read. Anything else
// is a deviation. All runs with none are made, then all with one, with two, and so on up to the depth of the
// model: so the first fault that is found is among the simplest. Who waits or has ended gives way for free.
// Behind that, runs at random with a seed that says which.
//
// A place that only one thread uses, or that nobody writes, needs no choices. Which those are is learned on the
// way; when there is one more the search begins anew.
//
// Threads are real ones that hand each other a baton: the runtime's code needs stacks.

namespace Weft.Models;

/// <summary>What is to be checked: memory, the threads, what must hold afterwards.</summary>
internal abstract class Model
{
    /// <summary>How many deviations all runs are made with.</summary>
    internal virtual int Depth => 3;

    /// <summary>Whether it relies on each exchange that stores being a full barrier.</summary>
    internal virtual bool NeedsFullExchanges => false;

    /// <summary>Fields on which plain steps are not ordered, on purpose: why, the model says.</summary>
    internal virtual string[] Races => [];

    /// <summary>Barriers that the model must fail without: a name, and which they are, as in a trace.
    /// </summary>
    internal abstract (string Name, string Site)[] Barriers { get; }

    /// <summary>Whether those may sleep for ever that AtEnd does not miss.</summary>
    internal virtual bool MaySleep => false;

    /// <summary>How many threads, the last ones, are there only if another one starts them.</summary>
    internal virtual int Spares => 0;

    /// <summary>Before all runs.</summary>
    internal virtual void Prepare()
    {
    }

    /// <summary>Before each run, alone.</summary>
    internal abstract void SetUp();

    internal abstract Action[] Threads { get; }

    /// <summary>After each run, alone.</summary>
    internal abstract void AtEnd();

    /// <summary>After all runs: what is wrong with them together, or null.</summary>
    internal virtual string? Afterwards() => null;
}

/// <summary>What is checked does not hold.</summary>
internal sealed class ModelException(string message) : Exception(message);

internal static unsafe partial class Explorer
{
    private const int MaxSteps = 3_000;
    private const int RandomOdds = 6;
    private const string AllSleep = "Nobody goes on: all that have not ended sleep.";

    private static readonly List<(int Taken, int Count)> s_path = [];
    private static readonly List<Worker> s_workers = [];
    private static readonly List<Worker> s_enabled = [];
    private static readonly Baton s_controller = new();

    private static Worker s_current = null!;
    private static bool s_isActive;
    private static int s_depth;
    private static int s_deviations;
    private static int s_mayDeviate;
    private static int s_steps;
    private static Random? s_random;
    private static string? s_failure;
    private static bool s_isOver;
    private static bool s_maySleep;
    private static bool s_restart;
    private static bool s_isStopped;

    /// <summary>The time.</summary>
    internal static long Now { get; private set; }

    /// <summary>0 at the start of each run. Nobody's memory.</summary>
    internal static int Count { get; set; }

    /// <summary>What belongs to the thread that runs.</summary>
    internal static Worker Local => s_current;

    internal static void Assert(bool condition, string message)
    {
        if (!condition)
        {
            throw new ModelException(message);
        }
    }

    /// <summary>Searches. Returns what was found, or null, and how many runs it took.</summary>
    internal static string? Explore(Model model, int depth, int randomRuns, int seed, out long runs)
    {
        runs = 0;
        ForgetShared();
        model.Prepare();
        for (int deviations = 0; deviations <= depth; deviations++)
        {
            s_mayDeviate = deviations;
            s_random = null;
            s_path.Clear();
            do
            {
                runs++;
                s_restart = false;
                if (RunOnce(model) is { } failure)
                {
                    return failure;
                }
                if (s_restart)
                {
                    s_path.Clear();
                    deviations = s_mayDeviate = 0;
                }
            }
            while (s_restart || NextPath());
        }
        for (int i = 0; i < randomRuns; i++)
        {
            runs++;
            s_random = new Random(seed + i);
            if (RunOnce(model) is { } failure)
            {
                return $"{failure}\n(at random: --seed {seed + i})";
            }
        }
        return model.Afterwards();
    }

    private static bool NextPath()
    {
        while (s_path.Count > 0)
        {
            (int taken, int count) = s_path[^1];
            if (taken + 1 < count)
            {
                s_path[^1] = (taken + 1, count);
                return true;
            }
            s_path.RemoveAt(s_path.Count - 1);
        }
        return false;
    }

    private static string? RunOnce(Model model)
    {
        s_failure = null;
        s_isOver = false;
        s_depth = s_deviations = s_steps = 0;
        Now = 1;
        Count = 0;
        ResetMemory();
        model.SetUp();
        s_allowedRaces = model.Races;
        Action[] bodies = model.Threads;
        s_workers.Clear();
        for (int i = 0; i < bodies.Length; i++)
        {
            s_workers.Add(Worker.Get(i, bodies[i], isSpare: i >= bodies.Length - model.Spares));
        }
        s_maySleep = model.MaySleep;
        s_areExchangesFull = AreExchangesFull || model.NeedsFullExchanges;
        s_isActive = true;
        s_current = s_workers[Choose(bodies.Length - model.Spares, costs: false)];
        s_current.Baton.Give();
        s_controller.Take();
        s_isActive = false;
        if (s_failure == null)
        {
            try
            {
                model.AtEnd();
            }
            catch (ModelException e)
            {
                s_failure = e.Message;
            }
        }
        return s_failure == null ? null : $"{s_failure}\n{Trace()}";
    }

    /// <summary>One of so many; 0 is the straight course, and the others are a deviation if they cost.
    /// </summary>
    private static int Choose(int count, bool costs)
    {
        if (count == 1 || (costs && s_random == null && s_deviations == s_mayDeviate))
        {
            return 0;
        }
        if (s_random != null)
        {
            return costs && s_random.Next(RandomOdds) != 0 ? 0 : s_random.Next(count);
        }
        if (s_depth == s_path.Count)
        {
            s_path.Add((0, count));
        }
        (int taken, int before) = s_path[s_depth++];
        if (before != count)
        {
            throw new InvalidOperationException("A model does not do the same each time.");
        }
        s_deviations += costs && taken != 0 ? 1 : 0;
        return taken;
    }

    /// <summary>No other thread of the model goes on meanwhile, wherever it is. Not a barrier.</summary>
    internal static void StopTheWorld(Action function)
    {
        Point();
        s_isStopped = true;
        try
        {
            function();
        }
        finally
        {
            s_isStopped = false;
        }
    }

    /// <summary>Before a step that others could see.</summary>
    private static void Point()
    {
        if (s_isStopped)
        {
            return;
        }
        if (++s_steps > MaxSteps)
        {
            throw new ModelException("It does not end.");
        }
        Worker me = s_current;
        FindEnabled(me);
        if (s_enabled.Count > 0)
        {
            int choice = Choose(1 + s_enabled.Count, costs: true);
            if (choice != 0)
            {
                SwitchTo(s_enabled[choice - 1]);
            }
        }
    }

    /// <summary>The others that may run.</summary>
    private static void FindEnabled(Worker me)
    {
        s_enabled.Clear();
        foreach (Worker worker in s_workers)
        {
            if (worker != me && (worker.State == WorkerState.Runs
                || (worker.State == WorkerState.GaveWay && worker.GaveWayAt < s_steps)))
            {
                s_enabled.Add(worker);
            }
        }
    }

    /// <summary>Who may go on where me does not: those that wait for what others do only if there is nobody
    /// else, or two of them would wait in turn for ever.</summary>
    private static void FindNext(Worker me)
    {
        s_enabled.Clear();
        s_enabled.AddRange(s_workers.Where(worker => worker != me && worker.State == WorkerState.Runs));
        if (s_enabled.Count == 0)
        {
            s_enabled.AddRange(s_workers.Where(worker => worker != me && worker.State == WorkerState.GaveWay));
        }
    }

    /// <summary>The caller waits for what others do: it goes on after one of them has done something.
    /// </summary>
    internal static void GiveWay()
    {
        if (!s_isActive)
        {
            return;
        }
        Worker me = s_current;
        me.State = WorkerState.GaveWay;
        me.GaveWayAt = ++s_steps;
        if (s_steps > MaxSteps)
        {
            throw new ModelException("It does not end.");
        }
        FindNext(me);
        if (s_enabled.Count > 0)
        {
            SwitchTo(s_enabled[Choose(s_enabled.Count, costs: false)]);
        }
        me.State = WorkerState.Runs;
    }

    /// <summary>As futex(2): sleeps while the place holds that, which is looked at in one with falling
    /// asleep. Time passes when nobody else can go on.</summary>
    internal static void WaitOn(int* address, int value, long until)
    {
        Point();
        if (*address != value)
        {
            return;
        }
        Worker me = s_current;
        Note(me, "sleeps on", (nint)address);
        me.State = WorkerState.Sleeps;
        me.SleepsOn = (nint)address;
        me.SleepsUntil = until;
        LeaveTo(me);
    }

    internal static void Wake(int* address)
    {
        Point();
        foreach (Worker worker in s_workers)
        {
            if (worker.State == WorkerState.Sleeps && worker.SleepsOn == (nint)address)
            {
                worker.State = WorkerState.Runs;
                Note(s_current, $"wakes thread {worker.Id} on", (nint)address);
            }
        }
    }

    /// <summary>Starts a thread that has been waiting for that; it finds the argument as its Machine.</summary>
    internal static void Start(nint argument)
    {
        Point();
        Worker spare = s_workers.Find(worker => worker.State == WorkerState.Spare)
            ?? throw new ModelException("The model has no more threads to start.");
        spare.State = WorkerState.Runs;
        spare.Machine = argument;
        spare.Seen.Become(s_current.Seen);
        spare.Acquired.Become(s_current.Seen);
        spare.Released.Become(s_current.Seen);
        Note(s_current, $"starts thread {spare.Id}", (nint)s_memory);
    }

    /// <summary>Runs somebody else, as me cannot go on.</summary>
    private static void LeaveTo(Worker me)
    {
        FindNext(me);
        if (s_enabled.Count == 0 && !PassTime())
        {
            s_isOver = true;
            throw s_maySleep ? new AbandonedRunException() : new ModelException(AllSleep);
        }
        if (s_enabled.Contains(me))
        {
            return;
        }
        SwitchTo(s_enabled[Choose(s_enabled.Count, costs: false)]);
    }

    /// <summary>Wakes those of whom the time has come next; false if there are none.</summary>
    private static bool PassTime()
    {
        long next = s_workers.Where(worker => worker.State == WorkerState.Sleeps).Min(worker => worker.SleepsUntil);
        if (next == long.MaxValue)
        {
            return false;
        }
        Now = next;
        foreach (Worker worker in s_workers)
        {
            if (worker.State == WorkerState.Sleeps && worker.SleepsUntil == next)
            {
                worker.State = WorkerState.Runs;
                s_enabled.Add(worker);
            }
        }
        return true;
    }

    private static void SwitchTo(Worker next)
    {
        Worker me = s_current;
        s_current = next;
        next.Baton.Give();
        me.Baton.Take();
        if (s_isOver)
        {
            throw new AbandonedRunException();
        }
    }

    /// <summary>The end of a thread of the model.</summary>
    private static void Ended(Worker me, Exception? error)
    {
        me.State = WorkerState.Ended;
        if (error is not null and not AbandonedRunException)
        {
            s_failure ??= error is ModelException ? error.Message : error.ToString();
            s_isOver = true;
        }
        FindNext(me);
        if (s_enabled.Count == 0 && !s_isOver && s_workers.Exists(worker => worker.State == WorkerState.Sleeps)
            && !PassTime())
        {
            s_failure = s_maySleep ? null : AllSleep;
            s_isOver = true;
        }
        if (s_isOver) // Those that are in the middle have to come back, one after the other.
        {
            s_enabled.Clear();
            s_enabled.AddRange(s_workers.Where(
                worker => worker.State is not (WorkerState.Ended or WorkerState.Spare)));
        }
        if (s_enabled.Count == 0)
        {
            s_controller.Give();
            return;
        }
        s_current = s_enabled[s_isOver ? 0 : Choose(s_enabled.Count, costs: false)];
        s_current.Baton.Give();
    }

    private sealed class AbandonedRunException : Exception;

    internal enum WorkerState
    {
        Runs,
        GaveWay,
        Sleeps,

        /// <summary>Until somebody starts it.</summary>
        Spare,
        Ended,
    }

    /// <summary>A thread of the model.</summary>
    internal sealed class Worker
    {
        private static readonly List<Worker> s_all = [];

        internal readonly int Id;
        internal readonly Baton Baton = new();

        /// <summary>What it has to see; what it would after an acquire fence; what its plain stores carry.
        /// </summary>
        internal readonly View Seen = new();
        internal readonly View Acquired = new();
        internal readonly View Released = new();

        internal WorkerState State;
        internal int GaveWayAt;
        internal nint SleepsOn;
        internal long SleepsUntil;

        /// <summary>For the stand-ins.</summary>
        internal nint Machine;
        internal nint Goroutine;
        internal nint Frames;
        internal nint StandIn;

        private Action _body = null!;

        private Worker(int id)
        {
            Id = id;
            new Thread(Loop, 256 * 1024) { IsBackground = true }.Start();
        }

        internal static Worker Get(int id, Action body, bool isSpare)
        {
            if (id == s_all.Count)
            {
                s_all.Add(new Worker(id));
            }
            Worker worker = s_all[id];
            worker._body = body;
            worker.State = isSpare ? WorkerState.Spare : WorkerState.Runs;
            worker.Machine = worker.Goroutine = worker.Frames = worker.StandIn = 0;
            worker.Seen.Clear();
            worker.Acquired.Clear();
            worker.Released.Clear();
            return worker;
        }

        private void Loop()
        {
            while (true)
            {
                Baton.Take();
                Exception? error = null;
                try
                {
                    if (!s_isOver)
                    {
                        _body();
                    }
                }
                catch (Exception e)
                {
                    error = e;
                }
                Ended(this, error);
            }
        }
    }

    /// <summary>Whoever has it runs.</summary>
    internal sealed class Baton
    {
        private readonly object _lock = new();
        private bool _given;

        internal void Give()
        {
            lock (_lock)
            {
                _given = true;
                Monitor.Pulse(_lock);
            }
        }

        internal void Take()
        {
            lock (_lock)
            {
                while (!_given)
                {
                    Monitor.Wait(_lock);
                }
                _given = false;
            }
        }
    }
}
