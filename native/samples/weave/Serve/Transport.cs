// The bytes of a connection, in the clear or inside TLS. What a peer or the time does to a connection
// is an IOException, whichever it is: all that can be done about it is to close.

using Microsoft.Win32.SafeHandles;

namespace Weave.Serve;

internal abstract class Transport : IDisposable
{
    /// <summary>Whether Wake ends a wait and nothing else, so that the connection may be used
    /// afterwards.</summary>
    internal abstract bool CanWake { get; }

    /// <summary>The peer's address, for the log.</summary>
    internal abstract string Peer { get; }

    /// <summary>Waits until Read has something to say, without a buffer; or until Wake, then
    /// false.</summary>
    internal abstract bool WaitReadable();

    /// <summary>Reads what there is, waiting if there is nothing. 0 at the end of the input.</summary>
    /// <exception cref="IOException">The connection broke.</exception>
    /// <exception cref="TimeoutException">Wake or Abort was called.</exception>
    internal abstract int Read(Span<byte> buffer);

    /// <summary>Writes all of it.</summary>
    /// <exception cref="IOException">The connection broke, or Abort was called.</exception>
    internal abstract void Write(ReadOnlySpan<byte> bytes);

    /// <summary>Whether a file can be sent without reading it.</summary>
    internal abstract bool CanSendFile { get; }

    /// <summary>Sends a piece of a file; returns less than that only at the file's end.</summary>
    internal abstract long SendFile(SafeFileHandle file, long offset, long length);

    /// <summary>Ends the output; the input stays open.</summary>
    internal abstract void CloseWrite();

    /// <summary>Ends waits for input, also the next one, until Resume. Called by others.</summary>
    internal abstract void Wake();

    /// <summary>The same, after a while. Called by the connection's goroutine.</summary>
    internal abstract void WakeAfter(TimeSpan time);

    /// <summary>Undoes Wake.</summary>
    internal abstract void Resume();

    /// <summary>Ends all waits, for good. Called by others.</summary>
    internal abstract void Abort();

    public abstract void Dispose();
}
