// The name of a file, as the bytes that the kernel and wc see, with the zero that the kernel wants.

using System.Text;

namespace Weave.Files;

internal readonly struct FileName
{
    private readonly byte[] _bytes;

    private FileName(byte[] bytes) => _bytes = bytes;

    /// <summary>The name without the zero.</summary>
    internal ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _bytes.Length - 1);

    internal bool IsStandardInput => Bytes.SequenceEqual("-"u8);

    /// <summary>From an argument of RawArguments.cs: one char for each byte.</summary>
    internal static FileName FromArgument(string argument)
    {
        byte[] bytes = new byte[argument.Length + 1];
        Encoding.Latin1.GetBytes(argument, bytes);
        return new FileName(bytes);
    }

    /// <summary>The name of a file in this directory, spelled as find does.</summary>
    internal FileName Join(ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> separator = Bytes.EndsWith("/"u8) ? ""u8 : "/"u8;
        return new FileName([.. Bytes, .. separator, .. name, 0]);
    }

    /// <summary>For <c>fixed</c>: the bytes with the zero.</summary>
    public ref readonly byte GetPinnableReference() => ref _bytes[0];
}
