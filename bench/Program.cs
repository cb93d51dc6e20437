// The entry point of weft-bench. README.md says how to read what it prints.
//
//   weft-bench            answers every question and prints a table
//   weft-bench NAME...    answers some: a line for each row, for scripts
//   weft-bench list       names and descriptions

namespace Weft.Bench;

internal static class Program
{
    private const int BadArguments = 2;

    private static readonly Question[] s_questions =
    [
        .. FloorBench.Questions,
        .. SwitchBench.Questions,
        .. SpawnBench.Questions,
        .. ChannelBench.Questions,
        .. SelectBench.Questions,
        .. SelfBench.Questions,
        .. MutexBench.Questions,
        .. SkynetNode.Questions,
        .. MemoryBench.Questions,
        .. GcBench.Questions,
        .. GcCrowdBench.Questions,
        .. GrowthBench.Questions,
        .. NativeBench.Questions,
        .. TimerBench.Questions,
        .. NetBench.Questions,
        .. SleeperBench.Questions,
        .. WaitBench.Questions,
        .. HttpBench.Questions,
    ];

    private static int Main(string[] args)
    {
        if (Measure.IsSample(args, out string sample))
        {
            Measure.PrintSample(s_questions.Single(question => question.Name == sample));
            return 0;
        }
        if (args is ["list"])
        {
            Report.List(s_questions);
            return 0;
        }
        string? unknown = args.FirstOrDefault(name => !s_questions.Any(q => Covers(q, name)));
        if (unknown != null)
        {
            Console.Error.WriteLine(
                $"weft-bench: no benchmark is named '{unknown}'; weft-bench list prints the names");
            return BadArguments;
        }
        if (args.Length == 0)
        {
            Report.Table(s_questions);
        }
        foreach (string name in args)
        {
            Question question = s_questions.First(q => Covers(q, name));
            Report.Lines(
                Measure.Answer(question).Where(m => question.Name == name || m.Row.Name == name));
        }
        return 0;
    }

    /// <summary>A question goes by its own name, for all its rows, and by the name of each of
    /// them.</summary>
    private static bool Covers(Question question, string name) =>
        question.Name == name || question.Rows.Any(row => row.Name == name);
}
