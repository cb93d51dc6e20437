// Look-ups of names on goroutines: so many at once, the others in line. asm/lookups.c, sched/LookUps.cs.

using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Mono.Unix.Native;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class LookUpTests
{
    private const int Skipped = 77;

    // A resolver that does not answer: glibc looks for other names of a host in a file that HOSTALIASES names,
    // here a pipe to which nobody writes.
    [Test]
    public async Task MoreThanThereArePlacesFor()
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        if (MakePipe(path) != 0)
        {
            throw new IOException("mkfifo");
        }
        Dictionary<string, string> slow = new()
        {
            ["HOSTALIASES"] = path,
            ["RES_OPTIONS"] = "timeout:1 attempts:1",
        };
        ChildResult child = ChildProcess.Run("look-ups", [path], slow);
        File.Delete(path);

        Skip.When(child.ExitCode == Skipped, "names are looked up in another way here");
        await Assert.That(child.ToString()).StartsWith("exit code 0\n");
    }

    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        const int limit = 2;
        const int count = 60;
        LookUps.SetLimit(limit);
        int slowOnes = 0;
        int others = 0;
        WaitGroup done = new();
        for (int i = 0; i < limit; i++)
        {
            done.Go(() =>
            {
                LookUp("weft-slow");
                Interlocked.Increment(ref slowOnes);
            });
        }
        // Both conditions: a machine may be blocked on the way to a place.
        while (Go.Stats().BlockedMachines < limit || HasPlace())
        {
            if (Volatile.Read(ref slowOnes) > 0)
            {
                return Skipped;
            }
            Go.Sleep(TimeSpan.FromMilliseconds(1));
        }
        nint[] all = new nint[count];
        for (int i = 0; i < count; i++)
        {
            int id = i;
            done.Go(() =>
            {
                Volatile.Write(ref all[id], This());
                LookUpAny(id);
                Interlocked.Increment(ref others);
            });
        }
        while (!Array.TrueForAll(all, IsInLine) && Volatile.Read(ref others) == 0)
        {
            Go.Sleep(TimeSpan.FromMilliseconds(1));
        }
        Thread thread = new(() => LookUp("localhost")); // Is not held back.
        thread.Start();
        thread.Join();
        if (Volatile.Read(ref others) != 0 || Volatile.Read(ref slowOnes) != 0
            || Scheduler.MachineCount > limit + 20)
        {
            Console.WriteLine($"{others} and {slowOnes} came through; {Go.Stats()}");
            return 1;
        }
        File.Move(args[0], args[0] + ".pipe");
        File.WriteAllText(args[0], "");
        new FileStream(args[0] + ".pipe", FileMode.Open, FileAccess.Write, FileShare.ReadWrite).Dispose();
        File.Delete(args[0] + ".pipe");
        done.Wait();
        return others == count ? 0 : 2;
    });

    private static void LookUpAny(int number)
    {
        switch (number % 3)
        {
            case 0:
                LookUp("localhost");
                break;
            case 1: // The other way round.
                Ignoring(() => _ = Dns.GetHostEntry(IPAddress.Loopback));
                break;
            default:
                Ignoring(() => Net.Dial("tcp", "localhost:1").Dispose());
                break;
        }
    }

    private static bool HasPlace()
    {
        if (Take(Gate(), 0) == 0)
        {
            return false;
        }
        Give(Gate());
        return true;
    }

    private static void LookUp(string name) => Ignoring(() => _ = Dns.GetHostAddresses(name));

    /// <summary>Whether there is such a name is not the question.</summary>
    private static void Ignoring(Action action)
    {
        try
        {
            action();
        }
        catch (SocketException)
        {
        }
    }

    private static unsafe nint This() => (nint)Current.Goroutine();

    private static unsafe bool IsInLine(nint address)
    {
        Goroutine* g = (Goroutine*)address;
        return g != null && g->State == GoroutineState.Waiting && g->Reason == ParkReason.DotNetWait;
    }

    [Test]
    [Arguments(1, 1)]
    [Arguments(2, 1)]
    [Arguments(4, 1)]
    [Arguments(2, 3)]
    [Arguments(4, 3)]
    public async Task WhoComesFirstIsNext(int procs, int limit)
    {
        const int count = 50;
        List<int> order = [];
        int most = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            LookUps.SetLimit(limit); // The start has set it.
            int inside = 0;
            for (int i = 0; i < limit; i++)
            {
                _ = Take(Gate(), -1);
            }
            for (int i = 0; i < count; i++)
            {
                int id = i;
                crew.GoAndPark(ParkReason.DotNetWait, () =>
                {
                    _ = Take(Gate(), -1);
                    lock (order)
                    {
                        order.Add(id);
                        most = Math.Max(most, ++inside);
                    }
                    Go.Yield();
                    lock (order)
                    {
                        inside--;
                    }
                    Give(Gate());
                });
            }
            for (int i = 0; i < limit; i++)
            {
                Give(Gate());
            }
        });
        int free = 0;
        while (Take(Gate(), 0) != 0)
        {
            free++;
        }
        for (int i = 0; i < free; i++)
        {
            Give(Gate());
        }
        LookUps.Initialize();

        await Assert.That(failure).IsNull();
        await Assert.That(most).IsBetween(1, limit);
        await Assert.That(free).IsEqualTo(limit);
        await Assert.That(order.Order().SequenceEqual(Enumerable.Range(0, count))).IsTrue();
        // Those that are inside together may be noted in any order.
        await Assert.That(limit > 1 || order.SequenceEqual(Enumerable.Range(0, count))).IsTrue();
    }

    [Test]
    public async Task TheLimitIsGos()
    {
        await Assert.That(LookUps.LimitFor(1_000_000)).IsEqualTo(500);
        await Assert.That(LookUps.LimitFor(501)).IsEqualTo(500);
        await Assert.That(LookUps.LimitFor(500)).IsEqualTo(470);
        await Assert.That(LookUps.LimitFor(30)).IsEqualTo(30);
        await Assert.That(LookUps.LimitFor(0)).IsEqualTo(1);
    }

    internal static int MakePipe(string path) =>
        Syscall.mkfifo(path, FilePermissions.S_IRUSR | FilePermissions.S_IWUSR);

    [LibraryImport("weft", EntryPoint = "weft_lookup_gate")]
    private static partial nint Gate();

    [LibraryImport("weft", EntryPoint = "weft_monitor_acquire")]
    private static partial int Take(nint gate, int milliseconds);

    [LibraryImport("weft", EntryPoint = "weft_monitor_release")]
    private static partial void Give(nint gate);
}
