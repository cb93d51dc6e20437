// weave: Weft's sample program. It is written as any C# program would be; only the go statements,
// channels and wait groups are Weft's.

using Weft;

namespace Weave;

internal static class Program
{
    private static int Main(string[] args) =>
        WeftHost.Run(() => Commands.Run(RawArguments.Get(args)));
}
