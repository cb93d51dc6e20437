namespace Weft.Tests;

/// <summary>The sample program, published.</summary>
internal static class WeaveProgram
{
    private static readonly string[] s_sources = ["native/samples/weave", "runtime", "asm"];
    private static string? s_path;

    /// <summary>Where it is; published first if it is missing or older than its sources.</summary>
    internal static string Path()
    {
        if (s_path is null)
        {
            string root = Repository.Root();
            string weave = System.IO.Path.Combine(root, "out", "bin", "weave");
            if (!File.Exists(weave) || File.GetLastWriteTimeUtc(weave) < LastChange(root))
            {
                ChildResult publish = ChildProcess.Execute(
                    "dotnet",
                    ["publish", "native/samples/weave/weave.csproj", "-v:quiet", "-tl:off"],
                    root,
                    timeout: TimeSpan.FromMinutes(5));
                if (publish.ExitCode != 0)
                {
                    Assert.Fail(publish.ToString());
                }

                // Even if there was nothing to do.
                File.SetLastWriteTimeUtc(weave, DateTime.UtcNow);
            }

            s_path = weave;
        }

        return s_path;
    }

    private static DateTime LastChange(string root) =>
        s_sources
            .SelectMany(folder => Directory.EnumerateFiles(
                System.IO.Path.Combine(root, folder), "*", SearchOption.AllDirectories))
            .Max(File.GetLastWriteTimeUtc);
}
