// weave, the sample program, as its user meets it: beside the wc of this machine, byte for byte,
// and when things go wrong. The comparisons are shell scripts: file names and outputs are bytes,
// which strings would not keep.

using System.Globalization;

namespace Weft.Tests;

internal sealed class WeaveTests
{
    // compare WEAVE RULE PATH...: the files below each path in the order of `sort`, for wc; fails
    // on the first difference. wc prints a total for an empty list, where weave has nothing to
    // print; and without POSIXLY_CORRECT newer ones take the byte 0xa0 for a space.
    private const string Compare = """
        weave=$1 rule=$2; shift 2
        export LC_ALL=C POSIXLY_CORRECT=1
        for path; do find "$path" -type f -print0 | sort -z; done >"$OUT/list"
        if [ -s "$OUT/list" ]; then wc --files0-from="$OUT/list"; fi >"$OUT/expected"
        "$weave" count --words "$rule" -- "$@" >"$OUT/found" && cmp "$OUT/expected" "$OUT/found"
        """;

    // What sets words, lines and blocks apart; \u00ff and the like become one byte each.
    private static readonly string[] s_alphabets =
    [
        " \na", " \n\t\v\f\r\u0001\u007f\u0080\u00ffa", "\0a ", "\n", "a", "\0\u00ff\u001f",
        string.Concat(Enumerable.Range(0, 256).Select(i => (char)i)),
    ];

