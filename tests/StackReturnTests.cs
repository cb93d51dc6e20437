// Stacks that come down while their goroutines wait: grown ones, and where there are many goroutines all. In
// the small build every collection does that, in the normal one after a second.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class StackReturnTests
{
    private const int Few = 20;
    private const int Many = 200;

    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int Parent();

    [LibraryImport("libc", EntryPoint = "raise")]
    private static partial int Raise(int signal);

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task AStackThatWaitsOnTheNetworkComesDownAndEverythingOnItIsRight(int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            List<(Conn Client, Conn Server)> pairs = [];
            ComesDown(crew, ParkReason.Network, () =>
            {
                (Conn client, Conn server) pair = Loopback.Pair();
                pairs.Add(pair);
                return () =>
                {
                    Span<byte> one = stackalloc byte[1];
                    crew.Equal(pair.server.Read(one), 1, "read");
                    crew.Equal(one[0], (byte)'x', "byte");
                    pair.server.Dispose();
                };
            },
            () => pairs.ForEach(pair => pair.Client.Write("x"u8)));
            pairs.ForEach(pair => pair.Client.Dispose());
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments("receive", 1)]
    [Arguments("receive", 2)]
    [Arguments("send", 2)]
    [Arguments("select", 2)]
    [Arguments("lock", 2)]
    [Arguments("group", 2)]
    [Arguments("sleep", 2)]
    public async Task SoDoesOneThatWaitsFor(string what, int procs)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Chan<string> channel = new();
            Mutex held = new();
            WaitGroup group = new();
            held.Lock();
            group.Add(1);
            (ParkReason reason, Action wait, Action go) = what switch
            {
                "receive" => (ParkReason.ChanReceive, (Action)ReceiveOne, (Action)SendAll),
                "send" => (ParkReason.ChanSend, () => channel.Send("given"), () => Times(Few, ReceiveOne)),
                "select" => (ParkReason.Select, () => SelectOne(crew, channel), SendAll),
                "lock" => (ParkReason.Mutex, () => LockOnce(held), held.Unlock),
                "group" => (ParkReason.WaitGroup, group.Wait, group.Done),
                _ => (ParkReason.Sleep, () => Go.Sleep(TimeSpan.FromSeconds(3)), (Action)(() => { })),
            };
            ComesDown(crew, reason, () => wait, go);

            void ReceiveOne() => crew.Equal(channel.Receive(), "given", what);
            void SendAll() => Times(Few, () => channel.Send("given"));
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>Planes are less than 4 GB apart there, and there is no store.</summary>
    [Test]
    public async Task SoTheyDoWithLittleAddressSpace()
    {
        Skip.When(Qemu.IsHere, "qemu: its own memory counts too");
        ChildResult child = ChildProcess.Execute(
            "/bin/sh", ["-c", "ulimit -v 1000000; exec \"$0\" --child stack-return", Environment.ProcessPath!]);

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\n\n--- stderr\n");
    }

    internal static int Program(string[] args)
    {
        string? failure = Crew.Run(2, crew =>
        {
            Chan<int> channel = new();
            ComesDown(crew, ParkReason.ChanReceive, () => () => channel.Receive(), channel.Close);
        });
        Console.Error.Write(failure);
        return failure == null ? 0 : 1;
    }

    [Test]
    [Slow]
    public async Task GdbShowsWhereOneStandsThatIsStored()
    {
        Skip.When(Qemu.IsHere, "qemu: gdb would look at qemu");
        ChildResult child = ChildProcess.Execute(
            "gdb",
            [
                "-batch", "-nx", "-ex", "set debuginfod enabled off",
                "-ex", "handle SIGSEGV SIG34 SIG35 SIGURG nostop noprint pass",
                "-ex", "source " + Path.Combine(Repository.Root(), "native/weft-gdb.py"),
                "-ex", "run", "-ex", "goroutine all bt", "-ex", "kill",
                "--args", Environment.ProcessPath!, "--child", "stack-stored",
            ],
            environment: new() { ["WEFTDEBUG"] = "homes=1" },
            timeout: TimeSpan.FromMinutes(4)); // Five seconds of a core's time, on a machine with other work a minute.

        int found = child.Output.Split(nameof(StandsHere)).Length - 1;
        await Assert.That(found).IsGreaterThanOrEqualTo(Many).Because(child.ToString());
    }

    /// <summary>Stops, for a debugger, when many are stored, and others have used their pages.</summary>
    internal static int Stored(string[] args)
    {
        Chan<int> gate = new();
        StartAndStore(() => StandsHere(gate));
        StartAndStore(() => Go.Sleep(TimeSpan.FromMinutes(1)));
        const int trap = 5;
        return Raise(trap);
    }

    private static void StartAndStore(Action action)
    {
        long before = StackStore.Stored;
        Times(Many, () => Go.Run(action));
        while (StackStore.Stored - before < Many - 1) // One has a page of its own.
        {
            Thread.Sleep(1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void StandsHere(Chan<int> gate)
    {
        _ = gate.Receive(out int value);
        Console.WriteLine(value);
    }

    /// <summary>Nobody collects here: sysmon has to see that it is worth it.</summary>
    [Test]
    public async Task StacksOfAProcessThatDoesNothingComeDown()
    {
        const int count = 300;
        long before = StackReturn.Returns;
        string? failure = Crew.Run(2, crew =>
        {
            Chan<int> channel = new();
            int right = 0;
            for (int i = 0; i < count; i++)
            {
                crew.GoAndPark(ParkReason.ChanReceive, () => Wait(crew, () => channel.Receive(), ref right));
            }
            crew.Until(() => StackReturn.Returns - before >= count, "stacks to come down");
            channel.Close();
            crew.Until(() => Volatile.Read(ref right) == count, "all to go on");
        });

        await Assert.That(failure).IsNull();
    }

    /// <summary>The first collection beside so many would take 20 ms, and somebody computes.</summary>
    [Test]
    public async Task TheyDoNotWhileACollectionWouldKeepOthersWaiting()
    {
        Skip.When(Qemu.IsHere, Qemu.FewMappings);
        ChildResult child = ChildProcess.Run("stack-return-busy");

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\n0 collections\n\n--- stderr\n");
    }

    internal static int BusyProgram(string[] args)
    {
        const int count = 40_000;
        int collections = 0;
        string? failure = Crew.Run(2, crew =>
        {
            Chan<int> channel = new();
            int parked = 0;
            for (int i = 0; i < count; i++)
            {
                crew.Go(() =>
                {
                    Interlocked.Increment(ref parked);
                    _ = channel.Receive();
                });
            }
            crew.Until(() => Volatile.Read(ref parked) == count, "all to wait");
            int before = GC.CollectionCount(0);
            long start = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(2.5)) // Sysmon looks each 1.1 s.
            {
                Go.Yield();
            }
            collections = GC.CollectionCount(0) - before;
            channel.Close();
        });
        Console.Error.Write(failure);
        Console.WriteLine($"{collections} collections");
        return failure == null ? 0 : 1;
    }

    [Test]
    public async Task WhereThereAreManyThoseInPagesOfTheirOwnComeDown()
    {
        Skip.When(Qemu.IsHere, Qemu.FewMappings);
        ChildResult child = ChildProcess.Run("many-come-down");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    /// <summary>By itself: with goroutines of others there are fewer pages of their own for these.</summary>
    internal static int ManyComeDown(string[] args)
    {
        const int count = Layout.ManyHomes + 500;
        long before = StackReturn.Returns;
        return Crew.Report(2, crew =>
        {
            Chan<string> channel = new();
            int parked = 0;
            int right = 0;
            for (int i = 0; i < count; i++)
            {
                crew.Go(() =>
                {
                    string own = new('x', 3);
                    Interlocked.Increment(ref parked);
                    crew.Equal(channel.Receive(), "given", "element");
                    crew.Equal(own, "xxx", "own");
                    Interlocked.Increment(ref right);
                });
            }
            crew.Until(() => Volatile.Read(ref parked) == count, "all to wait");
            long least = Layout.HomesLimit > count ? count : 0; // Else they have been stored before.
            crew.Until(() => StackReturn.Returns - before >= least, "stacks to come down");
            Times(count, () => channel.Send("given"));
            crew.Until(() => Volatile.Read(ref right) == count, "all to go on");
        });
    }

    private static void Times(int count, Action action)
    {
        for (int i = 0; i < count; i++)
        {
            action();
        }
    }

    private static void SelectOne(Crew crew, Chan<string> channel)
    {
        ReceiveCase<string> receive = new(channel);
        _ = Select.Wait(receive, new ReceiveCase<string>(new Chan<string>()));
        crew.Equal(receive.Value, "given", "select");
    }

    private static void LockOnce(Mutex held)
    {
        held.Lock();
        held.Unlock();
    }

    /// <summary>Has some wait for that reason, with a grown stack each, until those have come down; and lets
    /// them go on.</summary>
    private static void ComesDown(Crew crew, ParkReason reason, Func<Action> wait, Action go)
    {
        long before = StackReturn.Returns;
        int right = 0;
        for (int i = 0; i < Few; i++)
        {
            Action one = wait();
            crew.GoAndPark(reason, () => Wait(crew, one, ref right));
        }
        GC.Collect(); // They get ages: collections of generation 0 pass by.
        GC.Collect();
        Go.Sleep(TimeSpan.FromMilliseconds(Layout.IdleBeforeShrinkNs / 1_000_000 * 3 / 2));
        for (int i = 0; i < 3; i++)
        {
            GC.Collect(i, GCCollectionMode.Forced, blocking: true, compacting: true);
            Crew.LetOthersRun();
            crew.Expect(StackReturn.Returns - before >= Few, $"{StackReturn.Returns - before} came down");
        }
        go();
        crew.Until(() => Volatile.Read(ref right) == Few, "all to go on");
    }

    /// <summary>Grows, then waits with references, spans and pointers to its own stack in its frames; and
    /// grows once more.</summary>
    private static unsafe void Wait(Crew crew, Action wait, ref int right)
    {
        _ = Parent();
        Span<int> numbers = stackalloc int[20];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = i * i;
        }
        string text = new('x', 10);
        int local = 17;
        int* pointer = &local;
        Inner(crew, wait, numbers, ref local, text);
        crew.Equal(*pointer, 18, "through a pointer");
        crew.Equal(local, 18, "the local");
        for (int i = 0; i < numbers.Length; i++)
        {
            crew.Equal(numbers[i], i == 3 ? -1 : i * i, "number");
        }
        crew.Equal(text, "xxxxxxxxxx", "text");
        _ = Parent();
        crew.Equal(*pointer, 18, "through a pointer, after growth");
        Interlocked.Increment(ref right);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Inner(Crew crew, Action wait, Span<int> numbers, ref int local, string text)
    {
        wait();
        numbers[3] = -1;
        local++;
        crew.Equal(text.Length, 10, "length");
    }
}
