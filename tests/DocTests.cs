// The programs that the pages show (README.md, runtime/*.md) say what the page says they do. Those in ```csharp
// are compiled into this program by docs/snippets.awk; a block ``` after one is what it prints, to the letter.
// One ```text is an example of it, as where the order varies. And what the pages refer to is there.

using System.Text.RegularExpressions;

namespace Weft.Tests;

internal sealed partial class DocTests
{
    private static readonly string[] s_folders = ["runtime", "asm", "native", "tests", "bench"];

    /// <summary>All programs of the pages, by the page and the line that they begin at.</summary>
    public static IEnumerable<Func<string>> Programs() => Docs.Snippets.All.Keys.Select<string, Func<string>>(
        name => () => name);

    [Test]
    [MethodDataSource(nameof(Programs))]
    public async Task AProgramOfAPageSaysWhatThePageSays(string name)
    {
        ChildResult child = ChildProcess.Run("page", [name]);

        string? wanted = Output(name);
        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
        await Assert.That(child.Output).IsEqualTo(wanted ?? child.Output).Because(name);
    }

    /// <summary>Argument: which one.</summary>
    internal static int Program(string[] args) => Docs.Snippets.All[args[0]]([]);

    [Test]
    public async Task WhatThePagesReferToIsThere()
    {
        string root = Repository.Root();
        string[] pages =
        [
            .. Directory.GetFiles(root, "*.md"),
            .. s_folders.SelectMany(folder =>
                Directory.GetFiles(Path.Combine(root, folder), "*.md", SearchOption.AllDirectories)),
        ];
        IEnumerable<string> missing =
            from page in pages
            from Match match in Reference().Matches(File.ReadAllText(page))
            let name = match.Groups["name"].Value
            where name.Contains('/') || Path.GetExtension(name) == ".md"
            where !Exists(Path.GetDirectoryName(page)!, name) && !Exists(root, name)
                && !Exists(Path.Combine(root, "runtime"), name)
            select $"{Path.GetRelativePath(root, page)}: {name}";

        await Assert.That(missing).IsEmpty();
    }

    private static bool Exists(string folder, string name) => Path.Exists(Path.Combine(folder, name));

    // A link, or the name of a page or a folder's file in backquotes. What is built, or a user's, is not looked
    // for.
    [GeneratedRegex(@"\]\((?<name>(?!https?:)[^)#\s]+)[^)]*\)"
        + @"|`(?<name>(?!out/|\.\./)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\.(md|cs|c|h|sh|S|py|awk|svg|tsv))`")]
    private static partial Regex Reference();

    /// <summary>What the page shows below the program, or null.</summary>
    private static string? Output(string name)
    {
        string[] parts = name.Split(':');
        string[] lines = File.ReadAllLines(Path.Combine(Repository.Root(), "tests", parts[0]));
        int end = Array.IndexOf(lines, "```", int.Parse(parts[1]));
        int start = end + 2;
        return start < lines.Length && lines[start] == "```"
            ? string.Concat(lines[(start + 1)..].TakeWhile(line => line != "```").Select(line => line + "\n"))
            : null;
    }
}
