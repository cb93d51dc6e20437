// How long who waits for a word of memory keeps away from it between two looks. Each look takes the word's
// cache line away from the holder, and from the one that gets it next. So looks are random, and rarer the
// longer it takes; until one has waited for as long as others may be let past, and looks often again:
//
//   ns      100    200    400  …  12,800  12,800    100    100
//           |-·    |--·   |-----·         |-------· |·     |·      a look at a random moment of each
//           0                           30,000: nobody may be passed by for ever
//
// Whoever has the lock in its cache keeps it for a few microseconds, for many turns: that is what makes the
// lock cheap. The end of patience makes the shares equal: within a factor of two with as many cores.
//
// Rejected: looking at a steady pace (16 cores, a channel of capacity 128: 218 ns for each message, 47 so);
// no end of patience (shares of 1 to 4 with two); a queue of waiters that look at words of their own, as MCS
// (one that the system has stopped stops all behind it: 430 ns and more).

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal struct Backoff
{
    internal const int NearestNs = 100;
    internal const int FarthestNs = 12_800;
    internal const int PatientNs = 30_000;

    /// <summary>Who waits polls for a collection that often.</summary>
    private const int PollNs = 2_000;

    private const int MeasuredPauses = 32;
    private const int Measurements = 3;

    private static int s_pauseNs = 40;

    private uint _random;
    private int _limitNs;
    private int _waitedNs;

    /// <summary>Those who wait at the same time give different seeds: addresses of their locals.</summary>
    internal Backoff(nint seed)
    {
        _random = ((uint)(seed >> 3) * 0x9e3779b1) | 1;
        _limitNs = NearestNs;
    }

    /// <summary>Measures a pause: 40 to 70 ns on some processors, 10 on others. Once, at the start.</summary>
    internal static void Measure()
    {
        long least = long.MaxValue; // Whoever interrupts us makes it longer.
        for (int i = 0; i < Measurements; i++)
        {
            long start = Os.NowNs();
            for (int pause = 0; pause < MeasuredPauses; pause++)
            {
                Switch.Pause();
            }
            least = Math.Min(least, Os.NowNs() - start);
        }
        s_pauseNs = (int)Math.Clamp(least / MeasuredPauses, 1, NearestNs);
    }

    /// <summary>Waits; returns for how many nanoseconds, roughly. In line: a poll for a collection may be no
    /// method's last call (HACKING.md, trap x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal int Wait()
    {
        int waits = NextNs();
        int pauseNs = s_pauseNs;
        int toPoll = PollNs;
        for (int left = waits; left > 0; left -= pauseNs)
        {
            Switch.Pause();
            toPoll -= pauseNs;
            if (toPoll < 0)
            {
                toPoll = PollNs;
                Switch.PollForCollection();
            }
        }
        Switch.PollForCollection();
        return waits;
    }

    /// <summary>How long the next wait is.</summary>
    internal int NextNs()
    {
        _random ^= _random << 13;
        _random ^= _random >> 17;
        _random ^= _random << 5;
        int waits = 1 + (int)(_random % (uint)_limitNs);
        _waitedNs += waits;
        _limitNs = _waitedNs > PatientNs ? NearestNs : Math.Min(2 * _limitNs, FarthestNs);
        return waits;
    }
}
