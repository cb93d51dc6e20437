// Goroutines beside threads and tasks, and what they are all doing.

using Weft.Runtime;

namespace Weft;

public static unsafe partial class Go
{
    /// <summary>
    /// Whether the process ends, with exit code 2 and the stacks of all goroutines on standard error, when
    /// every goroutine waits and nothing is left that could wake one: no timer, no native call, and no
    /// thread besides those that wait in Weft too. On if not set. A program that calls Weft from threads
    /// made by native code, or a library in a host, should turn it off. Go: "all goroutines are asleep".
    /// </summary>
    public static bool DetectDeadlocks
    {
        get => Scheduler.DetectsDeadlocks;
        set => Scheduler.DetectsDeadlocks = value;
    }

    /// <summary>
    /// Keeps the calling goroutine on the thread that it is on, and everybody else off it, until
    /// <see cref="UnlockOSThread"/> has been called as often. For native code with state of its own for
    /// each thread. Each of the goroutine's stops costs two thread switches then. If the goroutine ends
    /// locked, the thread ends too. Does nothing on an ordinary thread. Go: runtime.LockOSThread.
    /// </summary>
    public static void LockOSThread()
    {
        Goroutine* g = Current.GoroutineOrNull();
        if (g != null)
        {
            Scheduler.LockThread(g);
        }
    }

    /// <summary>Undoes one <see cref="LockOSThread"/>. Does nothing on an ordinary thread. Go:
    /// runtime.UnlockOSThread.</summary>
    /// <exception cref="InvalidOperationException">The goroutine is not locked.</exception>
    public static void UnlockOSThread()
    {
        Goroutine* g = Current.GoroutineOrNull();
        if (g != null && !Scheduler.UnlockThread(g))
        {
            throw new InvalidOperationException(
                "Go.UnlockOSThread: the goroutine is not locked to a thread.");
        }
    }

    /// <summary>
    /// Runs a function on the stack of the thread that the goroutine is on, as an ordinary thread: with a
    /// thread's full stack, and that thread's own identity. Locks held by the goroutine are another
    /// owner's there; ThreadStatic fields and AsyncLocal values are the thread's. It is not interrupted;
    /// while it blocks or computes, other goroutines run on other threads. Called on an ordinary thread it
    /// just runs the function. On the JIT (<see cref="Mode"/>) it runs in place, as a thread that is no
    /// goroutine; locks and thread statics are the caller's. Go: runtime.systemstack, which Go keeps to
    /// itself.
    /// </summary>
    /// <param name="function">What to run. An exception it throws is thrown here.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static void OnSystemStack(Action function)
    {
        ArgumentNullException.ThrowIfNull(function);
        Goroutine* g = Current.GoroutineOrNull();
        if (g == null)
        {
            function();
            return;
        }
        Scheduler.CallOnSystemStack(g, function);
    }

