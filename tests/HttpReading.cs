using System.Text;
using Weave.Http.Parsing;

namespace Weft.Tests;

/// <summary>Reads requests as a server does, from input that arrives in pieces, and says what they were in
/// a text that can be compared.</summary>
internal static class HttpReading
{
    /// <summary>What is read when the input arrives up to each of the cuts, and then to its end. A line for
    /// each request, and a last one: end, more, or the status of a failure.</summary>
    internal static string Read(ReadOnlySpan<byte> input, IEnumerable<int> cuts, HeadLimits? limits = null)
    {
        Reader reader = new(limits ?? new HeadLimits());
        foreach (int end in cuts)
        {
            if (!reader.Read(input[..end]))
            {
                return reader.Finish(isAtEnd: false);
            }
        }

        return reader.Finish(isAtEnd: reader.Read(input) && reader.Position == input.Length);
    }

    private sealed class Reader(HeadLimits limits)
    {
        private readonly StringBuilder _text = new();
        private RequestParser _parser;
        private ChunkedDecoder _chunks;
        private bool _inBody;
        private long _bodyLeft;
        private int _error;
        private long _body;
        private uint _bodySum;

        internal int Position { get; private set; }

        /// <summary>Goes on with an input that begins with what was there before. False when it failed.
        /// </summary>
        internal bool Read(ReadOnlySpan<byte> input)
        {
            while (_error == 0 && (_inBody ? ReadBody(input) : ReadHead(input[Position..])))
            {
            }

            return _error == 0;
        }

        internal string Finish(bool isAtEnd) => _text.ToString()
            + (_error != 0 ? $"{_error}" : isAtEnd && !_inBody ? "end" : "more");

        private bool ReadHead(ReadOnlySpan<byte> input)
        {
            switch (_parser.Parse(input, limits))
            {
                case ParseState.NeedMore:
                    return false;
                case ParseState.Failed:
                    _error = _parser.Error;
                    return false;
                default:
                    Describe(input);
                    Position += _parser.Head.Length;
                    _chunks = default;
                    _bodyLeft = Math.Max(0, _parser.Head.ContentLength);
                    _body = _bodySum = 0;
                    _inBody = true;
                    return true;
            }
        }

        private bool ReadBody(ReadOnlySpan<byte> input)
        {
            bool isDone;
            if (_parser.Head.IsChunked)
            {
                ParseState state = _chunks.Next(input[Position..], out int consumed, out int length);
                Position += consumed;
                Take(input.Slice(Position, length));
                _error = state == ParseState.Failed ? _chunks.Error : 0;
                if (state == ParseState.NeedMore)
                {
                    return length > 0;
                }

                isDone = state == ParseState.Done;
            }
            else
            {
                int length = (int)Math.Min(_bodyLeft, input.Length - Position);
                Take(input.Slice(Position, length));
                _bodyLeft -= length;
                isDone = _bodyLeft == 0;
            }

            if (isDone)
            {
                _text.Append(System.Globalization.CultureInfo.InvariantCulture, $"body {_body} {_bodySum:x}\n");
                _inBody = false;
                _parser = default;
            }

            return isDone;
        }

        private void Take(ReadOnlySpan<byte> data)
        {
            foreach (byte b in data)
            {
                _bodySum = (_bodySum * 31) + b;
            }

            _body += data.Length;
            Position += data.Length;
        }

        private void Describe(ReadOnlySpan<byte> input)
        {
            RequestHead head = _parser.Head;
            _text.Append($"{head.Method} 1.{head.MinorVersion}");
            foreach (Slice slice in new[]
                {
                    head.RequestLine, head.Path, head.Host, head.Range, head.IfMatch, head.IfNoneMatch,
                    head.IfModifiedSince, head.IfUnmodifiedSince, head.IfRange, head.Referer, head.UserAgent,
                })
            {
                _text.Append('|').Append(Encoding.Latin1.GetString(slice.Of(input)));
            }

            _text.Append($"|{head.ContentLength}")
                .Append(head.IsChunked ? " chunked" : "")
                .Append(head.ExpectsContinue ? " expects" : "")
                .Append(head.KeepAlive ? " keep\n" : " close\n");
        }
    }
}
