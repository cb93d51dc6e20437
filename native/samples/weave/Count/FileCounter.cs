// The second stage: reads one file. Runs in many goroutines at once.

using Weave.Files;

namespace Weave.Count;

/// <summary>What there is to print about a file.</summary>
/// <param name="Found">Which file.</param>
/// <param name="Error">0, or the -errno to report.</param>
/// <param name="HasCounts">Whether it was opened: then its counts are printed, whatever
/// the error.</param>
/// <param name="HasStatus">Whether Status is known.</param>
/// <param name="Status">What the width of the columns depends on.</param>
/// <param name="Counts">Lines, words and bytes.</param>
internal readonly record struct FileResult(
    FoundFile Found, int Error, bool HasCounts, bool HasStatus, FileStatus Status, Counts Counts);

/// <summary>Lines, words and bytes.</summary>
internal readonly record struct Counts(long Lines, long Words, long Bytes)
{
    public static Counts operator +(Counts a, Counts b) =>
        new(a.Lines + b.Lines, a.Words + b.Words, a.Bytes + b.Bytes);
}

internal static class FileCounter
{
    internal static FileResult Count(
        FoundFile found, byte[] buffer, WordRule rule, Progress progress)
    {
        if (found.Error != 0)
        {
            return new FileResult { Found = found, Error = found.Error };
        }

        if (found.Name.IsStandardInput)
        {
            return Posix.IsInherited(Posix.StandardInput)
                ? CountOpen(found, Posix.StandardInput, buffer, rule, progress)
                : new FileResult { Found = found, Error = -Posix.BadDescriptor, HasCounts = true };
        }

        int descriptor = Posix.Open(found.Name);
        if (descriptor < 0)
        {
            bool hasStatus = Posix.Status(found.Name, follow: true, out FileStatus status) == 0;
            return new FileResult(found, descriptor, false, hasStatus, status, default);
        }

        FileResult result = CountOpen(found, descriptor, buffer, rule, progress);
        Posix.Close(descriptor);
        return result;
    }

    private static FileResult CountOpen(
        FoundFile found, int descriptor, byte[] buffer, WordRule rule, Progress progress)
    {
        bool hasStatus = Posix.Status(descriptor, out FileStatus status) == 0;
        TextCounter counter = new(rule);
        long bytes = 0;
        int read = 0;
        while (!found.IsDrained && (read = Posix.Read(descriptor, buffer)) > 0)
        {
            counter.Add(buffer.AsSpan(0, read));
            bytes += read;
            progress.AddBytes(read);
        }

        progress.AddFile();
        Counts counts = new(counter.Lines, counter.Words, bytes);
        return new FileResult(found, read, HasCounts: true, hasStatus, status, counts);
    }
}
