// Pages that show parts of programs: each block ```csharp of the page stands in a file of the tests, line by
// line, but for the indentation. (Whole programs are docs/snippets.awk's.)

namespace Weft.Tests;

internal static class PageParts
{
    /// <summary>The blocks of a page that a file does not have, and how many the page has; paths below the
    /// repository's root.</summary>
    internal static (int Count, string[] Missing) Compare(string page, string file)
    {
        string compiled = Squeeze(File.ReadAllText(Path.Combine(Repository.Root(), file)));
        string[] lines = File.ReadAllLines(Path.Combine(Repository.Root(), page));
        List<string> missing = [];
        int count = 0;
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i] != "```csharp")
            {
                continue;
            }
            count++;
            string block = string.Join('\n', lines[(i + 1)..Array.IndexOf(lines, "```", i)]);
            if (!compiled.Contains(Squeeze(block)))
            {
                missing.Add(block);
            }
        }
        return (count, [.. missing]);
    }

    private static string Squeeze(string text) =>
        string.Join('\n', text.Split('\n').Select(line => line.Trim()).Where(line => line.Length > 0));
}
