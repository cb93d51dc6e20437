// weave count, a pipeline of goroutines:
//
//   Walker --found--> one goroutine for each file --results--> Report
//
// A file's goroutine needs one of a fixed number of buffers. The channel that holds the free ones
// is thereby the limit on files open at once, whatever the number of goroutines the walker would
// start. Results come in any order; Report puts them back into the walker's.

using Weave.Files;
using Weft;

namespace Weave.Count;

internal static class CountCommand
{
    private const int OpenFiles = 32;
    private const int BufferSize = 128 * 1024;

    internal static int Run(string[] paths, WordRule rule)
    {
        Chan<FoundFile> found = new(OpenFiles);
        Chan<FileResult> results = new(OpenFiles);
        using Progress progress = new();

        Go.Run(() => new Walker(found).Walk(paths.Select(FileName.FromArgument)));
        Go.Run(() => CountAll(found, results, rule, progress));

        Report report = new();
        foreach (FileResult result in results)
        {
            report.Add(result);
        }

        progress.Dispose();
        return report.Write();
    }

    /// <summary>Starts a goroutine for each file found; closes the results when all are
    /// counted.</summary>
    private static void CountAll(
        Chan<FoundFile> found, Chan<FileResult> results, WordRule rule, Progress progress)
    {
        Chan<byte[]> buffers = new(OpenFiles);
        for (int i = 0; i < OpenFiles; i++)
        {
            buffers.Send(GC.AllocateUninitializedArray<byte>(BufferSize));
        }

        WaitGroup files = new();
        foreach (FoundFile file in found)
        {
            byte[] buffer = buffers.Receive();
            files.Go(() =>
            {
                results.Send(FileCounter.Count(file, buffer, rule, progress));
                buffers.Send(buffer);
            });
        }

        files.Wait();
        results.Close();
    }
}
