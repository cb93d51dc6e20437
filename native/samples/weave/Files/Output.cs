// Standard output and standard error as bytes, because names of files are bytes. Console's own
// streams would also send a terminal the sequences that prepare it for reading keys.

using System.Text;

namespace Weave.Files;

/// <summary>A descriptor to write to, with a buffer. Not for several goroutines at once.</summary>
internal sealed class Output(int descriptor)
{
    private const int BufferSize = 64 * 1024;

    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(BufferSize);
    private int _used;

    /// <summary>0, or the -errno of the first write that failed; nothing is written after
    /// it.</summary>
    internal int Error { get; private set; }

    internal void Write(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > BufferSize - _used)
        {
            Flush();
        }

        if (bytes.Length > BufferSize)
        {
            Error = Error == 0 ? Posix.WriteAll(descriptor, bytes) : Error;
            return;
        }

        bytes.CopyTo(_buffer.AsSpan(_used));
        _used += bytes.Length;
    }

    internal void Flush()
    {
        Error = Error == 0 ? Posix.WriteAll(descriptor, _buffer.AsSpan(0, _used)) : Error;
        _used = 0;
    }

    /// <summary>Writes to standard error at once. The chars stand for bytes; see
    /// RawArguments.cs.</summary>
    internal static void WriteError(string message) =>
        _ = Posix.WriteAll(Posix.StandardError, Encoding.Latin1.GetBytes(message));
}
