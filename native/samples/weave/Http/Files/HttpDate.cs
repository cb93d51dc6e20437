// Dates in fields, RFC 9110 section 5.6.7: one form is sent, three are understood.

using System.Globalization;
using System.Text;

namespace Weave.Http.Files;

internal static class HttpDate
{
    private static readonly string[] s_forms =
    [
        "ddd, dd MMM yyyy HH:mm:ss 'GMT'", "dddd, dd-MMM-yy HH:mm:ss 'GMT'", "ddd MMM d HH:mm:ss yyyy",
    ];

    /// <summary>Seconds since 1970.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> text, out long second)
    {
        bool isDate = DateTimeOffset.TryParseExact(
            Encoding.Latin1.GetString(text),
            s_forms,
            CultureInfo.InvariantCulture,
            DateTimeStyles.AssumeUniversal | DateTimeStyles.AllowInnerWhite,
            out DateTimeOffset date);
        second = isDate ? date.ToUnixTimeSeconds() : 0;
        return isDate;
    }

    internal static byte[] Format(long second) => Encoding.ASCII.GetBytes(
        DateTimeOffset.FromUnixTimeSeconds(second).ToString("r", CultureInfo.InvariantCulture));
}
