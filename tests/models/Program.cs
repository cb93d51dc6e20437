// weft-models [NAME...]            checks the models: each holds, and fails without any one of its barriers
//   --without BARRIER              shows how a model fails without that one
//   --depth N, --runs N, --seed N  deviations, random runs, the first of their seeds
//   --documented                   each exchange is a full barrier, as .NET says
//   --list                         the models and their barriers
//
// README.md: what a model is. The program rewrites its own code, and runs the copy.

using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Weft.Models;

public static class Program
{
    private const int RandomRuns = 5_000;

    private static readonly (string Name, Func<Model> Make)[] s_models =
    [
        ("litmus-store-load", () => Protocols.LitmusModel.StoreLoad),
        ("litmus-store-load-exchange", () => Protocols.LitmusModel.StoreLoadExchange),
        ("litmus-store-load-barrier", () => Protocols.LitmusModel.StoreLoadBarrier),
        ("litmus-message", () => Protocols.LitmusModel.Message),
        ("litmus-message-released", () => Protocols.LitmusModel.MessageReleased),
        ("litmus-message-barrier", () => Protocols.LitmusModel.MessageBarrier),
        ("litmus-coherence", () => Protocols.LitmusModel.Coherence),
        ("litmus-load-store", () => Protocols.LitmusModel.LoadStore),
        ("litmus-two-looks", () => Protocols.LitmusModel.TwoLooks(barriers: false)),
        ("litmus-two-looks-barrier", () => Protocols.LitmusModel.TwoLooks(barriers: true)),
        ("lock", () => new Protocols.LockModel()),
        ("ring", () => new Protocols.RingModel()),
        ("next", () => new Protocols.NextModel()),
        ("fresh", () => new Protocols.FreshModel()),
        ("empty", () => new Protocols.EmptyModel()),
        ("exclusive", () => new Protocols.ExclusiveModel()),
        ("sleep", () => new Protocols.SleepModel()),
        ("global", () => new Protocols.GlobalModel()),
        ("burst", () => new Protocols.BurstModel()),
        ("commit", () => new Protocols.CommitModel()),
        ("direct", () => new Protocols.DirectModel()),
        ("cancel", () => new Protocols.CancelModel()),
        ("close", () => new Protocols.CloseModel()),
        ("report", () => new Protocols.ReportModel()),
        ("cancel-and-report", () => new Protocols.CancelAndReportModel()),
        ("forget", () => new Protocols.ForgetModel()),
        ("timer", () => new Protocols.TimerModel()),
        ("kick", () => new Protocols.KickModel()),
        ("start", () => new Protocols.StartModel()),
        ("align", () => new Protocols.AlignModel()),
        ("native", () => new Protocols.NativeModel()),
        ("page", () => new Protocols.PageModel()),
        ("ages", () => new Protocols.AgesModel()),
        ("monitor", () => new Protocols.MonitorModel()),
        ("wait", () => new Protocols.WaitModel()),
        ("cannot-park", () => new Protocols.CannotParkModel()),
        ("unbuffered", () => new Protocols.UnbufferedModel()),
        ("buffered", () => new Protocols.BufferedModel()),
        ("closing", () => new Protocols.ClosingModel()),
        ("select", () => new Protocols.SelectModel()),
        ("group", () => new Protocols.GroupModel()),
        ("mutex", () => new Protocols.MutexModel()),
        ("hand-off", () => new Protocols.HandOffOfMutexModel()),
        ("once", () => new Protocols.OnceModel()),
        ("word", () => new Protocols.WordModel()),
        ("stripes", () => new Protocols.StripesModel()),
        ("stray", () => new Protocols.StrayModel()),
        ("making", () => new Protocols.MakingModel()),
        ("excess", () => new Protocols.ExcessModel()),
    ];

    public static int Main(string[] arguments)
    {
        string path = typeof(Program).Assembly.Location;
        (byte[] code, (string, string)[] sites, string[] initialized) = Rewriter.Rewrite(path);
        Assembly copy = Assembly.Load(code);
        object? status = copy.GetType("Weft.Models.Program")!.GetMethod(nameof(Run))!
            .Invoke(null, [arguments, sites, initialized]);
        return (int)status!;
    }

