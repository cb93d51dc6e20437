// The response: a head, field by field, and its content.

using Microsoft.Win32.SafeHandles;
using Weave.Http.Parsing;

namespace Weave.Http;

internal sealed partial class Exchange
{
    private const int FilePiece = 64 * 1024;

    private bool _mustClose;
    private bool _keepAlive;
    private int _status;
    private long _contentSent;

    /// <summary>Whether the response has a head only.</summary>
    internal bool IsHead => _parser.Head.Method == Method.Head;

    /// <summary>A whole response.</summary>
    internal void Respond(int status, ReadOnlySpan<byte> contentType, ReadOnlySpan<byte> content)
    {
        Begin(status);
        Field("Content-Type: "u8, contentType);
        Field("Content-Length: "u8, content.Length);
        EndHead();
        Content(content);
    }

    /// <summary>A response that says no more than its status.</summary>
    internal void Error(int status)
    {
        Begin(status);
        EndError(status);
    }

    /// <summary>405, with the methods that are allowed.</summary>
    internal void NotAllowed(ReadOnlySpan<byte> allowed)
    {
        Begin(405);
        Field("Allow: "u8, allowed);
        EndError(405);
    }

    /// <summary>The status line and the fields that all responses have.</summary>
    internal void Begin(int status)
    {
        _status = status;
        _keepAlive = !_mustClose
            && _parser.Head.KeepAlive
            && _connection.Requests < site.Options.Requests
            && !_connection.IsDraining
            && MayDropBody();
        Output.Write(Status.Line(status));
        Output.Write(site.CommonFields);
    }

    /// <summary>A field; the name with its colon and space.</summary>
    internal void Field(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        Output.Write(name);
        Output.Write(value);
        Output.Write("\r\n"u8);
    }

    internal void Field(ReadOnlySpan<byte> name, long value)
    {
        Output.Write(name);
        Output.Write(value);
        Output.Write("\r\n"u8);
    }

    /// <summary>The end of the head.</summary>
    internal void EndHead()
    {
        if (!_keepAlive)
        {
            Output.Write("Connection: close\r\n"u8);
        }
        else if (_parser.Head.MinorVersion == 0)
        {
            Output.Write("Connection: keep-alive\r\n"u8);
        }

        Output.Write("\r\n"u8);
    }

    /// <summary>The end of the head, if the length of what follows is not known: chunks, or for old
    /// clients whatever comes until the connection is closed.</summary>
    internal void EndHeadOfStream()
    {
        if (_parser.Head.MinorVersion == 0)
        {
            _keepAlive = false;
        }
        else
        {
            Output.Write("Transfer-Encoding: chunked\r\n"u8);
        }

        EndHead();
    }

    internal void Content(ReadOnlySpan<byte> content)
    {
        if (!IsHead)
        {
            Output.Write(content);
            _contentSent += content.Length;
        }
    }

    /// <summary>A piece of a stream; not empty.</summary>
    internal void StreamPiece(ReadOnlySpan<byte> content)
    {
        if (_parser.Head.MinorVersion == 0)
        {
            Content(content);
        }
        else if (!IsHead)
        {
            Output.WriteHex(content.Length);
            Output.Write("\r\n"u8);
            Content(content);
            Output.Write("\r\n"u8);
        }
    }

    internal void EndStream()
    {
        if (_parser.Head.MinorVersion != 0 && !IsHead)
        {
            Output.Write("0\r\n\r\n"u8);
        }
    }

    /// <summary>Content from a file. One that fits goes out with the head, in one system call; a longer
    /// one is not even read.</summary>
    internal void Content(SafeFileHandle file, long offset, long length)
    {
        if (IsHead)
        {
            return;
        }

        bool isShort = length <= ResponseWriter.Capacity / 2;
        if (isShort || !_connection.Transport.CanSendFile)
        {
            CopyFile(file, offset, length);
        }
        else
        {
            Output.Flush();
            for (long sent = 0; sent < length;)
            {
                _connection.BeginWriting();
                long piece = Math.Min(FilePiece, length - sent);
                long count = _connection.Transport.SendFile(file, offset + sent, piece);
                CheckFile(count);
                site.Counters.AddBytes(count);
                sent += count;
            }
        }

        _contentSent += length;
    }

    private void CopyFile(SafeFileHandle file, long offset, long length)
    {
        while (length > 0)
        {
            Span<byte> room = Output.Room((int)Math.Min(length, ResponseWriter.Capacity / 2));
            room = room[..(int)Math.Min(length, room.Length)];
            int count = RandomAccess.Read(file, room, offset);
            CheckFile(count);
            Output.Advance(count);
            offset += count;
            length -= count;
        }
    }

    private static void CheckFile(long count)
    {
        if (count <= 0)
        {
            throw new IOException("The file is shorter than it was.");
        }
    }

    private void EndError(int status)
    {
        ReadOnlySpan<byte> phrase = Status.Phrase(status);
        Field("Content-Type: "u8, "text/plain; charset=utf-8"u8);
        Field("Content-Length: "u8, phrase.Length + 1);
        EndHead();
        Content(phrase);
        Content("\n"u8);
    }

    private void BeginResponse()
    {
        Output.Begin();
        _mustClose = false;
        _keepAlive = false;
        _status = 0;
        _contentSent = 0;
    }
}
