// What a trace asks the scheduler (trace/TraceSource.cs), and WEFT_TRACE=FILE: a trace from the start to the
// end of the process. Go: the package runtime/trace.

namespace Weft.Runtime;

internal sealed unsafe class SchedulerTrace : TraceSource
{
    private const string Variable = "WEFT_TRACE";
    private const long MostNamed = 100_000; // To look at more stacks takes too long.

    // What stands between a goroutine's beginning and the program's function.
    private static readonly string[] s_own =
    [
        "Weft.Runtime.", "Weft.WaitGroup", "Weft.ErrGroup", "Weft.GoScope", "Weft.Go.", "Weft.Go+",
        "Weft.AsyncHome", "Weft.WeftHost",
    ];

    private static FileStream? s_file;

    internal static SchedulerTrace Source { get; } = new();

    /// <summary>Why there are no traces on the JIT.</summary>
    internal static PlatformNotSupportedException NotOnJit(string what) =>
        new($"{what} needs NativeAOT: on the JIT the system schedules, and does not say what it does.");

    /// <summary>Opens the file that the environment asks for. Throws ArgumentException if that cannot
    /// be.</summary>
    internal static void OpenIfAsked()
    {
        string? path = Environment.GetEnvironmentVariable(Variable);
        if (string.IsNullOrEmpty(path))
        {
            return;
        }
        if (Jit.IsOn)
        {
            Fatal.Write($"weft: {Variable} is of no use: {NotOnJit("a trace").Message}\n");
            return;
        }
        try
        {
            s_file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new ArgumentException($"{Variable} is '{path}', which cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Begins to write it. The scheduler has just started.</summary>
    internal static void StartIfAsked()
    {
        if (s_file != null)
        {
            TraceSession.Start(Source, s_file, fromStart: true);
            AppDomain.CurrentDomain.ProcessExit += (_, _) => Finish();
        }
    }

    /// <summary>Before the process ends: what there is, is written. Any thread.</summary>
    internal static void Finish()
    {
        if (Interlocked.Exchange(ref s_file, null) is not { } file)
        {
            return;
        }
        try
        {
            _ = TraceSession.Stop();
            file.Dispose();
        }
        catch (IOException e)
        {
            Fatal.Write($"weft: {Variable}: {e.InnerException?.Message ?? e.Message}\n");
        }
    }

    internal override int RingCount => Scheduler.RingCount;

    internal override TraceRing* Ring(int index) => Scheduler.Ring(index);

    internal override bool Set(bool on) => Scheduler.SetTracing(on);

    internal override string NameOf(nint code) => StackDump.NameOf(code);

    internal override string Describe(ParkReason reason) =>
        StackDump.Describe(GoroutineState.Waiting, reason);

    /// <summary>By the outermost function of the program's on each stack.</summary>
    internal override void NameAll(Action<long, string> tell)
    {
        if (Scheduler.LiveCount > MostNamed)
        {
            return;
        }
        Dictionary<nint, string> names = [];
        StackDump.ForEach(record =>
        {
            for (nint i = ((StackRecord*)record)->FrameCount - 1; i >= 0; i--)
            {
                nint address = StackRecord.Frames((StackRecord*)record)[i] - 1;
                if (!names.TryGetValue(address, out string? name))
                {
                    name = StackDump.NameOf(address);
                    names.Add(address, name);
                }
                if (!Array.Exists(s_own, own => name.StartsWith(own, StringComparison.Ordinal)))
                {
                    tell(((StackRecord*)record)->Id, name);
                    return;
                }
            }
        });
    }

    internal override (string Name, long Value)[] Figures()
    {
        RuntimeStats stats = Scheduler.Stats();
        return [("Runs", stats.Runs), ("Steals", stats.Steals), ("Polls", stats.Polls)];
    }
}
