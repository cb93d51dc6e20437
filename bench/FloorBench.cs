// The bare asm floor (floor_x64_sysv.S).

using System.Diagnostics;
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Bench;

internal static unsafe partial class FloorBench
{
    private const string Library = "weft-bench-floor"; // Bound at link time: see the project file.
    private const long Switches = 20_000_000;
    private const long SwitchesBesideSample = 2_000_000;

    internal static Question[] Questions =>
    [
        Question.One("floor", "ns", "bare asm switch of two stacks, back by jmp",
            () => Time(&Jmp, Switches)),
        Question.One("floor_ret", "ns", "the same, back by ret",
            () => Time(&Ret, Switches / 4)),
        Question.One("floor_ret_same", "ns", "by ret, both stacks in the same loop",
            () => Time(&RetSame, Switches)),
        Question.One("floor_fp", "ns", "the same, by jmp, with mxcsr and the x87 word",
            () => Time(&Fp, Switches / 4)),
    ];

    /// <summary>The floor as a yardstick for one sample: short.</summary>
    internal static double BesideSample() => Time(&Jmp, SwitchesBesideSample);

    private static double Time(delegate*<long, void> floor, long switches)
    {
        long start = Stopwatch.GetTimestamp();
        floor(switches);
        return Drive.Since(start) / switches;
    }

    [LibraryImport(Library, EntryPoint = "weft_bench_floor")]
    private static partial void Jmp(long switches);

    [LibraryImport(Library, EntryPoint = "weft_bench_floor_ret")]
    private static partial void Ret(long switches);

    [LibraryImport(Library, EntryPoint = "weft_bench_floor_same")]
    private static partial void RetSame(long switches);

    [LibraryImport(Library, EntryPoint = "weft_bench_floor_fp")]
    private static partial void Fp(long switches);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_bench_ticks")]
    internal static extern long Ticks();
}
