// The memory itself: small programs, and all that may come of them. Each letter is what a load finds.
//
//                        thread 0              thread 1              comes of it
//   store, then load     x = 1, a = y          y = 1, b = x          00 too, unless barriers stand between
//   message              x = 1, y = 1          a = y, b = x          10 too, unless y is released and acquired
//   coherence            x = 1                 a = x, b = x          never 10
//   load, then store     a = x, y = 1          b = y, x = 1          never 11, which arm64 may do: not shown
//   two looks            x = 1 | y = 1         a = x, b = y | c = y, d = x
//                                              1010 too, which arm64 may not do, unless barriers stand between
//
// Must hold: what comes of it is this, no more and no less.

namespace Weft.Models.Protocols;

internal sealed unsafe class LitmusModel(
    string expected, params LitmusModel.Body[] bodies) : Model
{
    private readonly SortedSet<string> _outcomes = [];

    /// <summary>x and y, and four words to leave what was found in.</summary>
    internal delegate void Body(int* x, int* y, int* found);

    internal override int Depth => 4;

    internal override (string, string)[] Barriers => [];

    internal override string[] Races => ["x", "y"];

    internal override Action[] Threads => [.. bodies.Select(body => (Action)(() => body(X, Y, Found)))];

    private int* X { get; set; }

    private int* Y { get; set; }

    private int* Found { get; set; }

    internal static LitmusModel StoreLoad => new("00 01 10 11", (x, y, found) =>
    {
        *x = 1;
        found[0] = *y;
    }, (x, y, found) =>
    {
        *y = 1;
        found[1] = *x;
    });

    internal static LitmusModel StoreLoadExchange => new(Explorer.AreExchangesFull ? "01 10 11" : "00 01 10 11", (x, y, found) =>
    {
        Interlocked.Exchange(ref *x, 1);
        found[0] = Volatile.Read(ref *y);
    }, (x, y, found) =>
    {
        Interlocked.Exchange(ref *y, 1);
        found[1] = Volatile.Read(ref *x);
    });

    internal static LitmusModel StoreLoadBarrier => new("01 10 11", (x, y, found) =>
    {
        *x = 1;
        Interlocked.MemoryBarrier();
        found[0] = *y;
    }, (x, y, found) =>
    {
        *y = 1;
        Interlocked.MemoryBarrier();
        found[1] = *x;
    });

    internal static LitmusModel Message => new("00 01 10 11", (x, y, _) =>
    {
        *x = 1;
        *y = 1;
    }, (x, y, found) =>
    {
        found[0] = *y;
        found[1] = *x;
    });

    internal static LitmusModel MessageReleased => new("00 01 11", (x, y, _) =>
    {
        *x = 1;
        Volatile.Write(ref *y, 1);
    }, (x, y, found) =>
    {
        found[0] = Volatile.Read(ref *y);
        found[1] = *x;
    });

    internal static LitmusModel MessageBarrier => new("00 01 11", (x, y, _) =>
    {
        *x = 1;
        Interlocked.MemoryBarrier();
        *y = 1;
    }, (x, y, found) =>
    {
        found[0] = *y;
        Interlocked.MemoryBarrier();
        found[1] = *x;
    });

    internal static LitmusModel Coherence => new("00 01 11", (x, _, _) => *x = 1, (x, _, found) =>
    {
        found[0] = *x;
        found[1] = *x;
    });

    internal static LitmusModel LoadStore => new("00 01 10", (x, y, found) =>
    {
        found[0] = *x;
        *y = 1;
    }, (x, y, found) =>
    {
        found[1] = *y;
        *x = 1;
    });

    internal static LitmusModel TwoLooks(bool barriers) => new(
        "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 " + (barriers ? "" : "1010 ") + "1011 1100 1101 1110 1111",
        (x, _, _) => Volatile.Write(ref *x, 1),
        (_, y, _) => Volatile.Write(ref *y, 1),
        (x, y, found) =>
        {
            found[0] = Volatile.Read(ref *x);
            if (barriers)
            {
                Interlocked.MemoryBarrier();
            }
            found[1] = Volatile.Read(ref *y);
        },
        (x, y, found) =>
        {
            found[2] = Volatile.Read(ref *y);
            if (barriers)
            {
                Interlocked.MemoryBarrier();
            }
            found[3] = Volatile.Read(ref *x);
        });

    internal override void Prepare() => _outcomes.Clear();

    internal override void SetUp()
    {
        X = Explorer.Allocate<int>("x");
        Y = Explorer.Allocate<int>("y");
        Found = Explorer.Allocate<int>("found", 4);
    }

    internal override void AtEnd()
    {
        int most = expected.IndexOf(' ');
        _outcomes.Add(string.Concat(Enumerable.Range(0, most).Select(i => Found[i])));
    }

    internal override string? Afterwards()
    {
        string outcomes = string.Join(' ', _outcomes);
        return outcomes == expected ? null : $"What comes of it is {outcomes}, and should be {expected}.";
    }
}
