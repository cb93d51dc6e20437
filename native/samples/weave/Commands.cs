// The verbs and their arguments. System.CommandLine parses them and prints the help; what it finds
// wrong goes to standard error with the usage and exit code 2, as is customary.

using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Weave.Count;
using Weave.Files;

namespace Weave;

internal static partial class Commands
{
    internal const int Success = 0;
    internal const int Failure = 1;
    internal const int WrongUsage = 2;

    private const int DefaultGoroutines = 1_000_000;

    private const string Usage = """
        usage: weave count [--words RULE] PATH...
               weave million [N]
               weave http [OPTION]... ADDR [DIR]
               weave echo [OPTION]... ADDR
               weave proxy [OPTION]... ADDR TARGET
               weave help [VERB]
               weave --version

        """;

    private const string PathHelp = """
        A file, a directory, or - for standard input. A directory stands for all regular files
        below it, sorted by the bytes of their paths. Symbolic links in a directory are not
        followed, those given as PATH are. These two print the same:
          weave count DIR
          find DIR -type f -print0 | LC_ALL=C sort -z >LIST; LC_ALL=C wc --files0-from=LIST
        What cannot be read is reported on standard error, the rest is counted, and the exit
        code is 1.
        """;

    private const string WordsHelp = """
        What is a word, of all that stands between white space: what has a printable byte in it,
        as in wc before coreutils 9.5 (printable), or anything, as in later ones (any).
        """;

    internal static int Run(string[] args)
    {
        RootCommand root = new("Counts files and goroutines, and serves, to show what Weft does.")
        {
            Count(),
            Million(),
            Http(),
            Echo(),
            Proxy(),
        };
        root.Add(Help(root));

        // No @file arguments: a path may begin with @.
        ParserConfiguration configuration = new() { ResponseFileTokenReplacer = null };
        ParseResult result = root.Parse(args, configuration);
        string? error = result.Errors.Count > 0 ? result.Errors[0].Message : UnknownOption(result);
        if (error is null)
        {
            // A bug here should look like any unhandled exception in a goroutine.
            InvocationConfiguration invocation = new() { EnableDefaultExceptionHandler = false };
            return result.Invoke(invocation);
        }

        Output.WriteError($"weave: {error}\n{Usage}");
        return WrongUsage;
    }

    /// <summary>The parser takes an option that it does not know for a PATH. Here it may be one
    /// only behind --.</summary>
    private static string? UnknownOption(ParseResult result)
    {
        Token? option = result.Tokens
            .TakeWhile(token => token.Type != TokenType.DoubleDash)
            .FirstOrDefault(token => token.Type == TokenType.Argument
                && token.Value.Length > 1
                && token.Value[0] == '-');
        return option is null
            ? null
            : $"unknown option '{option.Value}'; a file of this name is ./{option.Value}";
    }

    private static Command Count()
    {
        Argument<string[]> paths = new("PATH")
        {
            Description = PathHelp,
            Arity = ArgumentArity.OneOrMore,
        };
        Option<string> words = new("--words")
        {
            Description = WordsHelp,
            HelpName = "RULE",
            DefaultValueFactory = _ => "printable",
        };
        words.AcceptOnlyFromAmong("printable", "any");

        Command command = new(
            "count", "Counts lines, words and bytes of files, as wc does with LC_ALL=C.")
        {
            paths,
            words,
        };
        command.SetAction(result => CountCommand.Run(
            result.GetRequiredValue(paths),
            result.GetRequiredValue(words) == "any" ? WordRule.Any : WordRule.Printable));
        return command;
    }

    private static Command Million()
    {
        Argument<long> count = new("N")
        {
            Description = "How many goroutines.",
            CustomParser = ParseGoroutines,
            DefaultValueFactory = _ => DefaultGoroutines,
        };
        Command command = new(
            "million", "Parks N goroutines on one channel, releases them, and says what that cost.")
        {
            count,
        };
        command.SetAction(result => MillionCommand.Run(result.GetRequiredValue(count)));
        return command;
    }

    private static Command Help(RootCommand root)
    {
        Argument<string> verb = new("VERB")
        {
            Description = "The verb to explain.",
            Arity = ArgumentArity.ZeroOrOne,
        };
        verb.AcceptOnlyFromAmong("count", "million", "http", "echo", "proxy", "help");
        Command command = new("help", "Explains weave or one of its verbs.") { verb };
        command.SetAction(result =>
        {
            string? name = result.GetValue(verb);
            return root.Parse(name is null ? ["--help"] : [name, "--help"]).Invoke();
        });
        return command;
    }

    private static long ParseGoroutines(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        if (long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long count)
            && count > 0)
        {
            return count;
        }

        argument.AddError($"'{text}' is not a number of goroutines: it must be 1 or more");
        return 0;
    }
}
