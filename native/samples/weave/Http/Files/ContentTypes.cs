namespace Weave.Http.Files;

/// <summary>The media type of a file, by its name.</summary>
internal static class ContentTypes
{
    internal static ReadOnlySpan<byte> Of(ReadOnlySpan<byte> name)
    {
        int dot = name.LastIndexOf((byte)'.');
        Span<byte> lower = stackalloc byte[8];
        ReadOnlySpan<byte> extension = dot < 0 ? default : name[(dot + 1)..];
        if (extension.Length > lower.Length)
        {
            return "application/octet-stream"u8;
        }

        for (int i = 0; i < extension.Length; i++)
        {
            lower[i] = (byte)(extension[i] is >= (byte)'A' and <= (byte)'Z' ? extension[i] | 0x20 : extension[i]);
        }

        return OfExtension(lower[..extension.Length]);
    }

    private static ReadOnlySpan<byte> OfExtension(scoped ReadOnlySpan<byte> extension) => extension switch
    {
        _ when Is(extension, "html"u8) || Is(extension, "htm"u8) => "text/html; charset=utf-8"u8,
        _ when Is(extension, "css"u8) => "text/css; charset=utf-8"u8,
        _ when Is(extension, "js"u8) || Is(extension, "mjs"u8) => "text/javascript; charset=utf-8"u8,
        _ when Is(extension, "json"u8) || Is(extension, "map"u8) => "application/json"u8,
        _ when Is(extension, "txt"u8) || Is(extension, "md"u8) => "text/plain; charset=utf-8"u8,
        _ when Is(extension, "csv"u8) => "text/csv; charset=utf-8"u8,
        _ when Is(extension, "xml"u8) => "text/xml; charset=utf-8"u8,
        _ when Is(extension, "png"u8) => "image/png"u8,
        _ when Is(extension, "jpg"u8) || Is(extension, "jpeg"u8) => "image/jpeg"u8,
        _ when Is(extension, "gif"u8) => "image/gif"u8,
        _ when Is(extension, "webp"u8) => "image/webp"u8,
        _ when Is(extension, "avif"u8) => "image/avif"u8,
        _ when Is(extension, "svg"u8) => "image/svg+xml"u8,
        _ when Is(extension, "ico"u8) => "image/x-icon"u8,
        _ when Is(extension, "woff"u8) => "font/woff"u8,
        _ when Is(extension, "woff2"u8) => "font/woff2"u8,
        _ when Is(extension, "wasm"u8) => "application/wasm"u8,
        _ when Is(extension, "pdf"u8) => "application/pdf"u8,
        _ when Is(extension, "zip"u8) => "application/zip"u8,
        _ when Is(extension, "gz"u8) => "application/gzip"u8,
        _ when Is(extension, "mp3"u8) => "audio/mpeg"u8,
        _ when Is(extension, "mp4"u8) => "video/mp4"u8,
        _ when Is(extension, "webm"u8) => "video/webm"u8,
        _ => "application/octet-stream"u8,
    };

    private static bool Is(scoped ReadOnlySpan<byte> extension, ReadOnlySpan<byte> name) =>
        extension.SequenceEqual(name);
}
