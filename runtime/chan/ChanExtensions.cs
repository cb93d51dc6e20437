// Count is an extension, because a type that has both a Count and an enumerator is taken for a collection
// of known size: [.. channel] would make an array of Count elements and then receive until the close.

namespace Weft;

/// <summary>What belongs to a channel but must not make it look like a collection.</summary>
public static class ChanExtensions
{
    /// <summary>Adds to a channel.</summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The channel.</param>
    extension<T>(Chan<T> channel)
    {
        /// <summary>How many elements it holds now; stale as soon as it is read. Go: len.</summary>
        public int Count => channel.BufferedCount;
    }
}
