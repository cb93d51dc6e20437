// Where an async function of Go.RunAsync goes on after each await: its home, the goroutine that began it.
// That waits until the function's task is complete, and meanwhile runs what is posted. So a function that
// awaits one thing after the other stays on one goroutine, mostly: each new one would need a Thread object,
// for the context to be in.
//
//   Post --> [ work ] -> [ work ] -> ... --> home     while it waits, or when it comes back to its loop
//                                        --> helper   a goroutine that takes what the home has not taken
//
// The home may be blocked by what it runs, perhaps in a wait for what was just posted: with one goroutine and
// a queue that is a deadlock. So where there is work and the home is not idle, a helper has been started that
// has not looked yet. One at a time: before it runs what it has taken it starts the next one, if there is
// more. Nearly always the home is faster, and the helper ends at once, without a Thread object.
//
// After the function's end there is no home any more, and helpers run what is posted.
//
// Rejected: a goroutine for each work that does not find the home idle. `await Task.Yield()` posts while the
// home runs, so each would take some microseconds. Telling from the home's state whether it blocks: a park
// would have to look for what is posted. Workers that all share: they need a limit and a time to end.
// Locks: _lock, a leaf.

using System.Runtime.ExceptionServices;
using Weft.Runtime;

namespace Weft;

/// <summary>The context of one function of Go.RunAsync.</summary>
internal sealed class AsyncHome : WeftSynchronizationContext
{
    // Sent to once by whoever changes _isIdle to false, so there is always room.
    // Of no bubble: threads post, too.
    private readonly Chan<Unit> _wake = new(1, null);
    private ShortLock _lock;
    private Work? _first;
    private Work? _last;
    private bool _isIdle;
    private bool _helperComes;

    private AsyncHome()
    {
    }

    /// <summary>Runs the function and what it awaits on the calling goroutine, which ends afterwards, until
    /// its task is complete.</summary>
    internal static TTask Run<TTask>(Func<TTask> function)
        where TTask : Task
    {
        AsyncHome home = new();
        SetSynchronizationContext(home);
        Scheduler.TraceFunction(function);
        TTask task = function()
            ?? throw new InvalidOperationException("Go.RunAsync: the function returned no task.");
        try
        {
            home.RunUntilCompleted(task);
        }
        finally
        {
            home.Leave(); // Also where it was reclaimed (Go.FindLeaks): finally blocks elsewhere may post.
        }
        return task;
    }

    /// <inheritdoc/>
    public override void Post(SendOrPostCallback d, object? state)
    {
        ArgumentNullException.ThrowIfNull(d);
        Work work = new(d, state, ContextFlow.Capture());
        _lock.Enter();
        if (_last == null)
        {
            _first = work;
        }
        else
        {
            _last.Next = work;
        }
        _last = work;
        bool wakes = _isIdle;
        _isIdle = false;
        bool needsHelper = !wakes && NeedsHelper();
        _lock.Exit();
        if (wakes)
        {
            _wake.Send(default);
        }
        else if (needsHelper)
        {
            StartHelper();
        }
    }

    private void RunUntilCompleted(Task task)
    {
        if (!task.IsCompleted)
        {
            _ = task.ContinueWith(
                static (_, home) => ((AsyncHome)home!).Wake(),
                this,
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously | TaskContinuationOptions.DenyChildAttach,
                InPlaceScheduler.Instance);
        }
        bool wasIdle = false;
        while (TakeOrBecomeIdle(task, out Work? work))
        {
            if (work == null)
            {
                _ = _wake.Receive();
                wasIdle = true;
                continue;
            }
            if (!wasIdle)
            {
                Go.Yield(); // Task.Yield posts while the home runs, and is to let others run.
            }
            wasIdle = false;
            work.Run();
        }
    }

    /// <summary>The task is complete. If the home does not see that before it becomes idle, this comes after
    /// it, and sees that it is.</summary>
    private void Wake()
    {
        _lock.Enter();
        bool wakes = _isIdle;
        _isIdle = false;
        _lock.Exit();
        if (wakes)
        {
            _wake.Send(default);
        }
    }

    /// <summary>False when the task is complete. No work: the caller waits.</summary>
    private bool TakeOrBecomeIdle(Task task, out Work? work)
    {
        _lock.Enter();
        bool isCompleted = task.IsCompleted;
        work = isCompleted ? null : Take();
        _isIdle = !isCompleted && work == null;
        _lock.Exit();
        return !isCompleted;
    }

    /// <summary>What is left, and what comes, is the helpers'.</summary>
    private void Leave()
    {
        _lock.Enter();
        _isIdle = false;
        bool needsHelper = NeedsHelper();
        _lock.Exit();
        if (needsHelper)
        {
            StartHelper();
        }
    }

    /// <summary>Under the lock. Who runs it for long must not keep all that comes after it.</summary>
    private Work? Take()
    {
        Work? work = _first;
        if (work != null)
        {
            _first = work.Next;
            _last = _first == null ? null : _last;
            work.Next = null;
        }
        return work;
    }

    /// <summary>Whether the caller has to start a helper. Under the lock.</summary>
    private bool NeedsHelper()
    {
        bool needs = _first != null && !_helperComes;
        _helperComes |= needs;
        return needs;
    }

    private void StartHelper()
    {
        try
        {
            Go.RunIn(null, static home => home.Help(), this);
        }
        catch
        {
            _lock.Enter();
            _helperComes = false; // The next Post tries again.
            _lock.Exit();
            throw;
        }
    }

    private void Help()
    {
        bool isFirst = true;
        while (TakeAsHelper(isFirst, out Work? work))
        {
            if (isFirst)
            {
                SetSynchronizationContext(this); // Makes a Thread object: not for who finds nothing.
                isFirst = false;
            }
            else
            {
                Go.Yield(); // As above.
            }
            work!.Run();
        }
    }

    private bool TakeAsHelper(bool isFirst, out Work? work)
    {
        _lock.Enter();
        _helperComes &= !isFirst;
        work = Take();
        bool needsHelper = NeedsHelper();
        _lock.Exit();
        if (needsHelper)
        {
            StartHelper();
        }
        return work != null;
    }

    /// <summary>What was posted, and the ExecutionContext to run it in; null is the default one.</summary>
    private sealed class Work(SendOrPostCallback function, object? state, ExecutionContext? context)
    {
        internal Work? Next { get; set; }

        /// <summary>The contexts of the goroutine that runs it are as before afterwards. Throws nothing: what
        /// the function does not catch ends a goroutine of its own, and with that the process unless it is
        /// Go.Exit's; not somebody else's task.</summary>
        internal void Run()
        {
            try
            {
                ExecutionContext.Run(
                    context ?? ContextFlow.DefaultContext, static work => ((Work)work!).Call(), this);
            }
            catch (Exception e)
            {
                Go.RunIn(null, ExceptionDispatchInfo.Capture(e).Throw);
            }
        }

        private void Call() => function(state);
    }
}
