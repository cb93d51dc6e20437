// The files of a directory.
//
// A file is opened and closed for each request: no cache of what it says can be out of date. The entity
// tag is made of modification time and size.

using System.Text;
using Microsoft.Win32.SafeHandles;
using Weave.Files;
using Weave.Http.Handlers;
using Weave.Http.Parsing;

namespace Weave.Http.Files;

internal sealed class FileHandler(SafeFileHandle root) : Handler
{
    private const int LongestPath = 4096;

    private static ReadOnlySpan<byte> Index => "index.html"u8;

    internal override void Handle(Exchange exchange)
    {
        if (!Common.IsRead(exchange))
        {
            return;
        }

        ReadOnlySpan<byte> path = exchange.Text(exchange.Head.Path);
        Span<byte> name = exchange.Scratch.AsSpan(0, LongestPath);
        if (path.IsEmpty)
        {
            path = "/"u8;
        }

        // Room is left for the name of an index and the zero that ends it.
        if (!RequestPath.TryDecode(path, name[..^(Index.Length + 1)], out int length))
        {
            exchange.Error(path.Length > LongestPath / 2 ? 404 : 400);
            return;
        }

        if (length == 0 || name[length - 1] == '/')
        {
            Index.CopyTo(name[length..]);
            length += Index.Length;
        }

        name[length] = 0;
        using SafeFileHandle? file = Open(name[..length], out FileStatus status, out int error);
        if (file is null)
        {
            exchange.Error(error switch
            {
                Posix.PermissionDenied or Posix.Escapes => 403,
                Posix.TooManyDescriptors or Posix.TooManyDescriptorsInSystem => 503,
                _ => 404,
            });
        }
        else if (status.Kind == FileKind.Directory)
        {
            Redirect(exchange, path);
        }
        else if (status.Kind != FileKind.Regular)
        {
            exchange.Error(403);
        }
        else
        {
            Send(exchange, file, status, ContentTypes.Of(name[..length]));
        }
    }

    /// <summary>Opens what may be sent, or a directory. A pipe is not waited for.</summary>
    private SafeFileHandle? Open(ReadOnlySpan<byte> name, out FileStatus status, out int error)
    {
        status = default;
        int descriptor = Posix.OpenBeneath(root, name);
        error = Math.Max(0, -descriptor);
        if (descriptor < 0)
        {
            return null;
        }

        SafeFileHandle file = new(descriptor, ownsHandle: true);
        error = -Posix.Status(descriptor, out status);
        if (error == 0)
        {
            return file;
        }

        file.Dispose();
        return null;
    }

    /// <summary>To the name with a slash behind it, so that relative links in the index work.</summary>
    private static void Redirect(Exchange exchange, ReadOnlySpan<byte> path)
    {
        exchange.Begin(301);
        exchange.Output.Write("Location: "u8);
        exchange.Output.Write(path);
        exchange.Output.Write("/"u8);
        exchange.Output.Write(exchange.Text(exchange.Head.Query));
        exchange.Output.Write("\r\n"u8);
        exchange.Field("Content-Length: "u8, 0);
        exchange.EndHead();
    }

    private static void Send(
        Exchange exchange, SafeFileHandle file, FileStatus status, ReadOnlySpan<byte> contentType)
    {
        byte[] tag = Encoding.ASCII.GetBytes($"\"{status.ModifiedAt:x}-{status.ModifiedNs:x}-{status.Size:x}\"");
        Validators validators = new(tag, status.ModifiedAt);
        int code = Preconditions.Evaluate(exchange, validators);
        if (code == 412)
        {
            exchange.Error(code);
            return;
        }

        long offset = 0;
        long length = status.Size;
        if (code == 200
            && exchange.Head.Method == Method.Get // No other has ranges.
            && !exchange.Head.Range.IsEmpty
            && Preconditions.RangeApplies(exchange, validators))
        {
            RangeKind range = ByteRange.Parse(
                exchange.Text(exchange.Head.Range), status.Size, out offset, out length);
            code = range switch { RangeKind.Part => 206, RangeKind.Unsatisfiable => 416, _ => 200 };
        }

        exchange.Begin(code);
        if (code == 416)
        {
            exchange.Output.Write("Content-Range: bytes */"u8);
            exchange.Output.Write(status.Size);
            exchange.Output.Write("\r\n"u8);
            exchange.Field("Content-Length: "u8, 0);
            exchange.EndHead();
            return;
        }

        exchange.Field("ETag: "u8, tag);
        exchange.Field("Last-Modified: "u8, HttpDate.Format(status.ModifiedAt));
        if (code == 304)
        {
            exchange.EndHead();
            return;
        }

        if (code == 206)
        {
            exchange.Output.Write("Content-Range: bytes "u8);
            exchange.Output.Write(offset);
            exchange.Output.Write("-"u8);
            exchange.Output.Write(offset + length - 1);
            exchange.Output.Write("/"u8);
            exchange.Output.Write(status.Size);
            exchange.Output.Write("\r\n"u8);
        }

        exchange.Field("Accept-Ranges: "u8, "bytes"u8);
        exchange.Field("X-Content-Type-Options: "u8, "nosniff"u8);
        exchange.Field("Content-Type: "u8, contentType);
        exchange.Field("Content-Length: "u8, length);
        exchange.EndHead();
        exchange.Content(file, offset, length);
    }
}
