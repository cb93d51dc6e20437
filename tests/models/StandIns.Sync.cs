// The same for sync/: a wait spins once.

using Weft.Models;

namespace Weft;

internal static class Go
{
    internal static void Run<T>(Action<T> action, T argument) => throw new NotSupportedException();
}

internal struct BriefSpin
{
    internal const int LeastNs = 5_000;

    private bool _isOver;

    internal readonly int Ns => 0;

    internal readonly int MostNs => 0;

    internal readonly bool MayGoOn(int mostNs, int firstNs = 0) => !_isOver;

    internal void Spin()
    {
        _isOver = true;
        Explorer.GiveWay();
    }
}
