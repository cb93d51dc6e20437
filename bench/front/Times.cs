// Units of rows: which are times, and which are better the more there is.

namespace Weft.Bench.Front;

internal static class Times
{
    private static readonly Dictionary<string, double> s_nanoseconds =
        new() { ["ns"] = 1, ["us"] = 1e3, ["ms"] = 1e6, ["s"] = 1e9 };

    internal static bool IsTime(string unit) => s_nanoseconds.ContainsKey(unit);

    internal static double ToNs(double value, string unit) => value * s_nanoseconds[unit];

    /// <summary>How many times better the first value is. Rates are better the more, all else the less.</summary>
    internal static double Better(double first, double second, string unit) =>
        unit.EndsWith("/s", StringComparison.Ordinal) ? first / second : second / first;
}
