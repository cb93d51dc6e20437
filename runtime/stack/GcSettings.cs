// What WEFTDEBUG says about collections: gcprecise, gcages, gcverify.

namespace Weft.Runtime;

/// <param name="IsPrecise">Parked stacks are walked where that is possible; else they are read word by
/// word.</param>
/// <param name="HasAges">Collections pass by goroutines that refer to older objects only.</param>
/// <param name="Verifies">Both are compared with a look at everything.</param>
/// <param name="IsAsked">One of the first two was given: the start says what the process does.</param>
internal readonly record struct GcSettings(bool IsPrecise, bool HasAges, bool Verifies, bool IsAsked)
{
    /// <summary>Whether the first two are on unless WEFTDEBUG says otherwise. Not yet: DECISIONS.md, 70.
    /// </summary>
    private const bool IsOnByDefault = false;

    /// <summary>From what was given of the three; to verify turns on what is to be verified.</summary>
    internal static GcSettings Of(int? precise, int? ages, bool verifies)
    {
        int otherwise = IsOnByDefault || verifies ? 1 : 0;
        return new GcSettings(
            (precise ?? otherwise) == 1, (ages ?? otherwise) == 1, verifies, (precise ?? ages).HasValue);
    }
}
