namespace Weave.Files;

/// <summary>A name in a directory. Directories sort as if their names ended in a slash: then
/// walking each directory in order gives all paths in the order of their bytes, as `sort`
/// would.</summary>
internal readonly record struct DirectoryEntry(byte[] Name, FileKind Kind)
    : IComparable<DirectoryEntry>
{
    public int CompareTo(DirectoryEntry other)
    {
        int common = Math.Min(Name.Length, other.Name.Length);
        int order = Name.AsSpan(0, common).SequenceCompareTo(other.Name.AsSpan(0, common));
        return order != 0 ? order : ByteAt(common) - other.ByteAt(common);
    }

    private int ByteAt(int index) =>
        index < Name.Length ? Name[index] : Kind == FileKind.Directory ? '/' : 0;
}
