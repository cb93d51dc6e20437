// The first stage: finds the files, in the order in which they will be printed.

using Weave.Files;
using Weft;

namespace Weave.Count;

/// <summary>A file to count, or a directory that could not be read.</summary>
/// <param name="Index">Its place in the output.</param>
/// <param name="Name">Its name, as printed.</param>
/// <param name="Error">Not 0 for a directory: why it could not be read.</param>
/// <param name="IsDrained">Standard input, given before: it is at its end.</param>
internal readonly record struct FoundFile(int Index, FileName Name, int Error, bool IsDrained);

internal sealed class Walker(Chan<FoundFile> found)
{
    private int _count;
    private bool _hasStandardInput;

    /// <summary>Sends the files that the paths name, then closes the channel.</summary>
    internal void Walk(IEnumerable<FileName> paths)
    {
        foreach (FileName path in paths)
        {
            if (path.IsStandardInput)
            {
                Send(path, isDrained: _hasStandardInput);
                _hasStandardInput = true;
            }
            else if (Posix.Status(path, follow: true, out FileStatus status) == 0
                && status.Kind == FileKind.Directory)
            {
                WalkDirectory(path);
            }
            else
            {
                Send(path); // Whatever is wrong with it, opening it will say so.
            }
        }

        found.Close();
    }

    private void WalkDirectory(FileName directory)
    {
        List<DirectoryEntry> entries = [];
        int error = Posix.List(directory, entries);
        if (error != 0)
        {
            Send(directory, error);
        }

        for (int i = 0; i < entries.Count; i++)
        {
            if (entries[i].Kind == FileKind.Unknown) // Some file systems do not say.
            {
                FileName name = directory.Join(entries[i].Name);
                _ = Posix.Status(name, follow: false, out FileStatus status);
                entries[i] = entries[i] with { Kind = status.Kind };
            }
        }

        entries.Sort();
        foreach (DirectoryEntry entry in entries)
        {
            if (entry.Kind == FileKind.Directory)
            {
                WalkDirectory(directory.Join(entry.Name));
            }
            else if (entry.Kind == FileKind.Regular)
            {
                Send(directory.Join(entry.Name));
            }
        }
    }

    private void Send(FileName name, int error = 0, bool isDrained = false) =>
        found.Send(new FoundFile(_count++, name, error, isDrained));
}
