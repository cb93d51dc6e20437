// The body of a request, with a length or in chunks.

using Weave.Http.Parsing;

namespace Weave.Http;

internal sealed partial class Exchange
{
    /// <summary>So much of a body that nobody wants is read, so that the connection may go on.</summary>
    private const int MostDropped = 64 * 1024;

    /// <summary>The deadline is moved on each time that so much has come.</summary>
    private const int TimedPiece = 64 * 1024;

    private ChunkedDecoder _chunks;
    private bool _bodyIsRead;
    private bool _continueIsDue;

    /// <summary>Of a body with a length, or of the current piece of a chunk.</summary>
    private long _bodyLeft;

    private long _bodyBytes;
    private long _bodyTimedUntil;
    private byte[]? _scratch;

    /// <summary>A buffer for the handler.</summary>
    internal byte[] Scratch => _scratch ??= GC.AllocateUninitializedArray<byte>(16 * 1024, pinned: true);

    /// <summary>Reads some of the body; 0 at its end.</summary>
    /// <exception cref="RequestException">The body is malformed, too long or too slow.</exception>
    internal int ReadBody(Span<byte> buffer)
    {
        if (_bodyIsRead)
        {
            return 0;
        }

        if (_parser.Head.ContentLength > site.Options.Body)
        {
            throw new RequestException(413);
        }

        while (_bodyLeft == 0)
        {
            if (!NextChunk())
            {
                _bodyIsRead = true;
                return 0;
            }
        }

        int count = (int)Math.Min(_bodyLeft, buffer.Length);
        if (_start == _end)
        {
            BeginWaiting();
            Output.Flush();
            count = Receive(buffer[..count]);
            CheckEnd(count);
        }
        else
        {
            count = Math.Min(count, _end - _start);
            _input.AsSpan(_start, count).CopyTo(buffer);
            _start += count;
        }

        _bodyLeft -= count;
        _bodyBytes += count;
        _bodyIsRead = _bodyLeft == 0 && !_parser.Head.IsChunked;
        return count;
    }

    private void BeginBody()
    {
        _bodyIsRead = !_parser.Head.HasBody;
        _continueIsDue = _parser.Head.ExpectsContinue && !_bodyIsRead;
        _bodyLeft = _parser.Head.IsChunked ? 0 : Math.Max(0, _parser.Head.ContentLength);
        _bodyBytes = 0;
        _bodyTimedUntil = 0;
        _chunks = default;
    }

    /// <summary>Finds data; false at the end of the body.</summary>
    private bool NextChunk()
    {
        while (true)
        {
            ParseState result = _chunks.Next(Unread, out int consumed, out int length);
            _start += consumed;
            switch (result)
            {
                case ParseState.Done:
                    return false;
                case ParseState.Failed:
                    throw new RequestException(_chunks.Error);
                case ParseState.NeedMore when length > 0:
                    if (_chunks.Left > site.Options.Body - _bodyBytes - length)
                    {
                        throw new RequestException(413);
                    }

                    _bodyLeft = length;
                    return true;
                default:
                    BeginWaiting();
                    CheckEnd(Fill());
                    break;
            }
        }
    }

    /// <summary>Asks for the body if the client wants to be asked, and moves the deadline.</summary>
    private void BeginWaiting()
    {
        if (_continueIsDue)
        {
            _continueIsDue = false;
            Output.Write("HTTP/1.1 100 Continue\r\n\r\n"u8);
        }

        if (_bodyBytes >= _bodyTimedUntil)
        {
            _bodyTimedUntil = _bodyBytes + TimedPiece;
            _connection.BeginReading(site.Options.TransferTime);
        }
    }

    private static void CheckEnd(int count)
    {
        if (count == 0)
        {
            throw new EndOfStreamException("The client ended the connection within a body.");
        }
    }

    /// <summary>Whether the rest of the body is little enough to be read for nothing.</summary>
    private bool MayDropBody() =>
        _bodyIsRead || (!_continueIsDue && _bodyLeft <= MostDropped);

    private void DropBody()
    {
        long most = _bodyBytes + MostDropped;
        try
        {
            while (!_bodyIsRead && _bodyBytes <= most)
            {
                _ = ReadBody(Scratch);
            }
        }
        catch (RequestException)
        {
            // Answered it is already.
        }

        _keepAlive = _bodyIsRead;
    }
}