    /// <summary>In the copy.</summary>
    public static int Run(string[] arguments, (string, string)[] sites, string[] initialized)
    {
        foreach (string type in initialized)
        {
            RuntimeHelpers.RunClassConstructor(typeof(Program).Assembly.GetType(type)!.TypeHandle);
        }
        Explorer.KeepStatics();
        Explorer.Sites = sites;
        Explorer.Weak = new bool[sites.Length];
        Options options = new(arguments);
        Explorer.AreExchangesFull = options.Documented;
        bool good = true;
        foreach ((string name, Func<Model> make) in s_models)
        {
            if (options.Names.Count > 0 && !options.Names.Contains(name))
            {
                continue;
            }
            Model model = make();
            if (options.List)
            {
                Console.WriteLine($"{name}: {string.Join(", ", model.Barriers.Select(barrier => barrier.Name))}");
            }
            else if (options.Without != null)
            {
                good &= Without(name, model, options);
            }
            else
            {
                good &= Check(name, model, options);
            }
        }
        if (options.Names.Count == 0 && !options.List && options.Without == null)
        {
            Console.WriteLine("all models ran");
        }
        return good ? 0 : 1;
    }

    /// <summary>The model as it is, then without each of its barriers.</summary>
    private static bool Check(string name, Model model, Options options)
    {
        string? failure = Explore(model, null, options, out string effort);
        bool good = failure == null;
        Console.WriteLine($"{(good ? "ok  " : "FAIL")} {name} holds ({effort})");
        if (!good)
        {
            Console.WriteLine(failure);
        }
        foreach ((string barrier, string site) in model.Barriers)
        {
            failure = Explore(model, site, options, out effort);
            Console.WriteLine($"{(failure != null ? "ok  " : "FAIL")} {name} does not without {barrier} ({effort})");
            Console.WriteLine($"       {failure?.Split('\n')[0] ?? "It does, and does not see what it is for."}");
            good &= failure != null;
        }
        return good;
    }

    private static bool Without(string name, Model model, Options options)
    {
        bool holds = true;
        foreach ((string barrier, string site) in model.Barriers.Where(barrier => barrier.Name == options.Without))
        {
            string? failure = Explore(model, site, options, out string effort);
            Console.WriteLine($"{name} without {barrier} ({effort}): {failure ?? "holds"}");
            holds &= failure == null;
        }
        return holds;
    }

    private static string? Explore(Model model, string? site, Options options, out string effort)
    {
        Array.Clear(Explorer.Weak);
        foreach (string what in site?.Split(" + ") ?? [])
        {
            bool found = false;
            for (int i = 0; i < Explorer.Sites.Length; i++)
            {
                bool isIt = Explorer.Sites[i].What == what;
                Explorer.Weak[i] |= isIt;
                found |= isIt;
            }
            if (!found)
            {
                throw new InvalidOperationException($"There is no \"{what}\" in the sources.");
            }
        }
        long start = Stopwatch.GetTimestamp();
        string? failure = Explorer.Explore(
            model, options.Depth ?? model.Depth, options.Runs ?? RandomRuns, options.Seed, out long runs);
        effort = $"{runs} runs, {Stopwatch.GetElapsedTime(start).TotalSeconds:F1} s";
        return failure;
    }

    private sealed class Options
    {
        internal readonly List<string> Names = [];
        internal readonly string? Without;
        internal readonly int? Depth;
        internal readonly int? Runs;
        internal readonly int Seed = 1;
        internal readonly bool Documented;
        internal readonly bool List;

        internal Options(string[] arguments)
        {
            for (int i = 0; i < arguments.Length; i++)
            {
                switch (arguments[i])
                {
                    case "--without":
                        Without = arguments[++i];
                        break;
                    case "--depth":
                        Depth = int.Parse(arguments[++i]);
                        break;
                    case "--runs":
                        Runs = int.Parse(arguments[++i]);
                        break;
                    case "--seed":
                        Seed = int.Parse(arguments[++i]);
                        break;
                    case "--documented":
                        Documented = true;
                        break;
                    case "--list":
                        List = true;
                        break;
                    default:
                        Names.Add(arguments[i]);
                        break;
                }
            }
        }
    }
}
