// What serving requests needs: the input that has arrived, the parser, the output that has not been
// sent. A connection has one only while it is busy; there are about as many as requests in progress.
//
//   input  [ done ][ head ][ body, or the next requests ....... ][ room ]
//                  _head   _kept <= _start                     _end
//
// One read, one write: all requests that one read brought are answered before anything is sent, and
// nothing is read while something is left to be sent.

using System.Diagnostics;
using Weave.Http.Parsing;

namespace Weave.Http;

internal sealed partial class Exchange(HttpSite site)
{
    private const int FirstInput = 4 * 1024;

    // Beside the largest head: a trailer, or a chunk's first line, may follow it.
    private const int InputBesideHead = 2 * ChunkedDecoder.LongestTrailers;

    private byte[] _input = GC.AllocateUninitializedArray<byte>(FirstInput, pinned: true);
    private int _start;
    private int _end;

    /// <summary>The head of the request that is being answered, which must stay: from here to _kept. Both
    /// are 0 while there is none.</summary>
    private int _head;

    private int _kept;

    private RequestParser _parser;
    private bool _headIsTimed;
    private HttpConnection _connection = null!;

    internal HttpSite Site => site;

    internal ResponseWriter Output { get; } = new();

    /// <summary>The request.</summary>
    internal ref readonly RequestHead Head => ref _parser.Head;

    private ReadOnlySpan<byte> Unread => _input.AsSpan(_start.._end);

    /// <summary>What a slice of the head stands for.</summary>
    internal ReadOnlySpan<byte> Text(Slice slice) => slice.Of(_input.AsSpan(_head));

    /// <summary>Serves what a connection has to say until it pauses. The input is readable. False when the
    /// connection is to be closed.</summary>
    internal bool Run(HttpConnection connection, out bool mustLinger)
    {
        _connection = connection;
        Output.Attach(connection);
        _start = _end = _head = _kept = 0;
        _parser = default;
        _headIsTimed = false;
        try
        {
            return Serve(out mustLinger);
        }
        catch (RequestException e)
        {
            // Before a request is complete; after that Answer catches.
            mustLinger = true;
            Refuse(e.Status);
            return false;
        }
        finally
        {
            _connection = null!;
        }
    }

    private bool Serve(out bool mustLinger)
    {
        mustLinger = false;
        bool isFirst = true;
        while (true)
        {
            switch (_start == _end ? ParseState.NeedMore : _parser.Parse(Unread, site.Options.Head))
            {
                case ParseState.Done:
                    Answer();
                    if (!_keepAlive)
                    {
                        mustLinger = _parser.Head.KeepAlive || !_bodyIsRead;
                        Output.Flush();
                        return false;
                    }

                    BeginHead();
                    break;
                case ParseState.Failed:
                    mustLinger = true;
                    Refuse(_parser.Error);
                    return false;
                default:
                    if (_start == _end && !isFirst)
                    {
                        Output.Flush();
                        return true;
                    }

                    isFirst = false;
                    if (Fill() == 0)
                    {
                        return false;
                    }

                    break;
            }
        }
    }

    /// <summary>The input goes on with another head.</summary>
    private void BeginHead()
    {
        _parser = default;
        _head = _kept = 0;
        _headIsTimed = false;
    }

    private void Answer()
    {
        _connection.Requests++;
        long startedAt = site.Log is null ? 0 : Stopwatch.GetTimestamp();
        _head = _start;
        _kept = _start += _parser.Head.Length;
        BeginBody();
        BeginResponse();
        try
        {
            site.Handler.Handle(this);
        }
        catch (RequestException e)
        {
            _mustClose = true;
            if (_status == 0 || Output.TryTakeBack())
            {
                Error(e.Status);
            }

            _keepAlive = false; // Too late for another answer: this one stays without an end.
        }

        site.Counters.AddResponse(_status);
        site.Log?.Add(this, _connection.Transport.Peer, _status, _contentSent, startedAt);
        if (_keepAlive)
        {
            DropBody();
        }
    }

    /// <summary>Answers something that is no request, or only the beginning of one.</summary>
    private void Refuse(int status)
    {
        _parser.Head.Method = Method.Unknown;
        BeginBody();
        BeginResponse();
        _mustClose = true;
        long startedAt = site.Log is null ? 0 : Stopwatch.GetTimestamp();
        Error(status);
        site.Counters.AddResponse(status);
        Output.Flush();
        _parser.Head.RequestLine = default; // It may not be one.
        site.Log?.Add(this, _connection.Transport.Peer, status, _contentSent, startedAt);
    }

    /// <summary>Reads more; 0 at the end of the input.</summary>
    private int Fill()
    {
        Output.Flush();
        if (_kept == 0 && _start < _end && !_headIsTimed)
        {
            _headIsTimed = true;
            _connection.BeginReading(site.Options.HeadTime);
        }

        MakeRoom();
        int count = Receive(_input.AsSpan(_end));
        _end += count;
        return count;
    }

    private int Receive(Span<byte> buffer)
    {
        try
        {
            return _connection.Receive(buffer);
        }
        catch (TimeoutException)
        {
            throw new RequestException(408);
        }
    }

    private void MakeRoom()
    {
        if (_start == _end)
        {
            _start = _end = _kept;
        }

        if (_end < _input.Length)
        {
            return;
        }

        if (_start > _kept || _head > 0)
        {
            _input.AsSpan(_head.._kept).CopyTo(_input);
            _kept -= _head;
            _head = 0;
            Unread.CopyTo(_input.AsSpan(_kept));
            _end -= _start - _kept;
            _start = _kept;
            return;
        }

        int most = site.Options.Head.Head + InputBesideHead;
        byte[] larger = GC.AllocateUninitializedArray<byte>(Math.Min(4 * _input.Length, most), pinned: true);
        _input.CopyTo(larger, 0);
        _input = larger;
    }
}
