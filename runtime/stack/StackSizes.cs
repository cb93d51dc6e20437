// The sizes that stacks larger than the first page come in: powers of two, numbered from the smallest.

using System.Numerics;

namespace Weft.Runtime;

internal static class StackSizes
{
    /// <summary>The smallest size that holds <paramref name="bytes"/>.</summary>
    internal static nint RoundUp(nint bytes)
    {
        nint least = Math.Max(bytes, Layout.SmallestLargeStack);
        return (nint)BitOperations.RoundUpToPowerOf2((nuint)least);
    }

    /// <summary>The number of a size, which must be one of these.</summary>
    internal static int ClassOf(nint size)
    {
        int k = BitOperations.Log2((nuint)size) - BitOperations.Log2((nuint)Layout.SmallestLargeStack);
        Check.Always((Layout.SmallestLargeStack << k) == size, "stacks: not the size of a class"u8);
        return k;
    }
}
