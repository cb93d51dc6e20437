// Reads a profile in pprof's format, as much of it as Weft writes.

using System.IO.Compression;

namespace Weft.Tests;

/// <summary>A stack, innermost first, what was counted there, and its labels.</summary>
internal sealed record PprofSample(string[] Stack, long[] Values, Dictionary<string, string> Labels)
{
    internal bool Has(string function) => Array.Exists(Stack, name => name.Contains(function));
}

internal sealed class PprofFile
{
    internal PprofFile(byte[] compressed)
    {
        using GZipStream zip = new(new MemoryStream(compressed), CompressionMode.Decompress);
        using MemoryStream plain = new();
        zip.CopyTo(plain);
        List<Field> fields = [.. Protobuf.Fields(plain.ToArray())];
        string[] texts = [.. Of(6).Select(field => field.Text)];
        Dictionary<ulong, string> functions = Of(5).Select(Parts).ToDictionary(
            parts => One(parts, 1), parts => texts[One(parts, 2)]);
        Dictionary<ulong, string> locations = Of(4).Select(Parts).ToDictionary(
            parts => One(parts, 1),
            parts => functions[One([.. Protobuf.Fields(parts.Single(part => part.Number == 4).Bytes)], 1)]);
        Types = [.. Of(1).Select(Parts).Select(parts => $"{texts[One(parts, 1)]}/{texts[One(parts, 2)]}")];
        Samples = [.. Of(2).Select(Parts).Select(parts => new PprofSample(
            [.. Numbers(parts.Single(part => part.Number == 1).Bytes).Select(id => locations[id])],
            [.. Numbers(parts.Single(part => part.Number == 2).Bytes).Select(value => (long)value)],
            parts.Where(part => part.Number == 3).Select(Parts).ToDictionary(
                label => texts[One(label, 1)], label => texts[One(label, 2)])))];

        IEnumerable<Field> Of(int number) => fields.Where(field => field.Number == number);
    }

    internal string[] Types { get; }

    internal PprofSample[] Samples { get; }

    internal static PprofFile Of(GoProfile profile)
    {
        using MemoryStream stream = new();
        Go.WriteProfile(profile, stream);
        return new PprofFile(stream.ToArray());
    }

    private static List<Field> Parts(Field field) => [.. Protobuf.Fields(field.Bytes)];

    private static ulong One(List<Field> parts, int number) =>
        parts.Find(part => part.Number == number)?.Value ?? 0;

    private static IEnumerable<ulong> Numbers(byte[] bytes)
    {
        for (int at = 0; at < bytes.Length;)
        {
            yield return Protobuf.Varint(bytes, ref at);
        }
    }
}
