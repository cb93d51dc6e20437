// Keys of context values: each is its own, so no package can meet another's values by accident.

namespace Weft;

/// <summary>The key of a value in a <see cref="Context"/>, compared by reference: keep it in a static
/// field.</summary>
/// <typeparam name="T">The value.</typeparam>
/// <param name="name">For people who read dumps; need not be unique.</param>
public sealed class ContextKey<T>(string name)
{
    /// <summary>The name.</summary>
    /// <returns>The name.</returns>
    public override string ToString() => name;
}
