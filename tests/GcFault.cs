// A fault in raw code inside a collection, on the stack of the goroutine that asked for it. It must not
// become an exception: the goroutine would end, and the world stay stopped.

using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcFault
{
    private static nint s_null;

    internal static int Program(string[] args) => WeftHost.Run(() =>
    {
        s_null = args.Length; // 0
        GcRoots.AtNextMarking(&ReadNull);
        GC.Collect();
        return 5;
    });

    private static void ReadNull() => _ = Volatile.Read(ref *(int*)s_null);
}
