// The rules of the source tree. What is not checked here is not a rule.

using System.Text.RegularExpressions;

namespace Weft.Tests;

internal sealed partial class Tidy
{
    private const int MaxLines = 500;
    private const int MaxColumns = 110;

    // A folder of runtime/ uses itself and the folders before it. Folders on one line are siblings:
    // none of them uses another.
    private static readonly string[][] s_layers =
    [
        ["base"], ["core"], ["stack"], ["time"], ["poll"], ["trace"], ["sched"], ["sync", "chan"], ["api"], ["net"],
        ["testing"], ["aspnetcore", "templates"],
    ];

    [Test]
    public void NoRuntimeFileIsTooLong() => Check(
        from file in Sources("runtime")
        where file.Lines.Length > MaxLines && !IsLog(file.Path)
        select $"{file.Path}: {file.Lines.Length} lines, at most {MaxLines}");

    // What only grows: what was decided, and the list of traps.
    private static bool IsLog(string path) => path.EndsWith("DECISIONS.md") || path.EndsWith("HACKING.md");

    [Test]
    public void NoLineIsTooLong() => Check(
        from line in Lines("runtime", "asm")
        where line.Text.Length > MaxColumns
        select $"{line}: {line.Text.Length} columns, at most {MaxColumns}");

    [Test]
    public void NoTabsAndNoTrailingSpace() => Check(
        from line in Lines("runtime", "asm", "native", "tests", "bench")
        where line.Text.Contains('\t') || line.Text.EndsWith(' ')
        select $"{line}: a tab or a trailing space");

    [Test]
    public void NothingIsLeftToDo() => Check(
        from line in Lines("runtime", "asm", "native", "tests", "bench")
        where LeftToDo().IsMatch(line.Text)
        select $"{line}: finish it, or open an issue");

    [Test]
    public void NoThreadStatics() => Check(
        from line in Lines("runtime")
        where line.File.Path.EndsWith(".cs") && ThreadStatic().IsMatch(line.Code)
        where !line.File.Path.EndsWith("core/JitCurrent.cs") // There a goroutine is a thread.
        select $"{line}: such a field follows the goroutine, not the thread; use core/Current.cs");

    [Test]
    public void NoConditionalCompilationByPlatform() => Check(
        from line in Lines("runtime")
        where PlatformCondition().IsMatch(line.Text)
        select $"{line}: put it in X.Linux.cs, X.Darwin.cs or X.Windows.cs");

    [Test]
    public void FoldersUseOnlyTheFoldersBelowThem()
    {
        List<SourceFile> files = [.. Sources("runtime").Where(file => file.Path.EndsWith(".cs"))];
        var types = (
            from file in files
            from line in file.AllLines
            from Match match in TypeDeclaration().Matches(line.Code)
            select (Name: match.Groups[1].Value, file.Folder)).Distinct().ToLookup(type => type.Name);

        Check(
            from file in files
            from line in file.AllLines
            from name in TypeUse().Matches(line.Code).Select(match => match.Value).Distinct()
            where types.Contains(name) && !types[name].Any(type => MayUse(file.Folder, type.Folder))
            where line.Code.Trim() != name + "," // A member of an enum.
            select $"{line}: {file.Folder}/ uses {name} of {types[name].First().Folder}/");
    }

    private static bool MayUse(string user, string used)
    {
        int Rank(string folder) => Array.FindIndex(s_layers, layer => layer.Contains(folder));
        return user == used || Rank(used) < Rank(user);
    }

    private static void Check(IEnumerable<string> violations)
    {
        List<string> found = [.. violations];
        if (found.Count > 0)
        {
            Assert.Fail($"{found.Count} violations\n" + string.Join('\n', found));
        }
    }

    private static IEnumerable<SourceLine> Lines(params string[] folders) =>
        Sources(folders).SelectMany(file => file.AllLines);

    private static IEnumerable<SourceFile> Sources(params string[] folders)
    {
        string root = Repository.Root();
        return
            from folder in folders
            from path in Directory.EnumerateFiles(
                Path.Combine(root, folder), "*", SearchOption.AllDirectories)
            where Path.GetExtension(path) is ".cs" or ".S" or ".asm" or ".h" or ".c" or ".md"
            select new SourceFile(Path.GetRelativePath(root, path), File.ReadAllLines(path));
    }

    private sealed record SourceFile(string Path, string[] Lines)
    {
        /// <summary>The layer of a file in runtime/: the folder below it.</summary>
        public string Folder => Path.Split('/')[1];

        public IEnumerable<SourceLine> AllLines =>
            Lines.Select((text, index) => new SourceLine(this, index + 1, text));
    }

    private sealed record SourceLine(SourceFile File, int Number, string Text)
    {
        /// <summary>The line without string literals and comments.</summary>
        public string Code => CommentOrString().Replace(Text, "");

        public override string ToString() => $"{File.Path}:{Number}";
    }

    // Written so that this file does not match itself.
    [GeneratedRegex(@"\b(FIX[M]E|TO[D]O|HA[C]K)\b")]
    private static partial Regex LeftToDo();

    [GeneratedRegex(@"\[.*\bThreadStatic\b")]
    private static partial Regex ThreadStatic();

    [GeneratedRegex(@"^\s*#(if|elif)\b.*(LINUX|WINDOWS|OSX|DARWIN|MACOS|X64|ARM64|AMD64)")]
    private static partial Regex PlatformCondition();

    [GeneratedRegex(@"(?<![\w.])[A-Z]\w*\b(?!\s*\()")]
    private static partial Regex TypeUse();

    [GeneratedRegex(@"\b(?:class|struct|enum|interface|delegate) ([A-Z]\w*)")]
    private static partial Regex TypeDeclaration();

    [GeneratedRegex("""
        "(\\.|[^"\\])*"|//.*
        """)]
    private static partial Regex CommentOrString();
}
