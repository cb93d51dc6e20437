// The choice of a goroutine's stack.

using Weft.Runtime;

namespace Weft;

/// <summary>
/// Which stack a goroutine gets. The default grows from 2 KB by copying: it fits all safe code. A fixed
/// stack reserves its address space and never moves: for unsafe code that stores the address of a local
/// outside the stack.
/// </summary>
public readonly record struct StackOptions
{
    private readonly long _bytes;

    private StackOptions(long bytes) => _bytes = bytes;

    /// <summary>A stack that starts at 2 KB and grows by copying up to <see cref="Go.MaxStack"/>.</summary>
    public static StackOptions Movable => default;

    /// <summary>Whether the stack never moves.</summary>
    public bool IsFixed => _bytes != 0;

    /// <summary>The size of a fixed stack; 0 for a movable one.</summary>
    public long Bytes => _bytes;

    /// <summary>A stack that never moves. Untouched pages cost nothing.</summary>
    /// <param name="bytes">Its size, rounded up to a power of two: from 65536 to 1 GB.</param>
    /// <returns>The choice, to pass to <see cref="Go.Run(Action, StackOptions)"/>.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The size is out of range.</exception>
    public static StackOptions Fixed(long bytes = 256 * 1024)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, (long)Layout.SmallestLargeStack);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, (long)Layout.MaxStackLimit);
        return new StackOptions(bytes);
    }
}
