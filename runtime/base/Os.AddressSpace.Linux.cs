// The limit on address space, and what takes less of it.

using System.Runtime;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    private const nint ResourceAddressSpace = 9;
    internal const long LittleAddressSpace = 4L * 1024 * 1024 * 1024;

    /// <summary>From now on malloc does not reserve 64 MB for each thread that uses it.</summary>
    internal static void SaveAddressSpace()
    {
        const int mostArenas = -8; // M_ARENA_MAX.
        _ = MallocOption(mostArenas, 1);
    }

    /// <summary>ulimit -v in bytes; long.MaxValue where there is none.</summary>
    internal static long AddressSpaceLimit()
    {
        long* limits = stackalloc long[2]; // The soft limit and the hard one.
        nint error = Syscall(SysPrlimit, 0, ResourceAddressSpace, 0, (nint)limits, 0, 0);
        return error < 0 || limits[0] < 0 ? long.MaxValue : limits[0];
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "mallopt")]
    private static extern int MallocOption(int name, int value);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "pthread_attr_init")]
    private static extern int PthreadAttrInit(nint* attributes);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "pthread_attr_setstacksize")]
    private static extern int PthreadAttrSetStackSize(nint* attributes, nint bytes);
}
