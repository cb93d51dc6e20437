// Whether this program runs on the JIT: dotnet run, dotnet test, a debugger. Weft's assembly is not there
// then, nor the collector's hooks, so there is no scheduler either: goroutines are threads
// (sched/JitThreads.cs).
//
// IsOn is true in the IL, and false for the native compiler, which is told so by ILLink.Substitutions.xml and
// drops whatever depends on it. So it is asked in front of what only the assembly can do, also on the hottest
// paths, and costs nothing there: JitTests looks for what is left in the tests' own program.
//
// The trimmer reads the same file. So a trimmed program cannot use Weft on the JIT: the start refuses where
// flag and truth differ, and Weft.targets before that, since only NativeAOT programs are published.
//
// Rejected: RuntimeFeature.IsDynamicCodeCompiled, false under dotnet run too where a project says PublishAot.
// A second Weft.dll for the JIT: two things to keep equal, and to choose between in every build.

namespace Weft.Runtime;

internal static class Jit
{
    internal static bool IsOn => true;
}