    private static readonly int[] s_sizes =
        [0, 1, 63, 64, 65, 127, 128, 1000, 131071, 131072, 131073, 300000];

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(3)]
    [Arguments(4)]
    public async Task ARandomTreeIsCountedAsWcDoes(int seed)
    {
        using Scratch scratch = new();
        string[] directories = MakeTree(scratch.Directory("tree"), new Random(seed));

        await scratch.AgreesWithWc("tree");
        await scratch.AgreesWithWc("tree/");
        await scratch.AgreesWithWc(".");
        await scratch.AgreesWithWc("tree", "tree", directories[^1]);
    }

    [Test]
    public async Task TheDotnetFolderIsCountedAsWcDoes()
    {
        using Scratch scratch = new();
        ChildResult which = scratch.Shell("dirname \"$(readlink -f \"$(command -v dotnet)\")\"");
        Skip.When(which.ExitCode != 0, "dotnet is not on the path");

        await scratch.AgreesWithWc(which.Output.TrimEnd('\n'));
    }

    [Test]
    public async Task AnyBytesMayBeInAFileName()
    {
        using Scratch scratch = new();
        ChildResult made = scratch.Shell("""
            mkdir tree "$(printf 'tree/\377\376')" && cd tree
            echo 1 >"$(printf 'latin \344')"; echo 2 >"$(printf 'two\nlines')"; echo 3 >"it's"
            echo 4 >"$(printf "it's\n\001 a")"; echo 5 >"$(printf '\377\376/x')"; echo 6 >'a b*?$"'
            """);
        await Assert.That(made.ExitCode).IsEqualTo(0).Because(made.ToString());

        await scratch.AgreesWithWc("tree");
        await scratch.SameAsWc("", """
            "$(printf 'tree/latin \344')" "$(printf 'tree/two\nlines')"
            """);
    }

    [Test]
    public async Task PipesAndFilesOnStandardInputAreCountedAsWcDoes()
    {
        using Scratch scratch = new();
        scratch.Write("file", "two words\nand three more");

        await scratch.SameAsWc("cat file |", "-");
        await scratch.SameAsWc("cat file |", "- -");
        await scratch.SameAsWc("cat file |", "file - file");
        await scratch.SameAsWc("", "- <file");
        await scratch.SameAsWc("", "- - <file");
        await scratch.SameAsWc("", "/dev/null file");
    }

    [Test]
    public async Task WhatCannotBeReadIsReportedAndTheRestCounted()
    {
        using Scratch scratch = new();
        scratch.Write("file", "two words\n");
        scratch.Write("@file", "a name that begins with @\n");

        await scratch.SameAsWc("", "missing file");
        await scratch.SameAsWc("", "missing");
        await scratch.SameAsWc("", "file/ @file '' file");
        await scratch.SameAsWc("", "/proc/self/mem file");

        ChildResult result = scratch.Shell("\"$WEAVE\" count missing file");
        await Assert.That(result.ExitCode).IsEqualTo(1);
        await Assert.That(result.Error).IsEqualTo("weave: missing: No such file or directory\n");
        await Assert.That(result.Output).IsEqualTo(" 1  2 10 file\n 1  2 10 total\n");
    }

    [Test]
    public async Task ADirectoryThatCannotBeReadIsReportedAndTheRestCounted()
    {
        using Scratch scratch = new();
        scratch.Write(Path.Combine(scratch.Directory("tree/open"), "file"), "two words\n");
        scratch.Directory("tree/shut");
        ChildResult result = scratch.Shell("""
            chmod 755 . && chmod 0 tree/shut
            if [ "$(id -u)" -ne 0 ]; then exec "$WEAVE" count tree; fi
            cp "$WEAVE" weave && exec setpriv --reuid=65534 --clear-groups ./weave count tree
            """);

        await Assert.That(result.Error).IsEqualTo("weave: tree/shut: Permission denied\n");
        await Assert.That(result.Output).IsEqualTo(" 1  2 10 tree/open/file\n");
        await Assert.That(result.ExitCode).IsEqualTo(1);
    }

    [Test]
    public async Task MessagesQuoteNamesAsWcDoes()
    {
        using Scratch scratch = new();
        await scratch.SameAsWc("", """
            'a b' "it's" 'a"b' "it's \$" '#a' 'a#' '~' '{' '{}' 'a{' 'a=b' 'a:b' 'a@b' "a'#" "#'" \
            "$(printf 'a\001b')" "$(printf '\001\377z')" "$(printf 'tab\t')" \
            "$(printf "it's\n\033a")"
            """);
    }

    [Test]
    public async Task SymbolicLinksAreFollowedOnlyAsArguments()
    {
        using Scratch scratch = new();
        scratch.Write(Path.Combine(scratch.Directory("tree/below"), "file"), "two words\n");
        ChildResult result = scratch.Shell("""
            ln -s ../tree tree/loop && ln -s below/file tree/link && ln -s tree entry
            mkfifo tree/pipe
            "$WEAVE" count entry tree/link
            """);

        await Assert.That(result.Output).IsEqualTo(
            " 1  2 10 entry/below/file\n 1  2 10 tree/link\n 2  4 20 total\n");
        await Assert.That(result.Error).IsEqualTo("");
    }

    [Test]
    public async Task AFewDescriptorsSuffice()
    {
        using Scratch scratch = new();
        ChildResult result = scratch.Shell("""
            mkdir tree && cd tree && for i in $(seq 500); do echo $i >$i; done
            ulimit -n 64 && "$WEAVE" count . | tail -n 1
            """);

        await Assert.That(result.Output).IsEqualTo(" 500  500 1892 total\n");
        await Assert.That(result.Error).IsEqualTo("");
    }

    [Test]
    public async Task AFullDiskIsAnError()
    {
        using Scratch scratch = new();
        ChildResult result = scratch.Shell("echo >file && \"$WEAVE\" count file >/dev/full");

        await Assert.That(result.Error).IsEqualTo("weave: write error: No space left on device\n");
        await Assert.That(result.ExitCode).IsEqualTo(1);
    }

    [Test]
    public async Task AClosedStandardInputIsAnError()
    {
        using Scratch scratch = new();
        ChildResult result = scratch.Shell("\"$WEAVE\" count - <&-");

        await Assert.That(result.Error).IsEqualTo("weave: -: Bad file descriptor\n");
        await Assert.That(result.ExitCode).IsEqualTo(1);
    }

    [Test]
    public async Task ProgressIsShownOnATerminalAndTakenAway()
    {
        using Scratch scratch = new();
        ChildResult result = scratch.Shell("""
            command -v script >/dev/null || exit 77
            mkfifo pipe && (sleep 1; echo two words) >pipe &
            while ! [ -p pipe ]; do sleep 0.1; done
            script -qec '"$WEAVE" count pipe' log </dev/null
            """);
        Skip.When(result.ExitCode == 77, "there is no program `script` to make a terminal");

        string clear = "\r\e[K";
        await Assert.That(result.Output).Contains("\r0 files, 0.0 MB\e[K");
        await Assert.That(result.Output).EndsWith(clear + "      1       2      10 pipe\r\n");
    }

    [Test]
    [Arguments("")]
    [Arguments("cuont file")]
    [Arguments("count")]
    [Arguments("count --wrods any file")]
    [Arguments("count --words some file")]
    [Arguments("million many")]
    [Arguments("million 0")]
    [Arguments("million -5")]
    [Arguments("million 1 2")]
    public async Task WrongUsageIsExplainedAndExitsWithTwo(string arguments)
    {
        ChildResult result = ChildProcess.Execute(
            WeaveProgram.Path(), arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));

        await Assert.That(result.ExitCode).IsEqualTo(2);
        await Assert.That(result.Output).IsEqualTo("");
        await Assert.That(result.Error).StartsWith("weave: ").And.Contains("usage: weave count");
    }

    [Test]
    [Arguments("help", "million")]
    [Arguments("--help", "million")]
    [Arguments("help count", "LC_ALL=C sort -z")]
    [Arguments("--version", ".")]
    public async Task HelpAndVersionGoToStandardOutput(string arguments, string expected)
    {
        ChildResult result = ChildProcess.Execute(WeaveProgram.Path(), arguments.Split(' '));

        await Assert.That(result.ExitCode).IsEqualTo(0);
        await Assert.That(result.Error).IsEqualTo("");
        await Assert.That(result.Output).Contains(expected);
    }

    [Test]
    public async Task AHundredThousandGoroutinesWaitAtOnce()
    {
        ChildResult result = ChildProcess.Execute(WeaveProgram.Path(), ["million", "100000"]);
        await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
        await Assert.That(result.Output).Contains("100,000 waiting at once");

        string resident = result.Output.Split('\n').Single(line => line.StartsWith("resident"));
        double bytesEach = double.Parse(resident.Split()[^3], CultureInfo.InvariantCulture);
        await Assert.That(bytesEach).IsGreaterThan(500).And.IsLessThan(2.2 * 1024);
    }

    [Test]
    public async Task MoreGoroutinesThanMemoryIsAnError()
    {
        ChildResult result = ChildProcess.Execute(WeaveProgram.Path(), ["million", "100000000000"]);

        await Assert.That(result.ExitCode).IsEqualTo(1);
        await Assert.That(result.Error).Contains("100,000,000,000 goroutines need");
    }

    /// <summary>Makes directories and files with random names and contents, and a few things that
    /// are neither. Returns the directories.</summary>
    private static string[] MakeTree(string root, Random random)
    {
        List<string> directories = [root];
        for (int i = 0; i < 80; i++)
        {
            string name = random.GetString("ab./-_ !0~\\é".Replace("/", ""), random.Next(1, 9));
            string path = Path.Combine(directories[random.Next(directories.Count)], name);
            if (name is "." or ".." || Path.Exists(path))
            {
                continue;
            }

            switch (random.Next(10))
            {
                case 0 or 1:
                    Directory.CreateDirectory(path);
                    directories.Add(path);
                    break;
                case 2:
                    File.CreateSymbolicLink(path, root);
                    break;
                default:
                    string alphabet = s_alphabets[random.Next(s_alphabets.Length)];
                    int size = s_sizes[random.Next(s_sizes.Length)];
                    byte[] content = new byte[size];
                    for (int at = 0; at < size; at++)
                    {
                        content[at] = (byte)alphabet[random.Next(alphabet.Length)];
                    }

                    File.WriteAllBytes(path, content);
                    break;
            }
        }

        return [.. directories];
    }

    /// <summary>A directory to run scripts in, which Dispose removes.</summary>
    private sealed class Scratch : IDisposable
    {
        private readonly string _root = System.IO.Directory.CreateTempSubdirectory("weave-").FullName;

        internal Scratch()
        {
            _ = Directory("work");
            _ = System.IO.Directory.CreateDirectory(Path.Combine(_root, "out"));
        }

        private string Work => Path.Combine(_root, "work");

        internal string Directory(string name) =>
            System.IO.Directory.CreateDirectory(Path.Combine(Work, name)).FullName;

        internal void Write(string name, string text) =>
            File.WriteAllText(Path.Combine(Work, name), text);

        internal ChildResult Shell(string script, params string[] args) => ChildProcess.Execute(
            "sh",
            ["-c", script, "sh", .. args],
            Work,
            new() { ["WEAVE"] = WeaveProgram.Path(), ["OUT"] = Path.Combine(_root, "out") },
            TimeSpan.FromMinutes(2));

        /// <summary>That weave, given paths, prints what wc prints for the files in them.</summary>
        internal async Task AgreesWithWc(params string[] paths)
        {
            ChildResult result = Shell(Compare, [WeaveProgram.Path(), WordRule(), .. paths]);
            await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
            await Assert.That(result.Error).IsEqualTo("");
        }

        /// <summary>That weave and wc print the same on both outputs, and exit alike, given the
        /// same text of a shell command before and after them.</summary>
        internal async Task SameAsWc(string before, string after)
        {
            ChildResult result = Shell($$"""
                export LC_ALL=C POSIXLY_CORRECT=1
                {{before}} wc {{after}} >"$OUT/output" 2>"$OUT/error"
                { echo $?; cat "$OUT/output" "$OUT/error"; } >"$OUT/expected"
                weave() { "$WEAVE" count --words {{WordRule()}} "$@"; }
                {{before}} weave {{after}} >"$OUT/output" 2>"$OUT/error"
                { echo $?; cat "$OUT/output"; sed 's/^weave: /wc: /' "$OUT/error"; } >"$OUT/found"
                diff -a "$OUT/expected" "$OUT/found"
                """);
            await Assert.That(result.ExitCode).IsEqualTo(0).Because(result.ToString());
        }

        public void Dispose()
        {
            // Directory.Delete does not find names that are not UTF-8.
            _ = ChildProcess.Execute("sh", ["-c", "chmod -R u+rwx \"$0\"; rm -rf \"$0\"", _root]);
        }

        /// <summary>The rule for words of this machine's wc: a control character is one, or is
        /// not.</summary>
        private static string WordRule()
        {
            ChildResult result = ChildProcess.Execute(
                "sh", ["-c", "wc --version | grep -q GNU && printf '\\001' | LC_ALL=C wc -w"]);
            Skip.When(result.ExitCode != 0, "the wc of this machine is not GNU wc");
            return result.Output.Trim() == "1" ? "any" : "printable";
        }
    }
}
