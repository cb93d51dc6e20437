// Any descriptor that the kernel can tell about: pipes, terminals, timerfd, eventfd, inotify. What it cannot,
// a regular file, is used by calls that block a thread.
//
// Not blocking is a property of the open file, which others may share: a shell and its programs share the
// terminal, and find it in that mode if this process ends by a signal. So the mode of one that blocks stays
// as it is where that is possible:
//
//   pipe, terminal   opened once more (/proc/self/fd): the new open file has a mode of its own
//   socket           each call says that it does not wait
//   others           the mode is changed, and changed back at the close and where .NET ends the process
//
// A pseudo-terminal's master must not be opened again, which would make another one.

using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// A file as a stream of which reads and writes park the goroutine: pipes, standard input, terminals, and
/// descriptors like those of timerfd. Regular files work too; there a call blocks a thread, as FileStream's
/// do. Ordinary threads block. Go: os.NewFile.
/// </summary>
[SuppressMessage("Naming", "CA1710", Justification = "It is a file first.")]
public sealed class PollFile : Stream
{
    private readonly Descriptor _descriptor;
    private readonly FileAccess _access;

    private PollFile(Descriptor descriptor, FileAccess access)
    {
        _descriptor = descriptor;
        _access = access;
    }

    /// <summary>Takes over an open file: it is closed with the stream. Pipes, terminals and sockets keep
    /// their mode for those who share them. Another file that blocks does not while it is open here, for
    /// those who share it neither; it does again when the stream is closed or .NET ends the process, but not
    /// after a signal.</summary>
    /// <param name="handle">The file.</param>
    /// <param name="access">What it is open for.</param>
    /// <returns>The stream.</returns>
    /// <exception cref="ArgumentNullException">There is no handle.</exception>
    /// <exception cref="IOException">The system refuses it.</exception>
    public static PollFile Open(SafeFileHandle handle, FileAccess access)
    {
        ArgumentNullException.ThrowIfNull(handle);
        ObjectDisposedException.ThrowIf(handle.IsClosed, handle);
        nint error = TakeOver(handle, access, out Descriptor? descriptor);
        return error >= 0 ? new PollFile(descriptor!, access) : throw NetError.OfStream(error, "open");
    }

    /// <summary>What Open does, for the C face. -errno: it stays the caller's.</summary>
    internal static nint TakeOver(SafeFileHandle handle, FileAccess access, out Descriptor? descriptor)
    {
        int fd = (int)handle.DangerousGetHandle();
        descriptor = null;
        nint error = Os.IsNonBlocking(fd);
        return error < 0 ? error
            : error == 0 ? OpenBlocking(fd, handle, access, out descriptor)
            : Descriptor.Open(fd, DescriptorKind.Other, true, false, handle, out descriptor);
    }

    /// <summary>One that blocks, and is to go on doing so for others.</summary>
    private static nint OpenBlocking(
        int fd, SafeFileHandle handle, FileAccess access, out Descriptor? descriptor)
    {
        const int consoles = 4; // The major numbers of terminals.
        const int pseudoTerminals = 136;
        int type = Os.FileType(fd, out int major);
        if (type == Posix.S_IFSOCK)
        {
            return Descriptor.Open(fd, DescriptorKind.SharedSocket, true, false, handle, out descriptor);
        }
        bool isTerminal = type == Posix.S_IFCHR && (major == consoles || major / 8 == pseudoTerminals / 8);
        nint error = -Posix.EPERM;
        if (type == Posix.S_IFIFO || isTerminal)
        {
            error = Os.Reopen(fd, access switch
            {
                FileAccess.Write => Posix.O_WRONLY,
                FileAccess.ReadWrite => Posix.O_RDWR,
                _ => 0,
            });
        }
        if (error >= 0)
        {
            int own = (int)error;
            error = Descriptor.Open(own, DescriptorKind.Other, true, false, handle, out descriptor);
            if (error < 0)
            {
                _ = Os.CloseFile(own);
            }
            return error;
        }
        descriptor = null;
        error = Os.SetNonBlocking(fd, true);
        if (error >= 0)
        {
            error = Descriptor.Open(fd, DescriptorKind.Other, true, true, handle, out descriptor);
        }
        if (error < 0 || !descriptor!.CanWait)
        {
            _ = Os.SetNonBlocking(fd, false);
        }
        return error;
    }

    /// <summary>Standard input. Closing the stream leaves it open.</summary>
    /// <returns>The stream.</returns>
    /// <exception cref="IOException">The system refuses it.</exception>
    public static PollFile OpenStandardInput() =>
        Open(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read);

    /// <summary>Whether waiting parks the goroutine; false for a regular file.</summary>
    public bool CanWait => _descriptor.CanWait;

    /// <inheritdoc/>
    public override bool CanRead => (_access & FileAccess.Read) != 0 && !_descriptor.IsClosed;

    /// <inheritdoc/>
    public override bool CanWrite => (_access & FileAccess.Write) != 0 && !_descriptor.IsClosed;

    /// <summary>False.</summary>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>Reads what there is; waits until there is something.</summary>
    /// <param name="buffer">Where to.</param>
    /// <returns>How many bytes; 0 at the end.</returns>
    /// <exception cref="IOException">What the system says; a SocketException inside, TimedOut when the
    /// deadline has passed.</exception>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public override int Read(Span<byte> buffer)
    {
        nint result = _descriptor.Read(buffer);
        return result >= 0 ? (int)result : throw NetError.OfStream(result, "read");
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        return Read(buffer.AsSpan(offset, count));
    }

    /// <summary>Writes all of it.</summary>
    /// <param name="buffer">What.</param>
    /// <exception cref="IOException">What the system says; Shutdown when nobody reads the pipe.</exception>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        nint result = _descriptor.Write(buffer);
        if (result < 0)
        {
            throw NetError.OfStream(result, "write");
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        Write(buffer.AsSpan(offset, count));
    }

    /// <summary>When reads and writes stop waiting, those under way too.</summary>
    /// <param name="fromNow">Zero or less: at once. <see cref="Timeout.InfiniteTimeSpan"/>: never.</param>
    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    /// <exception cref="IOException">It is a regular file.</exception>
    public void SetDeadline(TimeSpan fromNow)
    {
        long when = Net.Deadline(fromNow);
        nint error = _descriptor.SetDeadline(PollMode.Read, when);
        error = error == 0 ? _descriptor.SetDeadline(PollMode.Write, when) : error;
        if (error < 0)
        {
            throw NetError.OfStream(error, "set deadline");
        }
    }

    /// <summary>Does nothing.</summary>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ = _descriptor.Close();
        }
        base.Dispose(disposing);
    }
}
