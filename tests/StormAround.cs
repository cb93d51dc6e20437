// With WEFT_TESTS_STORM set, the tests run in a storm: forced collections a millisecond apart, and signals that
// interrupt every goroutine as fast as they can be sent. For tests of semantics; those that measure time or
// memory measure the storm.

namespace Weft.Tests;

internal sealed class StormAround : IDisposable
{
    internal const string Variable = "WEFT_TESTS_STORM";

    private readonly PreemptionTests.SignalSender _signals = new();
    private readonly Thread _collections;
    private bool _stop;

    private StormAround()
    {
        _collections = new Thread(() => Crew.Collect(() => Volatile.Read(ref _stop))) { IsBackground = true };
        _collections.Start();
    }

    internal static bool IsWanted => !string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Variable));

    /// <summary>The storm, if it is wanted, until disposed.</summary>
    internal static StormAround? StartIfWanted() => IsWanted ? Start() : null;

    internal static StormAround Start() => new();

    public void Dispose()
    {
        Volatile.Write(ref _stop, true);
        _collections.Join();
        _signals.Dispose();
    }
}
