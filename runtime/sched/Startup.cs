// Starting the runtime, once per process: the checks that make everything else true, then the parts in
// the order of their layers.

using System.Globalization;
using System.Runtime;

namespace Weft.Runtime;

internal static unsafe class Startup
{
    internal const string NeedsAot =
        "Weft needs NativeAOT: set <PublishAot>true</PublishAot> and run what 'dotnet publish' makes.";

    private const string MaxProcsVariable = "WEFT_MAXPROCS";
    private const string GuardVariable = "WEFT_GUARD";
    private const string PreemptVariable = "WEFT_ASYNCPREEMPT";
    private const string DebugVariable = "WEFTDEBUG";

    private static readonly Lock s_startLock = new();
    private static bool s_done;

    /// <summary>Whether this program was compiled ahead of time: nothing of Weft can run otherwise.</summary>
    internal static bool IsAot => JitInfo.GetCompiledMethodCount() == 0;

    internal static void Start()
    {
        if (!IsAot)
        {
            throw new PlatformNotSupportedException(NeedsAot);
        }
        lock (s_startLock)
        {
            if (s_done)
            {
                return;
            }
            if (RuntimeThread.FindMismatch() is string mismatch)
            {
                throw new PlatformNotSupportedException(
                    $"Weft supports .NET 10.0.12; this program has {Environment.Version}: {mismatch}.");
            }
            Scheduler.InitializeTrace(Environment.GetEnvironmentVariable(DebugVariable));
            Os.GuardByProtection = Environment.GetEnvironmentVariable(GuardVariable) == "mprotect";
            GoroutinePages.Initialize(MappingLimit());
            PollTable.ChooseCapacity();
            FixedStacks.Initialize();
            GcRoots.Initialize();
            StackProbe.Initialize();
            Switch.SetHooks(&StackGrowth.GrowForReserve, &GcRoots.Report, &LeakScan.Decide);
            Kqueue.Choose();
            FaultHandler.Install();
            DotNetWait.Initialize();
            Scheduler.InitializePreemption(Environment.GetEnvironmentVariable(PreemptVariable) != "0");
            Scheduler.Initialize(InitialProcessors());
            s_done = true;
        }
    }

    /// <summary>How many mappings the kernel allows a process.</summary>
    private static long MappingLimit()
    {
        try
        {
            return long.Parse(
                File.ReadAllText("/proc/sys/vm/max_map_count"), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return 65530; // The kernel's default.
        }
    }

    /// <summary>The processors that the process may use, cgroup limits and affinity included.</summary>
    private static int InitialProcessors()
    {
        int count = Environment.ProcessorCount;
        string? wanted = Environment.GetEnvironmentVariable(MaxProcsVariable);
        if (!string.IsNullOrEmpty(wanted)
            && (!int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out count)
                || count is < 1 or > Layout.MaxProcessors))
        {
            throw new ArgumentException(
                $"{MaxProcsVariable} is '{wanted}': it must be a number from 1 to {Layout.MaxProcessors}.");
        }
        return Math.Clamp(count, 1, Layout.MaxProcessors);
    }
}
