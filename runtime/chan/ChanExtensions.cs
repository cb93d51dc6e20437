// What is said of channels from outside. Count is an extension, because a type that has both a Count and
// an enumerator is taken for a collection of known size: [.. channel] would make an array of Count
// elements and then receive until the close. The cases are extensions so that a null channel has them too.

namespace Weft;

/// <summary>What belongs to a channel but must not make it look like a collection, or must work on
/// null.</summary>
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

    /// <summary>Adds to a channel that may be null.</summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The channel, or null, which is never ready.</param>
    extension<T>(Chan<T>? channel)
    {
        /// <summary>A case of a select that receives from here.</summary>
        /// <param name="then">For Select.Run: called with the element and whether there was one.</param>
        /// <returns>A new case.</returns>
        public ReceiveCase<T> ReceiveCase(Action<T, bool>? then = null) => new(channel, then);

        /// <summary>A case of a select that sends here; its Value is to be set.</summary>
        /// <returns>A new case.</returns>
        public SendCase<T> SendCase() => new(channel);

        /// <summary>A case of a select that sends here.</summary>
        /// <param name="value">The element.</param>
        /// <param name="then">For Select.Run.</param>
        /// <returns>A new case.</returns>
        public SendCase<T> SendCase(T value, Action? then = null) => new(channel, value, then);
    }

    /// <summary>Adds to a sending side.</summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The sending side.</param>
    extension<T>(SendChan<T> channel)
    {
        /// <summary>How many elements it holds now; 0 for null. Go: len.</summary>
        public int Count => channel.Channel?.BufferedCount ?? 0;
    }

    /// <summary>Adds to a receiving side.</summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The receiving side.</param>
    extension<T>(ReceiveChan<T> channel)
    {
        /// <summary>How many elements it holds now; 0 for null. Go: len.</summary>
        public int Count => channel.Channel?.BufferedCount ?? 0;
    }
}
