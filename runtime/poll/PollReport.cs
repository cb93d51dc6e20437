// What a backend of the poller reports: see Netpoll.cs.

using System.Diagnostics.CodeAnalysis;

namespace Weft.Runtime;

/// <summary>What a report says.</summary>
[Flags]
[SuppressMessage("Naming", "CA1711", Justification = "It is a set of flags.")]
internal enum PollEvents
{
    None = 0,
    Read = 1,
    Write = 2,

    /// <summary>The other end is closed, or there is an error or urgent data: a read that got less than it
    /// had room for says nothing about what comes next.</summary>
    Unusual = 4,
}

/// <summary>What a backend says of one handle. Name: the descriptor's index, and above it its tag.</summary>
internal struct PollReport
{
    internal ulong Name;
    internal PollEvents Events;
}
