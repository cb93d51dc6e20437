// The arguments of a program that answers questions: weft-bench, and peers/tasks, which asks the same of .NET's
// tasks. README.md says how to read what it prints.
//
//   PROGRAM                       answers every question and prints a table
//   PROGRAM NAME...               answers some: a line for each row, for scripts
//   PROGRAM --samples NAME...     the same, and each sample
//   PROGRAM list                  names and descriptions
//   PROGRAM version               what it is

namespace Weft.Bench;

internal static class Answers
{
    private const int BadArguments = 2;

    /// <summary>Does what the arguments say; the exit code.</summary>
    internal static int Give(string version, Question[] questions, Func<double>? floor, string[] args)
    {
        switch (args)
        {
            case [Measure.SampleOption, string name]:
                Measure.PrintSample(questions.Single(question => question.Name == name));
                return 0;
            case ["list"]:
                Report.List(questions);
                return 0;
            case ["version"]:
                Console.WriteLine(version);
                return 0;
            case []:
                Report.Table(version, questions, floor);
                return 0;
            case ["--samples", .. string[] names]:
                return Lines(questions, floor, names, samples: true);
            default:
                return Lines(questions, floor, args, samples: false);
        }
    }

    private static int Lines(Question[] questions, Func<double>? floor, string[] names, bool samples)
    {
        string program = Path.GetFileName(Environment.ProcessPath!);
        foreach (string unknown in names.Where(name => !questions.Any(q => Covers(q, name))))
        {
            Console.Error.WriteLine($"{program}: no row is named '{unknown}'; {program} list prints the names");
            return BadArguments;
        }
        // Two rows of one question are one run.
        foreach (Question question in names.Select(name => questions.First(q => Covers(q, name))).Distinct())
        {
            Report.Lines(
                Measure.Answer(question, floor).Where(m => names.Contains(question.Name) || names.Contains(m.Row.Name)),
                samples);
        }
        return 0;
    }

    /// <summary>A question goes by its own name, for all its rows, and by the name of each of
    /// them.</summary>
    private static bool Covers(Question question, string name) =>
        question.Name == name || question.Rows.Any(row => row.Name == name);
}
