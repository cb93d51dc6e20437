// Plots of the committed results: bench/results/*.tsv into bench/results/plots/*.svg, one for each question, by
// OxyPlot. Whatever a file has three points of is drawn, against processors or against goroutines.

using System.Globalization;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace Weft.Bench.Front;

internal static class Plots
{
    private const int Width = 420;
    private const int Height = 300;
    private const int FewestPoints = 3;

    private static readonly Dictionary<string, OxyColor> s_colors = new()
    {
        ["Weft"] = OxyColor.FromRgb(0x0b, 0x5f, 0xb0),
        ["Go"] = OxyColor.FromRgb(0xe0, 0x7b, 0x00),
        [".NET"] = OxyColor.FromRgb(0x7a, 0x3f, 0xa8),
        ["Boost"] = OxyColor.FromRgb(0x6e, 0x6e, 0x6e),
    };

    /// <summary>What is drawn against processors, by its question.</summary>
    private static readonly Dictionary<string, string> s_processors = new()
    {
        ["switch"] = "Go.Yield among 2 P goroutines",
        ["chan_unbuf_pairs"] = "Message, unbuffered channel, P pairs",
        ["chan_buf128_PpPc"] = "Channel of 128, P senders, P receivers",
        ["spawn_200k"] = "Start and end of a goroutine, 200,000 at once",
        ["skynet"] = "A tree with a million leaves",
        ["mutex_cont_P"] = "Mutex that P want",
        ["rwmutex"] = "RWMutex that P read",
        ["net_echo"] = "64 bytes there and back, 16 P connections",
        ["alloc_par"] = "Objects of 32 bytes, P allocate",
    };

    /// <summary>What is drawn against goroutines, by the answer to a question that ends in their number.</summary>
    private static readonly Dictionary<string, string> s_goroutines = new()
    {
        ["rss"] = "Memory of one that waits",
        ["pausemax"] = "The longest pause",
        ["hiccup"] = "The longest stop of who allocates",
    };

    private static readonly Dictionary<string, double> s_counts =
        new() { ["10k"] = 1e4, ["100k"] = 1e5, ["200k"] = 2e5, ["1m"] = 1e6 };

    /// <summary>Draws all files of a folder into another one.</summary>
    internal static void Draw(string results, string plots)
    {
        Directory.CreateDirectory(plots);
        foreach (string path in Directory.EnumerateFiles(results, "*.tsv"))
        {
            string name = Path.Combine(plots, Path.GetFileNameWithoutExtension(path));
            Result[] all = Result.Read(path);
            foreach ((string question, string title) in s_processors)
            {
                Draw($"{name}-{question}.svg", title, "processors", 2, all
                    .Where(result => result.Row.Question == question && result.Row.Answer.Length == 0)
                    .Select(result => (result, (double)result.Row.Processors)));
            }
            int most = all.Max(result => result.Row.Processors);
            foreach ((string answer, string title) in s_goroutines)
            {
                Draw($"{name}-{answer}.svg", $"{title}, {most} processors", "goroutines that wait", 10, all
                    .Where(result => result.Row.Answer == answer && result.Row.Processors == most)
                    .Select(result => (result, s_counts.GetValueOrDefault(result.Row.Question.Split('_')[^1])))
                    .Where(point => point.Item2 > 0));
            }
        }
    }

    private static void Draw(
        string path, string title, string across, double @base, IEnumerable<(Result Result, double X)> points)
    {
        var programs = points.GroupBy(point => point.Result.Program)
            .Where(program => program.Count() >= FewestPoints)
            .ToArray();
        if (programs.Length == 0)
        {
            return;
        }
        Result any = programs[0].First().Result;
        PlotModel model = new()
        {
            Title = $"{title}, {any.Unit}",
            TitleFontSize = 13,
            TitleFontWeight = FontWeights.Normal,
            DefaultFont = "sans-serif",
            Background = OxyColors.White,
            Padding = new OxyThickness(18, 8, 8, 8),
            PlotAreaBorderThickness = new OxyThickness(1, 0, 0, 1),
        };
        model.Legends.Add(new Legend { LegendPlacement = LegendPlacement.Outside, LegendPosition = LegendPosition.RightTop });
        model.Axes.Add(Axis(AxisPosition.Bottom, across, @base));
        model.Axes.Add(Axis(AxisPosition.Left, "", 10));
        foreach (var program in programs)
        {
            LineSeries line = new()
            {
                Title = program.Key,
                Color = s_colors[program.Key],
                MarkerType = MarkerType.Circle,
                MarkerSize = 3,
            };
            line.Points.AddRange(program.OrderBy(point => point.X).Select(point => new DataPoint(point.X, point.Result.Value)));
            model.Series.Add(line);
        }
        SvgExporter exporter = new() { Width = Width, Height = Height, UseVerticalTextAlignmentWorkaround = true };
        File.WriteAllText(path, exporter.ExportToString(model));
    }

    private static LogarithmicAxis Axis(AxisPosition position, string title, double @base) => new()
    {
        Position = position,
        Title = title,
        AxisTitleDistance = 8,
        Base = @base,
        LabelFormatter = Label,
        MajorGridlineStyle = LineStyle.Solid,
        MajorGridlineColor = OxyColor.FromRgb(0xe4, 0xe4, 0xe4),
        MinorTickSize = 0,
        MaximumPadding = 0.05,
        MinimumPadding = 0.05,
    };

    private static string Label(double value) => value switch
    {
        >= 0.999e6 => (value / 1e6).ToString("0.#", CultureInfo.InvariantCulture) + " m",
        >= 1e4 => (value / 1e3).ToString("0.#", CultureInfo.InvariantCulture) + " k",
        _ => value.ToString("0.###", CultureInfo.InvariantCulture),
    };
}
