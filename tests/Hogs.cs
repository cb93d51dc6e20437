// What a goroutine may do for ever, by kinds of code that it spends its time in: its own, the runtime's, the C
// library's, native code that is called with a transition and without. None may keep another from running.
//
// Each is one step; whoever runs it repeats it. Where code of the runtime or of the C library is the step, there
// are few instructions of managed code at which a signal could stop it.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace Weft.Tests;

internal static partial class Hogs
{
    private static readonly byte[] s_bytes = new byte[1 << 20];
    private static readonly object[] s_references = new object[100_000];
    private static readonly object[] s_copies = new object[100_000];
    private static readonly Lock s_lock = new();
    private static double s_number = 1.1;
    private static long s_sum;
    private static readonly int s_zero = Environment.TickCount64 < 0 ? 1 : 0; // The compiler does not know.
    private static readonly string? s_null = s_zero == 0 ? null : string.Empty;

    /// <summary>The step of each kind, by its name.</summary>
    internal static IReadOnlyDictionary<string, Action> Steps { get; } = new Dictionary<string, Action>
    {
        ["empty"] = () => { },
        ["alloc24"] = () => GC.KeepAlive(new object()),
        ["alloc1000"] = () => GC.KeepAlive(new byte[1000]),
        ["alloc100k"] = () => GC.KeepAlive(new byte[100_000]),
        ["collect"] = GC.Collect,
        ["collect0"] = () => GC.Collect(0),
        ["throw"] = () => Catch(() => throw new InvalidOperationException()),
        ["null"] = () => Catch(() => s_sum += s_null!.Length),
        ["divide"] = () => Catch(() => s_sum += 1 / s_zero),
        ["spin1"] = () => Thread.SpinWait(1),
        ["spin30"] = () => Thread.SpinWait(30),
        ["sha256"] = () => s_sum += SHA256.HashData(s_bytes.AsSpan(0, 4096))[0],
        ["stopwatch"] = () => s_sum += Stopwatch.GetTimestamp(),
        ["utcnow"] = () => s_sum += DateTime.UtcNow.Ticks,
        ["sin"] = () => s_number = Math.Sin(s_number) + 1,
        ["pow"] = () => s_number = s_number > 1e9 ? 1.1 : Math.Pow(s_number, 1.0001),
        ["clear1m"] = () => Array.Clear(s_bytes),
        ["copyrefs"] = () => Array.Copy(s_references, s_copies, s_references.Length),
        ["readfile"] = () => s_sum += File.ReadAllBytes("/etc/hostname").Length,
        ["lock"] = Locked,
        ["nap"] = () => Nap(1000),
    };

    [LibraryImport("libc", EntryPoint = "usleep")]
    internal static partial int Nap(uint us);

    private static void Catch(Action action)
    {
        try
        {
            action();
        }
        catch (SystemException)
        {
            s_sum++;
        }
    }

    private static void Locked()
    {
        lock (s_lock)
        {
            s_sum++;
        }
    }

    /// <summary>Arguments: a kind or all, hogs, seconds for each. Prints how late a goroutine wakes that sleeps
    /// 2 ms at a time beside them; WEFT_MAXPROCS is for how many processors.</summary>
    internal static int Program(string[] args)
    {
        int hogs = int.Parse(args[1], CultureInfo.InvariantCulture);
        TimeSpan time = TimeSpan.FromSeconds(double.Parse(args[2], CultureInfo.InvariantCulture));
        return WeftHost.Run(() =>
        {
            foreach (string kind in Steps.Keys.Where(k => args[0] == "all" || k == args[0]))
            {
                List<double> late = Beside(kind, hogs, time, int.MaxValue);
                Console.WriteLine(
                    $"{kind,-10} {hogs} on {Go.MaxProcs}: {late.Count} sleeps, late by p50 {late[late.Count / 2]:F1}"
                    + $" ms, p99 {late[late.Count * 99 / 100]:F1} ms, most {late[^1]:F1} ms");
            }
            Console.WriteLine($"what they computed: {s_sum + (long)s_number}");
        });
    }

    /// <summary>By how many ms each of that many sleeps of 2 ms came too late beside the hogs, sorted; of fewer
    /// where the time is over.</summary>
    internal static List<double> Beside(string kind, int hogs, TimeSpan time, int sleeps)
    {
        bool stop = false;
        WaitGroup done = new();
        Action step = Steps[kind];
        for (int i = 0; i < hogs; i++)
        {
            done.Go(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    step();
                }
            });
        }
        List<double> late = [];
        long start = Stopwatch.GetTimestamp();
        while (late.Count < sleeps && Stopwatch.GetElapsedTime(start) < time)
        {
            long before = Stopwatch.GetTimestamp();
            Go.Sleep(TimeSpan.FromMilliseconds(2));
            late.Add(Stopwatch.GetElapsedTime(before).TotalMilliseconds - 2);
        }
        Volatile.Write(ref stop, true);
        done.Wait();
        late.Sort();
        return late;
    }
}
