// The same for sync/: a wait spins once.

using Weft.Models;

namespace Weft;

/// <summary>No model has two writers.</summary>
internal sealed class Mutex
{
    internal void Lock() => Explorer.Assert(Explorer.Count++ == 0, "Two writers.");

    internal void Lock(CancellationToken token) => Lock();

    internal bool TryLock()
    {
        Lock();
        return true;
    }

    internal void Unlock() => Explorer.Count--;
}

internal struct BriefSpin
{
    internal const int LeastNs = 5_000;

    private bool _isOver;

    internal readonly bool MayGoOn(int mostNs) => !_isOver;

    internal void Spin()
    {
        _isOver = true;
        Explorer.GiveWay();
    }
}
