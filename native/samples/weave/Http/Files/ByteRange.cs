// The Range field, RFC 9110 section 14. One range is served. Several are answered as if there were none:
// the whole file, which the RFC allows; multipart answers are what such requests are abused for.

using Weave.Http.Parsing;

namespace Weave.Http.Files;

internal enum RangeKind
{
    /// <summary>None that is understood: send everything.</summary>
    Whole,
    Part,
    Unsatisfiable,
}

internal static class ByteRange
{
    /// <summary>Which bytes of a file of that size are asked for.</summary>
    internal static RangeKind Parse(ReadOnlySpan<byte> field, long size, out long offset, out long length)
    {
        offset = 0;
        length = size;
        ReadOnlySpan<byte> range = field;
        if (range.Length < 6 || !FieldSyntax.Same(range[..6], "bytes="u8))
        {
            return RangeKind.Whole;
        }

        range = FieldSyntax.Trim(range[6..]);
        int dash = range.IndexOf((byte)'-');
        if (dash < 0)
        {
            return RangeKind.Whole;
        }

        ReadOnlySpan<byte> first = range[..dash];
        ReadOnlySpan<byte> last = range[(dash + 1)..];
        if (first.IsEmpty)
        {
            if (!FieldSyntax.TryNumber(last, out long suffix))
            {
                return RangeKind.Whole;
            }

            length = Math.Min(suffix, size);
            offset = size - length;
        }
        else
        {
            long end = long.MaxValue;
            if (!FieldSyntax.TryNumber(first, out offset)
                || (!last.IsEmpty && !FieldSyntax.TryNumber(last, out end))
                || end < offset)
            {
                offset = 0;
                return RangeKind.Whole;
            }

            length = Math.Max(0, Math.Min(end, size - 1) - offset + 1);
        }

        if (size == 0)
        {
            offset = 0;
            length = 0;
            return RangeKind.Whole; // Nothing overlaps an empty file: not the client's fault, as in Go.
        }

        return length > 0 ? RangeKind.Part : RangeKind.Unsatisfiable;
    }
}
