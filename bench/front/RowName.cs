// The name of a row taken apart: what is asked, on how many processors, and which of several answers.
// chan_buf128_1p1c_16p is chan_buf128_1p1c on 16; mem_1m_2p_rss is mem_1m and rss on 2.

using System.Globalization;
using System.Text.RegularExpressions;

namespace Weft.Bench.Front;

/// <summary>Processors is 0, and Question the whole name, where a name has no number of them.</summary>
internal readonly partial record struct RowName(string Question, int Processors, string Answer)
{
    /// <summary>Rows of one question have this in common: spawn_200k_first and spawn_200k are of one run.</summary>
    internal (string, int) Run => (Question.Replace("_first", "", StringComparison.Ordinal), Processors);

    internal static RowName Parse(string name) => Pattern().Match(name) is { Success: true } match
        ? new RowName(
            match.Groups[1].Value,
            int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture),
            match.Groups[3].Value)
        : new RowName(name, 0, "");

    [GeneratedRegex(@"^(.*)_(\d+)p(?:_([a-z]\w*))?$")]
    private static partial Regex Pattern();
}