    /// <summary>The same for a function with a result.</summary>
    /// <typeparam name="TResult">The result.</typeparam>
    /// <param name="function">What to run.</param>
    /// <returns>What it returns.</returns>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static TResult OnSystemStack<TResult>(Func<TResult> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        TResult result = default!;
        OnSystemStack(() =>
        {
            result = function();
        });
        return result;
    }

    /// <summary>
    /// Waits for a task. A goroutine parks; an ordinary thread blocks. Whoever completes the task wakes it,
    /// so on a thread of the thread pool it needs no other one. On a goroutine it takes less memory than
    /// <see cref="Task.Wait()"/>, which parks as well.
    /// </summary>
    /// <param name="task">What to wait for.</param>
    /// <exception cref="ArgumentNullException">The task is null.</exception>
    /// <exception cref="OperationCanceledException">The task was cancelled. What a failed task threw is
    /// thrown as it is, not in an AggregateException.</exception>
    public static void Await(Task task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (!task.IsCompleted)
        {
            UntilCompleted(task);
        }
        task.GetAwaiter().GetResult();
    }

    /// <summary>The state of a task that a goroutine completes: who awaits it is woken by that goroutine, and
    /// all other continuations go to the thread pool.</summary>
    private sealed class RunAsyncEnd
    {
        internal WaitGroup Group { get; } = new();
    }

    /// <summary>Waits without a thread of the thread pool to be woken by: one may be waiting here, and all
    /// others too.</summary>
    private static void UntilCompleted(Task task)
    {
        if (task.AsyncState is RunAsyncEnd end)
        {
            end.Group.Wait();
            return;
        }
        WaitGroup done = new();
        done.Add();
        if (Current.GoroutineOrNull() != null
            && (task.CreationOptions & TaskCreationOptions.RunContinuationsAsynchronously) == 0)
        {
            task.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(done.Done);
        }
        else
        {
            // Whoever completes the task runs this as a task, and needs a Thread object for that.
            _ = task.ContinueWith(
                static (_, done) => ((WaitGroup)done!).Done(),
                done,
                CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously | TaskContinuationOptions.DenyChildAttach,
                InPlaceScheduler.Instance);
        }
        done.Wait();
    }

    /// <summary>The same for a task with a result.</summary>
    /// <typeparam name="TResult">The result.</typeparam>
    /// <param name="task">What to wait for.</param>
    /// <returns>The task's result.</returns>
    /// <exception cref="ArgumentNullException">The task is null.</exception>
    /// <exception cref="OperationCanceledException">The task was cancelled.</exception>
    public static TResult Await<TResult>(Task<TResult> task)
    {
        Await((Task)task);
        return task.GetAwaiter().GetResult();
    }

    /// <summary>The same for a ValueTask, which is used up by that, as by an await.</summary>
    /// <param name="task">What to wait for; nobody else may wait for it, now or later.</param>
    /// <exception cref="OperationCanceledException">The task was cancelled.</exception>
    public static void Await(ValueTask task)
    {
        if (task.IsCompleted)
        {
            task.GetAwaiter().GetResult();
            return;
        }
        Await(task.AsTask());
    }

    /// <summary>The same for a ValueTask with a result.</summary>
    /// <typeparam name="TResult">The result.</typeparam>
    /// <param name="task">What to wait for; nobody else may wait for it, now or later.</param>
    /// <returns>The task's result.</returns>
    /// <exception cref="OperationCanceledException">The task was cancelled.</exception>
    public static TResult Await<TResult>(ValueTask<TResult> task) =>
        task.IsCompleted ? task.GetAwaiter().GetResult() : Await(task.AsTask());

    /// <summary>
    /// Runs a function in a new goroutine, for asynchronous code to await. Continuations of the task run on
    /// the thread pool, unless those who await say otherwise.
    /// </summary>
    /// <param name="function">What to run.</param>
    /// <returns>A task that ends as the function does: with its exception if it throws, cancelled if that
    /// is an OperationCanceledException or the function calls <see cref="Exit"/>.</returns>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static Task RunAsync(Action function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return StartAsync(() =>
        {
            Scheduler.TraceFunction(function);
            function();
            return true;
        });
    }

    /// <summary>The same for a function with a result.</summary>
    /// <typeparam name="TResult">The result.</typeparam>
    /// <param name="function">What to run.</param>
    /// <returns>A task that ends as the function does, with its result.</returns>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static Task<TResult> RunAsync<TResult>(Func<TResult> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return StartAsync(function);
    }

    /// <summary>
    /// Runs an async function in a new goroutine. What follows an <c>await</c> in it runs on a goroutine too,
    /// and may block: on this one, which waits for that, or on another while this one blocks or runs what
    /// follows another await. A <see cref="WeftSynchronizationContext"/> sees to that, in the async functions
    /// that it calls too; ConfigureAwait(false) leaves it, for the thread pool. The goroutine ends when the
    /// function's task does; what it has left behind, an async void for example, goes on on others.
    /// </summary>
    /// <param name="function">What to run.</param>
    /// <returns>A task that ends as that of the function: with its exception (the first, if it has several),
    /// or cancelled, also if the function calls <see cref="Exit"/>.</returns>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public static Task RunAsync(Func<Task> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return StartAsync(() =>
        {
            AsyncHome.Run(function).GetAwaiter().GetResult();
            return true;
        });
    }

    /// <summary>The same for an async function with a result.</summary>
    /// <typeparam name="TResult">The result.</typeparam>
    /// <param name="function">What to run.</param>
    /// <returns>A task that ends as that of the function, with its result.</returns>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine.</exception>
    public static Task<TResult> RunAsync<TResult>(Func<Task<TResult>> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        return StartAsync(() => AsyncHome.Run(function).GetAwaiter().GetResult());
    }

    private static Task<TResult> StartAsync<TResult>(Func<TResult> function)
    {
        RunAsyncEnd end = new();
        TaskCompletionSource<TResult> completion =
            new(end, TaskCreationOptions.RunContinuationsAsynchronously);
        end.Group.Go(() =>
        {
            Scheduler.TraceFunction(function);
            try
            {
                completion.SetResult(function());
            }
            catch (OperationCanceledException e)
            {
                completion.SetCanceled(e.CancellationToken);
            }
            catch (GoroutineExit)
            {
                completion.SetCanceled();
                throw;
            }
            catch (Exception e)
            {
                completion.SetException(e);
            }
        });
        return completion.Task;
    }

    /// <summary>
    /// Writes what every goroutine does: its number, its state, what it waits for and how long, and the
    /// methods on its stack, innermost first. Those that do the same are one entry, with their number and the
    /// numbers of some, so that a million take a screen. Stops the world for a moment, as a collection does.
    /// A program under <see cref="WeftHost"/> writes the same to standard error on SIGQUIT, and ends with
    /// exit code 2. On the JIT (<see cref="Mode"/>) there is an entry for each, without a stack, and the
    /// world goes on. Go: runtime.Stack(buffer, true).
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">The writer is null.</exception>
    /// <exception cref="InsufficientMemoryException">No address space for the stacks of all.</exception>
    public static void Dump(TextWriter writer) => Dump(writer, each: false);

    /// <summary>The same, with the choice of an entry for each goroutine; WEFTDEBUG=dumpeach=1 chooses that
    /// for every report.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="each">Whether each goroutine has an entry of its own.</param>
    /// <exception cref="ArgumentNullException">The writer is null.</exception>
    /// <exception cref="InsufficientMemoryException">No address space for the stacks of all.</exception>
    public static void Dump(TextWriter writer, bool each)
    {
        ArgumentNullException.ThrowIfNull(writer);
        Scheduler.EnsureStarted();
        StackDump.Write(writer, each);
    }
}
