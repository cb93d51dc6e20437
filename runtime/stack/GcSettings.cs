// What WEFTDEBUG says about collections: gcprecise, gcages, gcverify.

namespace Weft.Runtime;

/// <param name="IsPrecise">Parked stacks are walked where that is possible; else they are read word by
/// word.</param>
/// <param name="HasAges">Collections pass by goroutines that refer to older objects only.</param>
/// <param name="Verifies">Both are compared with a look at everything.</param>
/// <param name="IsAsked">One of the first two was given: the start says what the process does.</param>
internal readonly record struct GcSettings(bool IsPrecise, bool HasAges, bool Verifies, bool IsAsked)
{
    /// <summary>From what was given of the three. The first two are on unless they are 0.</summary>
    internal static GcSettings Of(int? precise, int? ages, bool verifies) =>
        new(precise != 0, ages != 0, verifies, (precise ?? ages).HasValue);
}
