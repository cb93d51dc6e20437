// What WeftTest.Run throws.

using System.Diagnostics.CodeAnalysis;

namespace Weft;

/// <summary>A bubble of <see cref="WeftTest"/> has failed: the message says why, and how to run it
/// again.</summary>
[SuppressMessage("Design", "CA1032", Justification = "Thrown by WeftTest alone.")]
public sealed class WeftTestException : Exception
{
    internal WeftTestException(string message, Exception? inner, long? seed)
        : base(message, inner) => Seed = seed;

    /// <summary>The seed of the run, if it had one.</summary>
    public long? Seed { get; }
}
