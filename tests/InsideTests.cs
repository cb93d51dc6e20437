// runtime/INSIDE.md: its snippets are those that were compiled, and do what it says.

namespace Weft.Tests;

[NotOnJit("there are no traces")]
internal sealed class InsideTests
{
    [Test]
    public async Task EachSnippetIsOneThatWasCompiled()
    {
        (int count, string[] missing) = PageParts.Compare("runtime/INSIDE.md", "tests/InsideSnippets.cs");

        await Assert.That(missing).IsEmpty();
        await Assert.That(count).IsGreaterThanOrEqualTo(3);
    }

    [Test]
    public async Task TracesHaveTheRegionsAndLinesOfTheProgram()
    {
        string path = Path.GetTempFileName();
        List<string> wrong = [];
        foreach (Action run in new Action[]
            { () => InsideSnippets.Trace(path, "request"), () => InsideSnippets.Record(path, "request", default) })
        {
            string? failure = Crew.Run(2, crew => run());
            PerfettoFile file = new(File.ReadAllBytes(path));
            wrong.AddRange([.. file.Faults]);
            if (failure is not null || file.Slices.Count(slice => slice.Name == "parse") != 1
                || file.Instants.Count(i => i.Name == "7 characters") != 1)
            {
                wrong.Add($"{failure}: {string.Join(", ", file.All.Select(slice => slice.Name).Distinct())}");
            }
        }
        File.Delete(path);

        await Assert.That(wrong).IsEmpty();
    }

    [Test]
    public async Task ProfilesAndMetricsAreWritten()
    {
        string path = Path.GetTempFileName();
        using MemoryStream blocks = new();
        long runs = 0;
        string? failure = Crew.Run(2, crew =>
        {
            InsideSnippets.Profile(path);
            InsideSnippets.BlockProfile(blocks, "request");
            runs = InsideSnippets.Measured("request");
        });
        PprofFile goroutines = new(File.ReadAllBytes(path));
        File.Delete(path);

        await Assert.That(failure).IsNull();
        await Assert.That(goroutines.Samples.Sum(sample => sample.Values[0])).IsGreaterThan(0);
        await Assert.That(new PprofFile(blocks.ToArray()).Types.Length).IsEqualTo(2);
        await Assert.That(runs).IsGreaterThan(0);
    }
}
