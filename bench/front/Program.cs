// The front of the benchmarks: what runs weft-bench and its peers, and makes tables and plots of what they
// say. It measures nothing.
//
//   weft-bench-front --dotnet [--peers] ARGUMENT...    BenchmarkDotNet, with its arguments
//   weft-bench-front --peers [NAME...]                 Weft beside each peer, with ratios
//   weft-bench-front --plots [RESULTS PLOTS]           draws what one folder has into another, bench/results/'s
//                                                      into bench/results/plots/

namespace Weft.Bench.Front;

internal static class Program
{
    private const int BadArguments = 2;

    private static int Main(string[] args)
    {
        switch (args)
        {
            case ["--dotnet", "--peers", .. string[] rest]:
                return DotNetBench.Run(Answerer.Found(), rest);
            case ["--dotnet", .. string[] rest]:
                return DotNetBench.Run([Answerer.Weft()], rest);
            case ["--peers", .. string[] names]:
                return Peers.Compare(Answerer.Found(), names);
            case ["--plots"]:
                Plots.Draw("bench/results", "bench/results/plots");
                return 0;
            case ["--plots", string results, string plots]:
                Plots.Draw(results, plots);
                return 0;
            default:
                Console.Error.WriteLine("weft-bench-front: --dotnet, --peers or --plots; see bench/README.md");
                return BadArguments;
        }
    }
}
