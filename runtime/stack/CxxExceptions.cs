// C++ keeps for each thread which exceptions it has caught and is not done with, and how many are on their
// way: two words, at the address that __cxa_get_globals gives. They belong to the stack that the catch blocks
// and destructors are on, so a switch keeps them with the goroutine while native code waits on it
// (asm/README.md). Here is where that function is found; a process without C++ has none, and pays a test at
// such a switch.
//
//   at the start            what the program is linked with, or has loaded
//   the base library loads  what it has loaded, with what that needs, before anybody can call it
//   sysmon                  the number of libraries has grown: a thread of its own looks, for that may wait
//                           for the loader's lock, which is held while a library's constructors run
//
// The library stays loaded from then on, because machines keep addresses of its thread-local storage.
//
// Rejected: a definition of the function of our own, which C++ libraries would find first (a host that loads
// libweft late has bound its calls by then). Not found: a C++ library linked into another one, hidden; and a
// second one in the same process (libc++ beside libstdc++).

using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe class CxxExceptions
{
    private const nint AnyLibrary = 0; // RTLD_DEFAULT
    private const int Lazy = 1;
    private const int IfLoaded = 4;
    private const int StayLoaded = 0x1000;

    private static int s_looks;
    private static ulong s_loads;

    /// <summary>Looks in the whole process. May wait for the loader's lock.</summary>
    internal static void Look()
    {
        Volatile.Write(ref s_loads, CountLoads()); // First: what is loaded meanwhile will be looked at.
        nint known = KnownAtLink();
        if (known != 0)
        {
            Switch.SetCxxHooks(known, &Loaded);
            return;
        }
        Switch.SetCxxHooks(0, &Loaded);
        if (!Use(AnyLibrary))
        {
            _ = UseOf("libstdc++.so.6\0"u8) || UseOf("libc++abi.so.1\0"u8) || UseOf("libc++.so.1\0"u8);
        }
    }

    /// <summary>Has a thread look if libraries were loaded since the last call. On sysmon's thread.</summary>
    internal static void LookIfLoaded()
    {
        if (Switch.HasCxx)
        {
            return;
        }
        if (CountLoads() != Volatile.Read(ref s_loads)
            && Interlocked.CompareExchange(ref s_looks, 1, 0) == 0
            && Os.StartThread(&LookMain, 0) != 0)
        {
            Volatile.Write(ref s_looks, 0);
        }
    }

    [UnmanagedCallersOnly]
    private static nint LookMain(nint argument)
    {
        Look();
        Volatile.Write(ref s_looks, 0);
        return 0;
    }

    /// <summary>The base library has loaded that; 0 if it could not.</summary>
    [UnmanagedCallersOnly]
    private static void Loaded(nint library)
    {
        if (library != 0 && !Switch.HasCxx)
        {
            _ = Use(library);
        }
    }

    private static bool UseOf(ReadOnlySpan<byte> name)
    {
        fixed (byte* text = name)
        {
            nint library = Open(text, Lazy | IfLoaded);
            return library != 0 && Use(library);
        }
    }

    /// <summary>Uses that library's function, if it has it.</summary>
    private static bool Use(nint library)
    {
        fixed (byte* name = "__cxa_get_globals\0"u8)
        {
            nint function = Find(library, name);
            if (function == 0)
            {
                return false;
            }
            nint* where = stackalloc nint[4]; // Dl_info; the first word is the path.
            if (Describe(function, where) != 0 && where[0] != 0)
            {
                _ = Open((byte*)where[0], Lazy | IfLoaded | StayLoaded);
            }
            Switch.SetCxxHooks(function, &Loaded);
            return true;
        }
    }

    /// <summary>How many libraries were loaded, ever.</summary>
    private static ulong CountLoads()
    {
        ulong loads = 0;
        _ = ForEachLibrary(&ReadLoads, &loads);
        return loads;
    }

    [UnmanagedCallersOnly]
    private static int ReadLoads(nint info, nint size, ulong* loads)
    {
        const int loadsAt = 32; // dlpi_adds
        *loads = *(ulong*)(info + loadsAt);
        return 1; // The first one tells.
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_cxx_globals")]
    private static extern nint KnownAtLink();

    [DllImport("weft", EntryPoint = "dlsym")]
    private static extern nint Find(nint library, byte* name);

    [DllImport("weft", EntryPoint = "dlopen")]
    private static extern nint Open(byte* name, int flags);

    [DllImport("weft", EntryPoint = "dladdr")]
    private static extern int Describe(nint address, nint* info);

    [DllImport("weft", EntryPoint = "dl_iterate_phdr")]
    private static extern int ForEachLibrary(delegate* unmanaged<nint, nint, ulong*, int> visit, ulong* data);
}
