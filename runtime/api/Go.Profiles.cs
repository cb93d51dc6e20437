// Profiles.

using Weft.Runtime;

namespace Weft;

/// <summary>What <see cref="Go.WriteProfile"/> writes.</summary>
public enum GoProfile
{
    /// <summary>All goroutines, by stack, with what they wait for as the label "state". Go: goroutine.
    /// </summary>
    Goroutines,

    /// <summary>Where goroutines have waited for channels, selects, locks, groups and events, how often and
    /// for how long, since the start of the program: see <see cref="Go.BlockProfileRate"/>. Go: block.
    /// </summary>
    Block,

    /// <summary>Who has kept others waiting for a <see cref="Mutex"/> or <see cref="RWMutex"/>, how often and
    /// for how long, since the start of the program: see <see cref="Go.MutexProfileFraction"/>. The stack is
    /// that of who unlocked it. Go: mutex.</summary>
    Mutex,

    /// <summary>The goroutines that wait for ever: <see cref="Go.FindLeaks"/>. Go: goroutineleak.</summary>
    Leaks,
}

public static unsafe partial class Go
{
    /// <summary>
    /// Writes a profile in pprof's format: <c>go tool pprof -top FILE</c>, speedscope and others open it.
    /// Stops the world for the time of a collection, for goroutines and leaks; the others are what was
    /// counted meanwhile, and stop nobody. Go: pprof.Profile.WriteTo.
    /// </summary>
    /// <remarks>Any thread or goroutine may call it; calls take their turn. For leaks it costs what
    /// <see cref="FindLeaks"/> does.</remarks>
    /// <param name="profile">Of what.</param>
    /// <param name="stream">Where to; compressed by gzip; not closed.</param>
    /// <exception cref="ArgumentNullException">The stream is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such profile.</exception>
    /// <exception cref="PlatformNotSupportedException">On the JIT (<see cref="Mode"/>), where debuggers and
    /// dotnet-stack show goroutines as threads; for leaks also with the server collector.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for the stacks.</exception>
    public static void WriteProfile(GoProfile profile, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (Jit.IsOn)
        {
            throw SchedulerTrace.NotOnJit("Go.WriteProfile");
        }
        Scheduler.EnsureStarted();
        switch (profile)
        {
            case GoProfile.Goroutines:
                Profiles.Goroutines(stream);
                break;

            case GoProfile.Block:
                Profiles.Contention(stream, ContentionProfile.Block);
                break;

            case GoProfile.Mutex:
                Profiles.Contention(stream, ContentionProfile.Mutexes);
                break;

            case GoProfile.Leaks when LeakFinder.IsSupported:
                Profiles.Leaks(stream, &SelectCase.IsReachable);
                break;

            case GoProfile.Leaks:
                throw new PlatformNotSupportedException(
                    "The profile of leaks needs the workstation collector: set ServerGarbageCollection to "
                    + "false.");

            default:
                throw new ArgumentOutOfRangeException(nameof(profile));
        }
    }

    /// <summary>
    /// Counts where goroutines wait, for <see cref="GoProfile.Block"/>: each wait of that many nanoseconds
    /// and more, and of the shorter ones as many by chance that one is counted for each such time of waiting.
    /// 1 is all; 0, as at the start, is off. While on, each wait reads the clock twice and walks its stack if
    /// it is counted, some 0.3 us. Go: SetBlockProfileRate.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for the stacks.</exception>
    /// <exception cref="PlatformNotSupportedException">Set on the JIT (<see cref="Mode"/>).</exception>
    public static long BlockProfileRate
    {
        get => ContentionProfile.BlockRate;

        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            StartProfiling("Go.BlockProfileRate");
            ContentionProfile.BlockRate = value;
        }
    }

    /// <summary>
    /// Counts who keeps others waiting for locks, for <see cref="GoProfile.Mutex"/>: one of so many waits, by
    /// chance, for as many. 1 is all; 0, as at the start, is off. The waits of all kinds read the clock
    /// meanwhile. Go: SetMutexProfileFraction.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    /// <exception cref="InsufficientMemoryException">No memory for the stacks.</exception>
    /// <exception cref="PlatformNotSupportedException">Set on the JIT (<see cref="Mode"/>).</exception>
    public static int MutexProfileFraction
    {
        get => (int)ContentionProfile.MutexFraction;

        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            StartProfiling("Go.MutexProfileFraction");
            ContentionProfile.MutexFraction = value;
        }
    }

    private static void StartProfiling(string what)
    {
        if (Jit.IsOn)
        {
            throw SchedulerTrace.NotOnJit(what);
        }
        Scheduler.EnsureStarted();
    }
}
