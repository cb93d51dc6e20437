// The entry point of weft-bench: all its questions. Answers.cs has its arguments.

using System.Reflection;

namespace Weft.Bench;

internal static class Program
{
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
        .. AllocBench.Questions,
        .. HogBench.Questions,
        .. FairnessBench.Questions,
        .. TimerBench.Questions,
        .. NetBench.Questions,
        .. SleeperBench.Questions,
        .. WaitBench.Questions,
        .. HttpBench.Questions,
    ];

    private static int Main(string[] args)
    {
        string version = typeof(Go).Assembly
            .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        return Answers.Give(
            $"Weft {version}, .NET {Environment.Version} NativeAOT", s_questions, FloorBench.BesideSample, args);
    }
}
