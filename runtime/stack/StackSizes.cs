// The sizes that stacks larger than the first page come in: powers of two, numbered from the smallest.

namespace Weft.Runtime;

internal static class StackSizes
{
    /// <summary>The smallest size that holds <paramref name="bytes"/>.</summary>
    internal static nint RoundUp(nint bytes)
    {
        nint size = Layout.SmallestLargeStack;
        while (size < bytes)
        {
            size *= 2;
        }
        return size;
    }

    /// <summary>The number of a size, which must be one of these.</summary>
    internal static int ClassOf(nint size)
    {
        int k = 0;
        while ((Layout.SmallestLargeStack << k) < size)
        {
            k++;
        }
        Check.Always((Layout.SmallestLargeStack << k) == size, "stacks: not the size of a class"u8);
        return k;
    }
}
