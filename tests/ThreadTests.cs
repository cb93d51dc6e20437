// Goroutines that need their thread, threads' stacks, tasks; and threads that are too many.

using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class ThreadTests
{
    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int ThreadId();

    [LibraryImport("libc", EntryPoint = "usleep")]
    private static partial int Sleep(uint microseconds);

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ALockedGoroutineHasItsThreadForItself(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<int> channel = new();
            List<int> lockedThreads = [];
            int ready = 0;
            for (int i = 0; i < 3; i++)
            {
                crew.Go(() =>
                {
                    Go.LockOSThread();
                    int thread = ThreadId();
                    lock (lockedThreads)
                    {
                        lockedThreads.Add(thread);
                    }
                    Interlocked.Increment(ref ready);
                    for (int round = 0; round < 100; round++)
                    {
                        _ = channel.Receive();
                        crew.Equal(ThreadId(), thread, "the thread after a receive");
                        Go.Yield();
                        crew.Equal(ThreadId(), thread, "the thread after a yield");
                        if (round % 25 == 0)
                        {
                            BlockingTests.Block(1);
                            crew.Equal(ThreadId(), thread, "the thread after native code");
                            Thread.Sleep(1);
                            crew.Equal(ThreadId(), thread, "the thread after a wait of .NET's");
                        }
                    }
                    Go.UnlockOSThread();
                    _ = channel.Receive();
                });
            }
            crew.Until(() => Volatile.Read(ref ready) == 3, "three locked goroutines");
            for (int i = 0; i < 303; i++)
            {
                channel.Send(i);
                if (i < 100) // Later one may be unlocked.
                {
                    crew.Expect(!lockedThreads.Contains(ThreadId()), "a thread of somebody else's");
                }
            }
        });

        await Assert.That(failure).IsNull();
    }

    // Its processor is taken meanwhile, and another machine finds it before its own has gone to sleep: the
    // busy threads see to it that a machine loses its core anywhere.
    [Test]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ALockedGoroutineMayBeFoundBeforeItsThreadSleeps(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            bool stop = false;
            Chan<int> channel = new();
            WaitGroup done = new();
            for (int i = 0; i < procs; i++)
            {
                crew.Go(() => SpinUntil(ref stop, () =>
                {
                    _ = channel.TrySend(1);
                    Go.Yield();
                }));
                crew.Thread(() => SpinUntil(ref stop, () => Thread.SpinWait(100)));
            }
            for (int i = 0; i < 4; i++)
            {
                done.Go(() =>
                {
                    Go.LockOSThread();
                    int thread = ThreadId();
                    for (int round = 0; round < 1000; round++)
                    {
                        _ = channel.Receive();
                        crew.Equal(ThreadId(), thread, "the thread after a receive");
                        _ = Sleep(round % 4 == 0 ? 30u : 0);
                        crew.Equal(ThreadId(), thread, "the thread after native code");
                    }
                    Go.UnlockOSThread();
                });
            }
            done.Wait();
            Volatile.Write(ref stop, true);
        });

        await Assert.That(failure).IsNull();
    }

    private static void SpinUntil(ref bool stop, Action action)
    {
        while (!Volatile.Read(ref stop))
        {
            action();
        }
    }

    [Test]
    public async Task LocksNestAndAnUnlockTooManyIsRefused()
    {
        string? failure = Crew.Run(2, crew =>
        {
            Go.LockOSThread();
            Go.LockOSThread();
            int thread = ThreadId();
            Go.UnlockOSThread();
            for (int i = 0; i < 100; i++)
            {
                Go.Yield();
                crew.Equal(ThreadId(), thread, "the thread");
            }
            Go.UnlockOSThread();
            crew.Throws<InvalidOperationException>(Go.UnlockOSThread, "one unlock too many");
        });

        Go.LockOSThread(); // On an ordinary thread: nothing.
        Go.UnlockOSThread();

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ALockedGoroutineThatEndsTakesItsThreadWithIt(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int thread = 0;
            WaitGroup done = new();
            done.Go(() =>
            {
                Go.LockOSThread();
                thread = ThreadId();
            });
            done.Wait();
            crew.Until(() => !Directory.Exists($"/proc/self/task/{thread}"), "the thread to end");
        });

        await Assert.That(failure).IsNull();
    }

    // Hundreds of starts and ends of threads with goroutines that go on elsewhere.
    [Test]
    [Arguments(1)]
    [Arguments(4)]
    public async Task ThreadsMayComeAndGo(int procs)
    {
        int right = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 8; i++)
            {
                crew.Go(() =>
                {
                    for (int round = 0; round < 50; round++)
                    {
                        WaitGroup done = new();
                        done.Go(() =>
                        {
                            Go.LockOSThread();
                            try
                            {
                                Go.Yield();
                                throw new InvalidDataException($"{round}");
                            }
                            catch (InvalidDataException e)
                            {
                                Go.Yield();
                                Interlocked.Add(ref right, e.Message == $"{round}" ? 1 : 0);
                            }
                        });
                        done.Wait();
                    }
                });
            }
        });

        await Assert.That(failure).IsNull();
        await Assert.That(right).IsEqualTo(400);
    }

