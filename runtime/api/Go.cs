// The go statement, and what a goroutine can do about itself.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Starts goroutines and acts on the calling one. A goroutine is a function that runs concurrently with
/// others on a small stack of its own; thousands share a few OS threads. All members may be called from
/// goroutines and from ordinary threads, unless they say otherwise.
/// </summary>
public static unsafe partial class Go
{
    /// <summary>
    /// How many goroutines may run at the same time: 1 to 1024. If neither the program nor the environment
    /// variable WEFT_MAXPROCS has set it, it is the number of processors that the process may use, and
    /// follows that within about a second: its affinity, and its cgroup's share of processor time, rounded
    /// up, and two at least. Setting it ends that, until <see cref="SetDefaultMaxProcs"/>. Setting a smaller
    /// value returns when no more than that many run. On the JIT (<see cref="Mode"/>) it is a number that
    /// limits nothing. Go: GOMAXPROCS.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is below 1 or above 1024.</exception>
    public static int MaxProcs
    {
        get
        {
            Scheduler.EnsureStarted();
            return Scheduler.MaxProcessors;
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, Layout.MaxProcessors);
            Scheduler.EnsureStarted();
            Scheduler.FollowsLimit = false;
            ChangeMaxProcs(value);
        }
    }

    /// <summary>
    /// Sets <see cref="MaxProcs"/> to the number of processors that the process may use, and lets it follow
    /// that again, as if neither the program nor WEFT_MAXPROCS had set it. Go: SetDefaultGOMAXPROCS.
    /// </summary>
    public static void SetDefaultMaxProcs()
    {
        Scheduler.EnsureStarted();
        Scheduler.FollowsLimit = true;
        ChangeMaxProcs(Scheduler.DefaultProcessors());
    }

    private static void ChangeMaxProcs(int count)
    {
        if (Jit.IsOn)
        {
            Scheduler.SetMaxProcessorsOnJit(count);
            return;
        }
        if (Current.Goroutine() != null)
        {
            Scheduler.SetMaxProcessors(count);
            return;
        }
        WaitGroup done = new();
        done.Go(() => Scheduler.SetMaxProcessors(count));
        done.Wait();
    }

    /// <summary>
    /// How many OS threads may run goroutines or be blocked in native code that a goroutine called: 1 or
    /// more, 10,000 if not set. Where all of them are blocked, goroutines that could run wait until one comes
    /// back; a line on standard error says so, the first time. If none does for 0.1 s there is one thread
    /// more: they may wait for one of those goroutines. Lowering it below what exists ends no thread. On the
    /// JIT (<see cref="Mode"/>) it is how many goroutines there may be, 12,000 if not set; one more is an
    /// InsufficientMemoryException. Go: debug.SetMaxThreads, which ends the program instead.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is below 1.</exception>
    public static int MaxThreads
    {
        get => Scheduler.MaxMachines;

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            Scheduler.MaxMachines = value;
        }
    }

    /// <summary>
    /// Bytes that the stack of a goroutine started without a fixed stack may grow to; rounded up to a power
    /// of two, from 64 KB to 1 GB. The default is 256 MB. A goroutine that needs more ends the process with
    /// a message. On the JIT (<see cref="Mode"/>) each has 16 MB, or what its fixed stack asks for. Go:
    /// debug.SetMaxStack.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is below 65536 or above 1 GB.</exception>
    public static long MaxStack
    {
        get => StackGrowth.MaxStack;

        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, (long)Layout.SmallestLargeStack);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, (long)Layout.MaxStackLimit);
            StackGrowth.MaxStack = StackSizes.RoundUp((nint)value);
        }
    }

    /// <summary>How many goroutines exist: running, ready to run or waiting. Go: NumGoroutine.</summary>
    public static long Count => Scheduler.LiveCount;

    /// <summary>The number of the calling goroutine, unique in the process; 0 on any other thread.</summary>
    public static long Id
    {
        get
        {
            Goroutine* g = Current.GoroutineOrNull();
            return g == null ? 0 : g->Id;
        }
    }

    /// <summary>Whether the caller is a goroutine.</summary>
    public static bool IsGoroutine => Current.GoroutineOrNull() != null;

    /// <summary>
    /// Runs a function in a new goroutine; returns at once. The first call starts the runtime. An exception
    /// that the function does not catch ends the process, as on a thread. Go: go f().
    /// </summary>
    /// <remarks>It begins with the caller's ExecutionContext, as <see cref="Task.Run(Action)"/> does: the
    /// values of AsyncLocal, Activity.Current, CultureInfo.CurrentCulture. What it changes there is its own.
    /// <see cref="ExecutionContext.SuppressFlow"/> keeps it from that. While none of these is set it costs
    /// nothing; else the goroutine has a Thread object from its beginning, which takes some microseconds and
    /// 10 KB.</remarks>
    /// <param name="function">What to run.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for another goroutine; the message says
    /// what to raise.</exception>
    /// <exception cref="PlatformNotSupportedException">The .NET runtime is not one that Weft supports; or the
    /// program runs on the JIT (<see cref="Mode"/>) on another platform than x64 Linux.</exception>
    public static void Run(Action function)
    {
        ArgumentNullException.ThrowIfNull(function);
        Start(function, null, &Invoker.Call, default);
    }

    /// <summary>The same, on a stack chosen by <paramref name="stack"/>.</summary>
    /// <param name="function">What to run.</param>
    /// <param name="stack">Movable, the default, or fixed.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static void Run(Action function, StackOptions stack)
    {
        ArgumentNullException.ThrowIfNull(function);
        Start(function, null, &Invoker.Call, stack);
    }

    /// <summary>
    /// Runs a function with an argument: a static lambda and its state need no closure. Nothing is allocated
    /// for the start when the state is an object, or at most 64 bytes without references; other states are
    /// boxed once.
    /// </summary>
    /// <typeparam name="TState">The argument.</typeparam>
    /// <param name="function">What to run.</param>
    /// <param name="state">Its argument.</param>
    /// <exception cref="ArgumentNullException">The function is null.</exception>
    public static void Run<TState>(Action<TState> function, TState state)
    {
        ArgumentNullException.ThrowIfNull(function);
        if (typeof(TState).IsValueType
            && !RuntimeHelpers.IsReferenceOrContainsReferences<TState>()
            && Unsafe.SizeOf<TState>() <= Goroutine.InlineStateSize)
        {
            Scheduler.EnsureStarted();
            Goroutine* g = Scheduler.Create(GoroutineKind.Movable, 0, flows: true);
            Goroutine.StoreState(g, state);
            Goroutine.Delegate(g) = function;
            g->Invoke = &Invoker.CallInline<TState>;
            Scheduler.Start(g);
            return;
        }
        // One function for all classes: one of each type would be looked up at each start.
        Start(
            function,
            state,
            typeof(TState).IsValueType ? &Invoker.CallBoxed<TState> : &Invoker.CallObject,
            default);
    }

    /// <summary>Lets other goroutines run, then goes on. On a thread: yields the thread. Go:
    /// Gosched.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Yield()
    {
        Goroutine* g = Current.GoroutineOrNull();
        if (g == null)
        {
            _ = Thread.Yield();
            return;
        }
        Scheduler.Yield(g); // Inlined: a return of its own would be mispredicted after each switch.
    }

    /// <summary>
    /// Waits for at least that long, in a bubble of <c>WeftTest.Run</c> by its clock. A goroutine parks, at
    /// no cost but its entry in a heap; any other thread blocks, for whole milliseconds. Zero or less only
    /// lets others run, as <see cref="Yield"/> does. Go: time.Sleep.
    /// </summary>
    /// <param name="duration">The time, measured by the monotonic clock; more than 292 years is that
    /// long.</param>
    /// <exception cref="InsufficientMemoryException">No memory for the entry.</exception>
    public static void Sleep(TimeSpan duration)
    {
        if (duration <= TimeSpan.Zero)
        {
            Yield();
            return;
        }
        Goroutine* g = Current.GoroutineOrNull();
        if (g == null)
        {
            SleepThread(duration);
        }
        else
        {
            long now = Bubble.NowOf(g);
            if (!Scheduler.SleepUntil(g, Scheduler.TimeAfter(now, Alarm.Nanoseconds(duration))))
            {
                throw new InsufficientMemoryException("No memory for another sleeping goroutine.");
            }
            Scheduler.ExitIfAbandoned(g);
        }
    }

    private static void SleepThread(TimeSpan duration)
    {
        TimeSpan most = TimeSpan.FromDays(20); // What Thread.Sleep takes is limited.
        for (; duration > most; duration -= most)
        {
            Thread.Sleep(most);
        }
        Thread.Sleep((int)Math.Ceiling(duration.TotalMilliseconds)); // Fractions would be cut off.
    }

    /// <summary>
    /// Ends the calling goroutine; its finally blocks run first. Works by an exception, so code above that
    /// catches every exception must throw it again. Go: Goexit.
    /// </summary>
    /// <exception cref="InvalidOperationException">The caller is not a goroutine.</exception>
    public static void Exit()
    {
        if (!IsGoroutine)
        {
            throw new InvalidOperationException("Go.Exit: the caller is not a goroutine.");
        }
        throw new GoroutineExit();
    }

    /// <summary>Run, with this ExecutionContext instead of the caller's; null is the default one.</summary>
    /// <param name="context">The context.</param>
    /// <param name="function">What to run.</param>
    /// <param name="bubble">Of which bubble it is, where the caller is of none; or null.</param>
    internal static void RunIn(ExecutionContext? context, Action function, Bubble? bubble = null) =>
        StartIn(context, function, null, &Invoker.Call, bubble);

    /// <inheritdoc cref="RunIn(ExecutionContext, Action, Bubble)"/>
    internal static void RunIn<TState>(
        ExecutionContext? context, Action<TState> function, TState state, Bubble? bubble = null)
        where TState : class => StartIn(context, function, state, &Invoker.CallObject, bubble);

    private static void StartIn(
        ExecutionContext? context,
        Delegate function,
        object? state,
        delegate*<Goroutine*, void> invoke,
        Bubble? bubble)
    {
        Scheduler.EnsureStarted();
        Goroutine* g = Scheduler.Create(GoroutineKind.Movable, 0);
        Goroutine.Delegate(g) = function;
        Goroutine.StateObject(g) = state;
        Goroutine.FirstContext(g) = context;
        g->Invoke = invoke;
        if (bubble is { IsOver: false })
        {
            Scheduler.StartIn(bubble, g);
        }
        else
        {
            Scheduler.Start(g);
        }
    }

    private static void Start(
        Delegate function, object? state, delegate*<Goroutine*, void> invoke, StackOptions stack)
    {
        Scheduler.EnsureStarted();
        Goroutine* g = Scheduler.Create(
            stack.IsFixed ? GoroutineKind.Fixed : GoroutineKind.Movable, (nint)stack.Bytes, flows: true);
        Goroutine.Delegate(g) = function;
        Goroutine.StateObject(g) = state;
        g->Invoke = invoke;
        Scheduler.Start(g);
    }
}
