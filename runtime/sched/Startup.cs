// Starting the runtime, once per process: the checks that make everything else true, then the parts in
// the order of their layers.

using System.Globalization;
using System.Runtime;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class Startup
{
    private const string WrongFlag =
        "This program was trimmed, and runs on the JIT: Weft works there in untrimmed programs only. "
        + "Publish it with NativeAOT.";

    private const string JitPlatform =
        "Weft on the JIT runs on x64 Linux only. Elsewhere there is nothing of Weft yet.";

    internal const string JitNotice =
        "weft: on the JIT, for development: goroutines are threads. "
        + "Publish with NativeAOT for the real ones.\n";

    private const string MaxProcsVariable = "WEFT_MAXPROCS";
    private const string GuardVariable = "WEFT_GUARD";
    private const string PreemptVariable = "WEFT_ASYNCPREEMPT";
    private const string DebugVariable = "WEFTDEBUG";

    private const int BadSettingExitCode = 2;
    private const long MappingsLeft = 8 * 1024;

    private static readonly Lock s_startLock = new();
    private static bool s_done;

    /// <summary>Whether the process is a program of Weft's: it gets all the descriptors it may have, and a
    /// variable of the environment that has no meaning ends it with one line, as it cannot do anything about
    /// that. Else, in a host that has loaded libweft, Start throws ArgumentException instead, and leaves the
    /// limit as it is.</summary>
    internal static bool OwnsProcess { get; set; } = true;

    internal static void Start()
    {
        if (Jit.IsOn != (JitInfo.GetCompiledMethodCount() > 0))
        {
            throw new PlatformNotSupportedException(WrongFlag);
        }
        if (Jit.IsOn)
        {
            StartOnJit();
            return;
        }
        if (StartOnce())
        {
            CxxExceptions.Look(); // Not with the lock held: see there.
        }
    }

    /// <summary>False when it is started already.</summary>
    private static bool StartOnce()
    {
        lock (s_startLock)
        {
            if (s_done)
            {
                return false;
            }
            RuntimeThread.Load();
            if (WhyNotHere(Os.SystemPageSize, Os.ProcessorSignsAddresses, RuntimeThread.Table.Version)
                is string reason)
            {
                throw new PlatformNotSupportedException(reason);
            }
            if (RuntimeThread.FindMismatch(RuntimeThread.Table) is string mismatch)
            {
                throw new PlatformNotSupportedException(
                    $"Weft does not know this build of .NET, {Environment.Version}: {mismatch}.");
            }
            FunctionOf.Initialize(RuntimeThread.Table.Version);
            Settings settings = ReadSettings();
            Os.GuardByProtection = settings.GuardByProtection;
            long mappings = Math.Max(0, MappingLimit() - MappingsLeft);
            Os.LimitProtected(mappings);
            nint goroutines = Homes.Initialize(mappings);
            GoroutineTable.Initialize(goroutines);
            GoroutineExtras.Initialize(goroutines);
            if (Homes.AreShared)
            {
                StackStore.Initialize(goroutines);
            }
            PollTable.ChooseCapacity();
            if (OwnsProcess)
            {
                Os.AllowAllDescriptors();
            }
            Backoff.Measure();
            Ticks.Choose();
            Pauses.Start();
            FixedStacks.Initialize();
            GcRoots.Initialize(settings.Collections);
            StackProbe.Initialize();
            Switch.SetHooks(&StackGrowth.GrowForReserve, &GcRoots.Report, &LeakScan.Decide);
            Switch.SetEndHooks(&ThreadEnd.Fail, &Scheduler.LoopToEnd);
            Kqueue.Choose();
            FaultHandler.Install();
            SocketWait.Initialize();
            LookUps.Initialize();
            DotNetWait.Initialize();
            Scheduler.InitializePreemption(settings.Preempts);
            Scheduler.Initialize(settings.Processors);
            if (settings.Collections.IsAsked)
            {
                Fatal.Write(GcRoots.Describe() + "\n");
            }
            SchedulerTrace.StartIfAsked();
            s_done = true;
            return true;
        }
    }

    private static void StartOnJit()
    {
        lock (s_startLock)
        {
            if (s_done)
            {
                return;
            }
            // The numbers of system calls and what they take are those of this platform.
            if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
            {
                throw new PlatformNotSupportedException(JitPlatform);
            }
            Settings settings = ReadSettings();
            GoroutineExtras.Initialize(JitThreads.MostWaits);
            PollTable.ChooseCapacity();
            Os.AllowAllDescriptors();
            Backoff.Measure();
            Scheduler.InitializeOnJit(settings.Processors);
            Fatal.Write(JitNotice);
            s_done = true;
        }
    }

    /// <summary>Why Weft cannot run on this system and processor, or null. Some of arm64 have pages of 16 or
    /// 64 KB: a first stack is less. And from .NET 11 on methods sign their return addresses where the
    /// processor can, with the place where they lie: such a stack cannot be moved.</summary>
    internal static string? WhyNotHere(nint pageSize, bool signsAddresses, nint dotNet) =>
        pageSize != Os.PageSize
            ? $"Weft needs memory pages of {Os.PageSize} bytes; this system's have {pageSize}."
        : signsAddresses && dotNet >= 11
            ? $"Weft cannot run on .NET {dotNet} on this processor yet: it signs return addresses."
        : null;

    /// <summary>All of them, before anything is done that cannot be undone.</summary>
    private static Settings ReadSettings()
    {
        try
        {
            SchedulerTrace.OpenIfAsked();
            GcSettings collections =
                Scheduler.InitializeTrace(Environment.GetEnvironmentVariable(DebugVariable));
            return new Settings(
                collections,
                InitialProcessors(),
                OneOf(GuardVariable, "", "mprotect") == "mprotect",
                OneOf(PreemptVariable, "", "0", "1") != "0");
        }
        catch (ArgumentException e) when (OwnsProcess)
        {
            Fatal.Write($"weft: fatal: {OneLine(e.Message)}\n");
            Os.Exit(BadSettingExitCode);
            throw;
        }
    }

    /// <summary>The value of a variable that has few; the first if it is not set.</summary>
    private static string OneOf(string variable, params string[] values)
    {
        string value = Environment.GetEnvironmentVariable(variable) ?? values[0];
        return values.Contains(value) ? value : throw new ArgumentException(
            $"{variable} is '{value}': it must be {string.Join(" or ", values[1..])}, or not set.");
    }

    private static string OneLine(string text) =>
        string.Concat(text.Select(each => char.IsControl(each) ? '?' : each));

    private readonly record struct Settings(
        GcSettings Collections, int Processors, bool GuardByProtection, bool Preempts);

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

    /// <summary>The processors that the process may use, unless it was told how many.</summary>
    private static int InitialProcessors()
    {
        string? wanted = Environment.GetEnvironmentVariable(MaxProcsVariable);
        Scheduler.FollowsLimit = string.IsNullOrEmpty(wanted);
        if (Scheduler.FollowsLimit)
        {
            return Scheduler.DefaultProcessors();
        }
        if (!int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            || count is < 1 or > Layout.MaxProcessors)
        {
            throw new ArgumentException(
                $"{MaxProcsVariable} is '{wanted}': it must be a number from 1 to {Layout.MaxProcessors}.");
        }
        return count;
    }
}
