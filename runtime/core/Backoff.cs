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
// So it is for four that run at a time. The more there are, the more looks the holder bears, and the more
// turns come before one's own: from there on both times grow with their number. With those of four, a channel
// of capacity 128 shared by 16 costs 210 ns for each message, with these 89.
//
// Rejected: looking at a steady pace (16 cores, a stand-in in C: 218 ns for each message, 47 so); no end of
// patience (shares of 1 to 4 with two), or a far one (16 cores: 53 ns instead of 89, but shares of 1 to 3.9);
// a queue of waiters that look at words of their own, as MCS (one that the system has stopped stops all
// behind it: 430 ns and more).

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal struct Backoff
{
    internal const int NearestNs = 100;
    internal const int FewestProcessors = 4;

    private const int FarthestNsOfEach = 3_200;
    private const int PatientNsOfEach = 7_500;
    private const int MostProcessors = 64;

    /// <summary>Who waits polls for a collection that often.</summary>
    private const int PollNs = 2_000;

    private const int MeasuredPauses = 32;
    private const int Measurements = 3;

    private static int s_pauseNs = 40;
    private static int s_processors = FewestProcessors;

    private readonly int _processors;
    private uint _random;
    private int _limitNs;
    private int _waitedNs;

    /// <summary>Those who wait at the same time give different seeds: addresses of their locals. The first
    /// look is at most firstNs away.</summary>
    internal Backoff(nint seed, int firstNs = NearestNs)
        : this(seed, firstNs, Volatile.Read(ref s_processors))
    {
    }

    internal Backoff(nint seed, int firstNs, int processors)
    {
        _processors = processors;
        _random = ((uint)(seed >> 3) * 0x9e3779b1) | 1;
        _limitNs = firstNs;
    }

    internal readonly int FarthestNs => FarthestNsOfEach * _processors;

    internal readonly int PatientNs => PatientNsOfEach * _processors;

    /// <summary>So many may wait at the same time and all run. More processors than cores do not
    /// count.</summary>
    internal static void Expect(int processors) => Volatile.Write(
        ref s_processors,
        Math.Clamp(Math.Min(processors, Environment.ProcessorCount), FewestProcessors, MostProcessors));

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
        Pause(waits);
        return waits;
    }

    /// <summary>Waits for that long. In line too.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Pause(int ns)
    {
        int pauseNs = s_pauseNs;
        int toPoll = PollNs;
        for (int left = ns; left > 0; left -= pauseNs)
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
