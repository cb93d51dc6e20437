// What Weft reserves where address space is limited (ulimit -v). Everywhere else its tables are as large as
// they could ever have to be, because address space costs nothing. Here they are a part of what the limit
// leaves: the collector's heap, threads and libraries need the rest, and fail without a message.
//
// A NativeAOT program without Weft needs some 250 MB; its collector takes half of what the limit allows.

using System.Globalization;

namespace Weft.Runtime;

internal static class AddressSpace
{
    /// <summary>Has others take less, where there is little. At the start.</summary>
    internal static void Prepare()
    {
        if (Os.AddressSpaceLimit() < Os.LittleAddressSpace)
        {
            Os.SaveAddressSpace();
        }
    }

    /// <summary>Of everything that is left, that part; or as much as there can be where nothing limits it.
    /// </summary>
    internal static nint Share(int parts)
    {
        long limit = Os.AddressSpaceLimit();
        if (limit == long.MaxValue)
        {
            return nint.MaxValue;
        }
        return (nint)(Math.Max(0, limit - InUse()) / parts);
    }

    /// <summary>Os.Reserve for what the start cannot do without.</summary>
    internal static nint Need(nint bytes)
    {
        nint address = Os.Reserve(bytes);
        return address > 0 ? address : throw new InsufficientMemoryException(
            "No address space for Weft's tables: raise ulimit -v.");
    }

    private static long InUse()
    {
        try
        {
            string pages = File.ReadAllText("/proc/self/statm").Split(' ')[0];
            return long.Parse(pages, CultureInfo.InvariantCulture) * Os.PageSize;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return 0;
        }
    }
}
