// Spinning before a wait, for what another holds and may give back soon: Backoff.cs says when to look.
// Whether it is of use at all is asked once, when the wait begins; for how long, by who waits. 5 us are as
// long as Go spins; that it may pay to spin for longer, Mutex learns. Not where there are fewer cores than
// processors: the owner may be one that the system does not run.

using Weft.Runtime;

namespace Weft;

internal unsafe struct BriefSpin
{
    internal const int LeastNs = 5_000;
    internal const int MostNs = 50_000;

    private Backoff _backoff;
    private bool _isBegun;
    private int _limitNs;

    /// <summary>For how long so far, roughly.</summary>
    internal int Ns { get; private set; }

    /// <summary>Whether to spin once more, if it is for so long in all.</summary>
    internal bool MayGoOn(int mostNs)
    {
        if (!_isBegun)
        {
            Begin();
        }
        return Ns < Math.Min(mostNs, _limitNs);
    }

    /// <summary>Until it is time to look again.</summary>
    internal void Spin() => Ns += _backoff.Wait();

    private void Begin()
    {
        int seed;
        _backoff = new Backoff((nint)(&seed));
        _isBegun = true;
        _limitNs = !Scheduler.MaySpin() ? 0
            : Scheduler.MaxProcessors > Environment.ProcessorCount ? LeastNs : MostNs;
    }
}
