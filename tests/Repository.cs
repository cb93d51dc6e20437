namespace Weft.Tests;

/// <summary>The source tree that these tests were built from, for the tests that read it.</summary>
internal static class Repository
{
    /// <summary>WEFT_ROOT, else the nearest directory above the executable that has Native.sln.
    /// The calling test is skipped when there is none.</summary>
    internal static string Root()
    {
        string? root = Environment.GetEnvironmentVariable("WEFT_ROOT");
        root ??= Path.GetDirectoryName(Environment.ProcessPath);
        while (root is not null && !File.Exists(Path.Combine(root, "Native.sln")))
        {
            root = Path.GetDirectoryName(root);
        }

        Skip.When(root is null, "Weft's sources are not here; set WEFT_ROOT to their directory");
        return root!;
    }
}
