// The analyzers of the package, as a project meets them that has one PackageReference. tests/analyzers/ has for
// each rule what is wrong, in lines that end with its number, and what is right. That nothing is said of Weft's
// own samples and tests is checked by building them: a warning is an error there.

using System.IO.Compression;
using System.Text.RegularExpressions;

namespace Weft.Tests;

internal sealed partial class AnalyzerTests
{
    [Test]
    public async Task EachRuleWarnsOfWhatIsWrongAndOfNothingElse()
    {
        using FreshProject project = new("fresh", "return 0;");
        List<string> expected = [];
        foreach (string file in Directory.EnumerateFiles(Examples(), "*.cs"))
        {
            string[] lines = await File.ReadAllLinesAsync(file);
            string name = Path.GetFileName(file);
            project.Write(name, string.Join('\n', lines));
            expected.AddRange(lines.Index()
                .Where(line => Expected().IsMatch(line.Item))
                .Select(line => $"{name}:{line.Index + 1} {line.Item[^7..]}"));
        }

        ChildResult build = project.Dotnet(
            "build", "-v:quiet", "-tl:off", "-p:PublishAot=false", "-p:AllowUnsafeBlocks=true");
        await Assert.That(build.ExitCode).IsEqualTo(0).Because(build.ToString());

        // The summary has each warning once more.
        IEnumerable<string> warnings = Warning().Matches(build.Output).DistinctBy(match => match.Value)
            .Select(match => $"{match.Groups[1]}:{match.Groups[2]} {match.Groups[3]}");
        await Assert.That(string.Join('\n', warnings.Order())).IsEqualTo(string.Join('\n', expected.Order()));
    }

    [Test]
    public async Task EachRuleHasExamplesAndAPageInThePackage()
    {
        string rules = await File.ReadAllTextAsync(
            Path.Combine(Repository.Root(), "runtime", "analyzers", "Rules.cs"));
        List<string> names = [.. Rule().Matches(rules).Select(match => match.Groups[1].Value)];
        await Assert.That(names).IsNotEmpty();

        using ZipArchive package = ZipFile.OpenRead(FreshProject.Packed("Weft"));
        List<string> entries = [.. package.Entries.Select(entry => entry.FullName)];
        await Assert.That(entries).Contains("analyzers/dotnet/cs/Weft.Analyzers.dll");
        foreach (string name in names)
        {
            await Assert.That(entries).Contains($"docs/{name}.md");
            string page = await File.ReadAllTextAsync(
                Path.Combine(Repository.Root(), "runtime", "analyzers", "docs", name + ".md"));
            await Assert.That(page).StartsWith($"# {name}: ").And.Contains($"dotnet_diagnostic.{name}.severity");
            string examples = await File.ReadAllTextAsync(Path.Combine(Examples(), name + ".cs"));
            await Assert.That(examples).Contains($"// {name}\n");
        }
    }

    // As an editor does it, and `dotnet format`, which asks for all of a file at once.
    [Test]
    [Slow]
    public async Task WhatHasAnObviousFixIsMended()
    {
        using FreshProject project = new("mended", "return 0;");
        string input = Path.Combine(Examples(), "fixes", "Before.cs");
        string expected = await File.ReadAllTextAsync(Path.Combine(Examples(), "fixes", "After.cs"));
        project.Write("Mended.cs", await File.ReadAllTextAsync(input));

        ChildResult format = project.Dotnet(
            "format", "analyzers", "--severity", "warn", "--diagnostics", "WEFT102", "WEFT103", "WEFT104", "WEFT107");
        await Assert.That(format.ExitCode).IsEqualTo(0).Because(format.ToString());

        await Assert.That(project.Read("Mended.cs")).IsEqualTo(expected).Because(format.ToString());
        ChildResult build = project.Dotnet("build", "-v:quiet", "-tl:off", "-p:PublishAot=false");
        await Assert.That(build.ExitCode).IsEqualTo(0).Because(build.ToString());
    }

    private static string Examples() => Path.Combine(Repository.Root(), "tests", "analyzers");

    [GeneratedRegex(@"// WEFT\d{3}$")]
    private static partial Regex Expected();

    [GeneratedRegex(@"(\w+\.cs)\((\d+),\d+\): warning (WEFT\d{3}):")]
    private static partial Regex Warning();

    [GeneratedRegex("""
        "(WEFT\d{3})",
        """)]
    private static partial Regex Rule();
}