#if !WEFT_SMALL
    // All sleep for the same two seconds, and then want the list of those who sleep. A child: the system may
    // refuse so many.
    [Test]
    public async Task ThousandsThatAreTooManyEndAtTheSameTime()
    {
        ChildResult child = ChildProcess.Run("many-threads", ["6000"]);

        Skip.When(child.Error.Contains("refuses another thread"), "6,000 threads are more than may be here");
        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
    }
#endif

    internal static int ManyThreads(string[] args) => WeftHost.Run(() =>
    {
        WaitGroup done = new();
        for (int i = int.Parse(args[0]); i > 0; i--)
        {
            done.Go(() => BlockingTests.Block(1000));
        }
        done.Wait();
        while (Scheduler.MachineCount > Go.MaxProcs + 50)
        {
            Go.Sleep(TimeSpan.FromMilliseconds(100));
        }
        return 0;
    });

    /// <summary>How many there are when those that are too many have ended, or after 20 seconds.</summary>
    private static async Task<int> MachinesLeft()
    {
        int left;
        long start = Stopwatch.GetTimestamp();
        do
        {
            await Task.Delay(100);
            left = Scheduler.MachineCount;
        }
        while (left > Go.MaxProcs + 6 && Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(20));
        return left;
    }

    [Test]
    public async Task ThreadsThatAreTooManyEnd()
    {
        int most = 0;
        string? failure = Crew.Run(1, crew =>
        {
            WaitGroup done = new();
            for (int i = 0; i < 100; i++)
            {
                done.Go(() => BlockingTests.Block(Qemu.IsHere ? 1000 : 100)); // A thread starts slowly there.
            }
            done.Wait();
            most = Scheduler.MachineCount;
        });
        int least = await MachinesLeft();

        await Assert.That(failure).IsNull();
        await Assert.That(most).IsGreaterThan(50);
        await Assert.That(least).IsLessThanOrEqualTo(Go.MaxProcs + 6);
    }

    [Test]
    public async Task ThreadsThatSleptWhenThereWereMoreProcessorsEnd()
    {
        const int procs = 40;
        int most = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup done = new();
            for (int i = 0; i < procs; i++)
            {
                done.Go(() => BlockingTests.Block(Qemu.IsHere ? 1000 : 100));
            }
            done.Wait();
            Go.Sleep(TimeSpan.FromMilliseconds(100)); // They fall asleep, and are not too many.
            most = Scheduler.MachineCount;
        });
        failure ??= Crew.Run(1, crew => { });
        int least = await MachinesLeft();

        await Assert.That(failure).IsNull();
        await Assert.That(most).IsGreaterThan(20);
        await Assert.That(least).IsLessThanOrEqualTo(Go.MaxProcs + 6);
    }

    [Test]
    [Arguments(1)]
    [Arguments(4)]
    public async Task AFunctionMayRunOnTheSystemStack(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            WaitGroup done = new();
            long steps = 0;
            bool stop = false;
            crew.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    steps++;
                    Go.Yield();
                }
            });
            Go.OnSystemStack(() =>
            {
                crew.Expect(!Go.IsGoroutine, "an ordinary thread");
                Span<byte> large = stackalloc byte[500_000];
                large.Fill(1);
                crew.Equal(large[499_999], (byte)1, "a large buffer");
                done.Go(Go.Yield);
                done.Wait();
                Thread.Sleep(50);
            });
            Volatile.Write(ref stop, true);
            crew.Expect(steps > 10, "others run meanwhile");
            crew.Equal(Go.OnSystemStack(() => 6 * 7), 42, "the result");
            crew.Throws<InvalidDataException>(
                () => Go.OnSystemStack(() => throw new InvalidDataException()), "an exception");
            crew.Throws<ArgumentNullException>(() => Go.OnSystemStack(null!), "no function");
            for (int i = 0; i < 1000; i++)
            {
                Go.OnSystemStack(() => steps++);
            }
        });

        await Assert.That(Go.OnSystemStack(() => Go.IsGoroutine)).IsFalse();
        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task AGoroutineMayAwaitATask(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Go.Await(Task.CompletedTask);
            crew.Equal(Go.Await(Task.FromResult(5)), 5, "a result");
            crew.Throws<InvalidDataException>(
                () => Go.Await(Task.FromException(new InvalidDataException())), "a failure");
            crew.Throws<TaskCanceledException>(
                () => Go.Await(Task.FromCanceled(new CancellationToken(true))), "a cancelled one");
            crew.Throws<ArgumentNullException>(() => Go.Await(null!), "no task");
            Go.Await(default(ValueTask));
            crew.Equal(Go.Await(new ValueTask<int>(6)), 6, "a value's result");
            crew.Equal(Go.Await(LaterValue(7)), 7, "a value's later result");
            Go.Await(new ValueTask(Later(0)));
            Channel<int> source = Channel.CreateUnbounded<int>();
            ValueTask<int> read = source.Reader.ReadAsync(); // Not a task: a source of the channel's own.
            crew.Go(() => source.Writer.TryWrite(8));
            crew.Equal(Go.Await(read), 8, "a source's result");
            crew.Throws<InvalidDataException>(
                () => Go.Await(ValueTask.FromException(new InvalidDataException())), "a value's failure");

            // A hundred wait on threads of nobody's.
            int machines = Scheduler.MachineCount;
            WaitGroup done = new();
            for (int i = 0; i < 100; i++)
            {
                int number = i;
                done.Go(() => crew.Equal(Go.Await(Later(number)), number, "a later result"));
            }
            done.Wait();
            crew.Expect(Scheduler.MachineCount < machines + 50, "no thread for each");
        });

        await Assert.That(failure).IsNull();
    }

    private static async ValueTask<int> LaterValue(int value) => await Later(value);

    private static async Task<int> Later(int value)
    {
        await Task.Delay(20);
        return value;
    }

    [Test]
    public async Task AsynchronousCodeMayAwaitAGoroutine()
    {
        CancellationToken token = new(true);

        await Assert.That(await Go.RunAsync(() => Go.IsGoroutine)).IsTrue();
        await Go.RunAsync(Go.Yield);
        await Assert.That(async () => await Go.RunAsync(() => throw new InvalidDataException()))
            .Throws<InvalidDataException>();
        await Assert.That(async () => await Go.RunAsync(token.ThrowIfCancellationRequested))
            .Throws<TaskCanceledException>();
        await Assert.That(async () => await Go.RunAsync(Go.Exit)).Throws<TaskCanceledException>();
        await Assert.That(() => Go.RunAsync((Action)null!)).Throws<ArgumentNullException>();
    }
}
