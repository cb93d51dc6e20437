// Spinning before a wait, for what another holds and may give back soon: Backoff.cs says when to look.
// Whether it is of use at all is asked once, when the wait begins; for how long, by who waits. 5 us are as
// long as Go spins; that it may pay to spin for longer, Mutex learns. Not where there are fewer cores than
// processors: the owner may be one that the system does not run.

using Weft.Runtime;

namespace Weft;

internal unsafe struct BriefSpin
{
    internal const int LeastNs = 5_000;

    private const int ImpatientNs = 20_000;

    private Backoff _backoff;
    private bool _isBegun;

    /// <summary>For how long so far, roughly.</summary>
    internal int Ns { get; private set; }

    /// <summary>For how long it may pay: until patience ends, and for some looks after that. 0 before it has
    /// begun, and where it never does.</summary>
    internal int MostNs { get; private set; }

    /// <summary>Whether to spin once more, if it is for so long in all. The first look is at most firstNs
    /// away.</summary>
    internal bool MayGoOn(int mostNs, int firstNs = Backoff.NearestNs)
    {
        if (!_isBegun)
        {
            Begin(firstNs);
        }
        return Ns < Math.Min(mostNs, MostNs);
    }

    /// <summary>Until it is time to look again.</summary>
    internal void Spin() => Ns += _backoff.Wait();

    private void Begin(int firstNs)
    {
        int seed;
        _backoff = new Backoff((nint)(&seed), firstNs);
        _isBegun = true;
        MostNs = !Scheduler.MaySpin() ? 0
            : Scheduler.HasCoreForEach ? _backoff.PatientNs + ImpatientNs
            : LeastNs;
    }
}
