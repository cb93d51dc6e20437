// Linux: the numbers of its system calls. Those of x64 are its own; arm64 has the numbers that all newer
// processors have, and not those calls that a newer one can do as well: only the newer ones are here.

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    private static nint SysRead => Arch.IsX64 ? 0 : 63;
    private static nint SysWrite => Arch.IsX64 ? 1 : 64;
    private static nint SysClose => Arch.IsX64 ? 3 : 57;
    private static nint SysFstat => Arch.IsX64 ? 5 : 80;
    private static nint SysMmap => Arch.IsX64 ? 9 : 222;
    private static nint SysMprotect => Arch.IsX64 ? 10 : 226;
    private static nint SysMunmap => Arch.IsX64 ? 11 : 215;
    private static nint SysRtSigaction => Arch.IsX64 ? 13 : 134;
    private static nint SysSignalMask => Arch.IsX64 ? 14 : 135;
    private static nint SysReadAt => Arch.IsX64 ? 17 : 67;
    private static nint SysWriteAt => Arch.IsX64 ? 18 : 68;
    private static nint SysWritev => Arch.IsX64 ? 20 : 66;
    private static nint SysSchedYield => Arch.IsX64 ? 24 : 124;
    private static nint SysMadvise => Arch.IsX64 ? 28 : 233;
    private static nint SysNanosleep => Arch.IsX64 ? 35 : 101;
    private static nint SysGetPid => Arch.IsX64 ? 39 : 172;
    private static nint SysSendFile => Arch.IsX64 ? 40 : 71;
    private static nint SysSocket => Arch.IsX64 ? 41 : 198;
    private static nint SysConnect => Arch.IsX64 ? 42 : 203;
    private static nint SysSendTo => Arch.IsX64 ? 44 : 206;
    private static nint SysRecvFrom => Arch.IsX64 ? 45 : 207;
    private static nint SysShutdown => Arch.IsX64 ? 48 : 210;
    private static nint SysBind => Arch.IsX64 ? 49 : 200;
    private static nint SysListen => Arch.IsX64 ? 50 : 201;
    private static nint SysGetSockName => Arch.IsX64 ? 51 : 204;
    private static nint SysGetPeerName => Arch.IsX64 ? 52 : 205;
    private static nint SysSetSockOpt => Arch.IsX64 ? 54 : 208;
    private static nint SysGetSockOpt => Arch.IsX64 ? 55 : 209;
    private static nint SysFcntl => Arch.IsX64 ? 72 : 25;
    private static nint SysFsync => Arch.IsX64 ? 74 : 82;
    private static nint SysSignalsPending => Arch.IsX64 ? 127 : 136;
    private static nint SysSigaltstack => Arch.IsX64 ? 131 : 132;
    private static nint SysPrctl => Arch.IsX64 ? 157 : 167;
    private static nint SysGetTid => Arch.IsX64 ? 186 : 178;
    private static nint SysFutex => Arch.IsX64 ? 202 : 98;
    private static nint SysSchedGetAffinity => Arch.IsX64 ? 204 : 123;
    private static nint SysTimerCreate => Arch.IsX64 ? 222 : 107;
    private static nint SysTimerSetTime => Arch.IsX64 ? 223 : 110;
    private static nint SysTimerDelete => Arch.IsX64 ? 226 : 111;
    private static nint SysExitGroup => Arch.IsX64 ? 231 : 94;
    private static nint SysEpollControl => Arch.IsX64 ? 233 : 21;
    private static nint SysTgkill => Arch.IsX64 ? 234 : 131;
    private static nint SysWaitId => Arch.IsX64 ? 247 : 95;
    private static nint SysOpenAt => Arch.IsX64 ? 257 : 56;
    private static nint SysUnlinkAt => Arch.IsX64 ? 263 : 35;
    private static nint SysPpoll => Arch.IsX64 ? 271 : 73;
    private static nint SysEpollPwait => Arch.IsX64 ? 281 : 22;
    private static nint SysAccept4 => Arch.IsX64 ? 288 : 242;
    private static nint SysEventFd2 => Arch.IsX64 ? 290 : 19;
    private static nint SysEpollCreate1 => Arch.IsX64 ? 291 : 20;
    private static nint SysPrlimit => Arch.IsX64 ? 302 : 261;
    private static nint SysSchedSetAttr => Arch.IsX64 ? 314 : 274;
    private static nint SysSchedGetAttr => Arch.IsX64 ? 315 : 275;

    // Newer calls have one number everywhere.
    private static nint SysProcessMadvise => 440;
    private static nint SysEpollPwait2 => 441;
}
