// If-Match, If-None-Match and the like, RFC 9110 section 13, for GET and HEAD of a file.

using Weave.Http.Parsing;

namespace Weave.Http.Files;

/// <summary>What a file's answer says about its version.</summary>
/// <param name="tag">A strong entity tag, in quotation marks.</param>
/// <param name="modifiedAt">Seconds since 1970.</param>
internal readonly ref struct Validators(ReadOnlySpan<byte> tag, long modifiedAt)
{
    internal ReadOnlySpan<byte> Tag { get; } = tag;

    internal long ModifiedAt { get; } = modifiedAt;
}

internal static class Preconditions
{
    /// <summary>200 when the request is to be carried out; 304 or 412 when it is not. In the order of
    /// section 13.2.2.</summary>
    internal static int Evaluate(Exchange exchange, Validators file)
    {
        ref readonly RequestHead head = ref exchange.Head;
        if (!head.IfMatch.IsEmpty)
        {
            if (!AnyMatches(exchange.Text(head.IfMatch), file.Tag, allowWeak: false))
            {
                return 412;
            }
        }
        else if (!head.IfUnmodifiedSince.IsEmpty
            && HttpDate.TryParse(exchange.Text(head.IfUnmodifiedSince), out long unmodifiedSince)
            && file.ModifiedAt > unmodifiedSince)
        {
            return 412;
        }

        if (!head.IfNoneMatch.IsEmpty)
        {
            return AnyMatches(exchange.Text(head.IfNoneMatch), file.Tag, allowWeak: true) ? 304 : 200;
        }

        return !head.IfModifiedSince.IsEmpty
            && HttpDate.TryParse(exchange.Text(head.IfModifiedSince), out long modifiedSince)
            && file.ModifiedAt <= modifiedSince ? 304 : 200;
    }

    /// <summary>Whether a Range is to be looked at: If-Range is absent or names this version.</summary>
    internal static bool RangeApplies(Exchange exchange, Validators file)
    {
        ReadOnlySpan<byte> condition = exchange.Text(exchange.Head.IfRange);
        if (condition.IsEmpty)
        {
            return true;
        }

        return condition[0] == '"' || condition.StartsWith("W/"u8)
            ? condition.SequenceEqual(file.Tag)
            : HttpDate.TryParse(condition, out long date) && date == file.ModifiedAt;
    }

    private static bool AnyMatches(ReadOnlySpan<byte> list, ReadOnlySpan<byte> tag, bool allowWeak)
    {
        if (list.SequenceEqual("*"u8))
        {
            return true;
        }

        // A comma may be inside of a tag; ours have none, so the pieces of such a tag match nothing.
        while (FieldSyntax.NextElement(ref list, out ReadOnlySpan<byte> element))
        {
            if (allowWeak && element.StartsWith("W/"u8))
            {
                element = element[2..];
            }

            if (element.SequenceEqual(tag))
            {
                return true;
            }
        }

        return false;
    }
}
