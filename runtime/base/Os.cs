// What an operating system must provide, and the one place that lists it. Each Os.<system>.cs is only
// the backend. Results are >= 0 or -errno; nothing here allocates, throws, or waits for the collector,
// except where said, so all of it may be called from a signal handler and on a 2 KB stack.
//
//   memory    Reserve (address space, zero pages on first touch), Guard (no access, cheap when the kernel
//             can), Discard (give pages back, keep the addresses), ReserveHugePage, UseHugePage
//   threads   StartThread, PreferShortTurns (to be run soon after waking), SchedYield, Nap (a short sleep
//             that delays a collection: 100 us at most), WaitOnAddress, WaitOnAddressUntil (long: let
//             collections proceed), WakeAddress
//   time      NowNs (monotonic)
//   signals   SetHandler, UseSignalStack, SignalThread; CreateAlarm and SetAlarm (a signal at a time)
//   the rest  WriteError, Abort, HasChildren

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    /// <summary>Bytes of a page: the unit of guards and of Discard.</summary>
    internal const int PageSize = 4096;

    /// <summary>Bytes of a huge page, and its alignment.</summary>
    internal const int HugePageSize = 2 * 1024 * 1024;
}
