// Linux: system calls by number, so that errno stays the caller's and no libc frame, however
// large, lies on a goroutine's stack. The few libc calls are those that own state (threads, signals).

using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    internal const int SignalQuit = 3;
    internal const int SignalSegv = 11;
    internal const int SignalUrgent = 23;
    internal const int LastSignal = 64;
    internal const nint NoMemory = 12;
    internal const nint Exists = 17;
    internal const nint TimedOut = 110;
    private const nint NoChild = 10;
    internal const long NoLimit = -1;
    internal const long NoAlarm = 0;

    /// <summary>Where guards cost mappings: the guard, and what it cuts off.</summary>
    internal const long MappingsPerGuard = 2;

    private const int ProtNone = 0;
    private const int ProtReadWrite = 3;
    private const int MapPrivateAnonymousNoReserve = 0x4022;
    private const int MapFixedNoReplace = 0x100000;
    private const nint SmallThreadStack = 2 * 1024 * 1024;
    private const int AdviseDontNeed = 4;
    private const int AdviseHugePage = 14;
    private const int AdviseNoHugePage = 15;
    private const int AdviseDontDump = 16;
    private const int AdviseDump = 17;
    private const int AdviseCollapse = 25;
    private const int AdviseGuardInstall = 102;
    private const int AdviseNonsense = 0x7fff_ffff;
    private const int PidFdSelf = -10000;
    private const int FutexWaitPrivate = 128;
    private const int FutexWakePrivate = 129;
    private const int FutexWaitUntilPrivate = 137; // FUTEX_WAIT_BITSET: the time is absolute, monotonic.
    private const nint FutexMatchAny = -1;
    private const int ClockMonotonic = 1;
    private const int SaSigInfo = 4;
    private const int SaOnStack = 0x08000000;
    private const int SaRestart = 0x10000000;
    private const int SigactionFlagsOffset = 136;

    private static int s_guardByProtection;
    private static long s_mayProtect = long.MaxValue;

    /// <summary>Whether guards cost a mapping each (mprotect), because the kernel has no guard regions.
    /// Set by the first refusal, by ChooseGuards, or by WEFT_GUARD=mprotect.</summary>
    internal static bool GuardByProtection
    {
        get => s_guardByProtection != 0;
        set => s_guardByProtection = value ? 1 : 0;
    }

    /// <summary>Guards the page: which kind of guards there is, is known from here on. Where the kernel says
    /// yes to advice that does not exist, as qemu's user mode does, its yes to guards means nothing: they are
    /// made by protection.</summary>
    internal static void ChooseGuards(nint page)
    {
        if (Syscall(SysMadvise, page, PageSize, AdviseNonsense, 0, 0, 0) >= 0)
        {
            s_guardByProtection = 1;
        }
        _ = Guard(page, PageSize);
    }

    /// <summary>How many mappings GuardEach may make where guards cost them. Others, who would fail without a
    /// message, need the rest.</summary>
    internal static void LimitProtected(long mappings) => s_mayProtect = mappings;

    /// <summary>Reserves address space: readable, writable, zero, without huge pages.</summary>
    internal static nint Reserve(nint bytes)
    {
        nint address = Syscall(
            SysMmap, 0, bytes, ProtReadWrite, MapPrivateAnonymousNoReserve, -1, 0);
        if (address > 0)
        {
            _ = Syscall(SysMadvise, address, bytes, AdviseNoHugePage, 0, 0, 0);
        }
        return address;
    }

    /// <summary>The same at this address and no other; -Exists where something is there
    /// already.</summary>
    internal static nint ReserveAt(nint address, nint bytes)
    {
        nint got = Syscall(
            SysMmap, address, bytes, ProtReadWrite,
            MapPrivateAnonymousNoReserve | MapFixedNoReplace, -1, 0);
        if (got > 0 && got != address)
        {
            _ = Release(got, bytes); // Before Linux 4.17 the address is only a hint.
            return -Exists;
        }
        if (got > 0)
        {
            _ = Syscall(SysMadvise, address, bytes, AdviseNoHugePage, 0, 0, 0);
        }
        return got;
    }

    /// <summary>As many bytes as a huge page has, at a multiple of that.</summary>
    internal static nint ReserveHugePage() => ReserveAligned(HugePageSize, HugePageSize);

    /// <summary>The same at a multiple of a power of two.</summary>
    internal static nint ReserveAligned(nint bytes, nint alignment)
    {
        nint got = Reserve(bytes + alignment);
        if (got <= 0)
        {
            return got;
        }
        nint address = (got + alignment - 1) & -alignment;
        if (address > got)
        {
            _ = Release(got, address - got);
        }
        _ = Release(address + bytes, got + alignment - address);
        return address;
    }

    /// <summary>Lets the range have huge pages, where the system has any.</summary>
    internal static void AllowHugePages(nint address, nint bytes) =>
        _ = Syscall(SysMadvise, address, bytes, AdviseHugePage, 0, 0, 0);

    /// <summary>Makes it one page, if the system has any, without a change to what is in it.</summary>
    internal static void UseHugePage(nint page)
    {
        _ = Syscall(SysMadvise, page, HugePageSize, AdviseHugePage, 0, 0, 0);
        _ = Syscall(SysMadvise, page, HugePageSize, AdviseCollapse, 0, 0, 0); // Linux 6.1.
    }

    internal static nint Release(nint address, nint bytes) =>
        Syscall(SysMunmap, address, bytes, 0, 0, 0, 0);

    /// <summary>Makes pages fault on any access.</summary>
    internal static nint Guard(nint address, nint bytes)
    {
        if (s_guardByProtection == 0)
        {
            nint result = Syscall(SysMadvise, address, bytes, AdviseGuardInstall, 0, 0, 0);
            if (result == 0)
            {
                return 0;
            }
            s_guardByProtection = 1;
        }
        return Syscall(SysMprotect, address, bytes, ProtNone, 0, 0, 0);
    }

    /// <summary>Guards the first bytes of each of <paramref name="count"/> slots, in one system call where
    /// the kernel can (Linux 6.15). The buffer has two words for each slot.</summary>
    internal static nint GuardEach(nint address, nint bytes, nint stride, int count, nint* buffer)
    {
        if (s_guardByProtection == 0)
        {
            for (int i = 0; i < count; i++)
            {
                buffer[2 * i] = address + (i * stride);
                buffer[(2 * i) + 1] = bytes;
            }
            nint done = Syscall(
                SysProcessMadvise, PidFdSelf, (nint)buffer, count, AdviseGuardInstall, 0, 0);
            if (done == count * bytes)
            {
                return 0;
            }
        }
        long mappings = s_guardByProtection != 0 ? MappingsPerGuard * count : 0;
        if (Interlocked.Add(ref s_mayProtect, -mappings) < 0)
        {
            _ = Interlocked.Add(ref s_mayProtect, mappings);
            return -NoMemory;
        }
        for (int i = 0; i < count; i++)
        {
            nint error = Guard(address + (i * stride), bytes);
            if (error < 0)
            {
                _ = Interlocked.Add(ref s_mayProtect, mappings);
                return error;
            }
        }
        return 0;
    }

    /// <summary>Gives the pages back to the system; the next touch finds zeros.</summary>
    internal static nint Discard(nint address, nint bytes) =>
        Syscall(SysMadvise, address, bytes, AdviseDontNeed, 0, 0, 0);

    /// <summary>The same of as many ranges as the pairs of address and bytes say, in one system call where
    /// the kernel can.</summary>
    internal static void DiscardEach(nint* ranges, int count)
    {
        nint bytes = 0;
        for (int i = 0; i < count; i++)
        {
            bytes += ranges[(2 * i) + 1];
        }
        nint done = count == 0 ? 0
            : Syscall(SysProcessMadvise, PidFdSelf, (nint)ranges, count, AdviseDontNeed, 0, 0);
        for (int i = 0; i < count && done != bytes; i++)
        {
            _ = Discard(ranges[2 * i], ranges[(2 * i) + 1]);
        }
    }

    /// <summary>Leaves it out of core dumps: the kernel would look for each page of a reservation. Where this
    /// begins and ends a mapping does too.</summary>
    internal static void LeaveOutOfDumps(nint address, nint bytes) =>
        _ = Syscall(SysMadvise, address, bytes, AdviseDontDump, 0, 0, 0);

    /// <summary>Has it in core dumps again.</summary>
    internal static void IncludeInDumps(nint address, nint bytes) =>
        _ = Syscall(SysMadvise, address, bytes, AdviseDump, 0, 0, 0);

    /// <summary>The kernel's number of this thread.</summary>
    internal static int ThreadId() => (int)Syscall(SysGetTid, 0, 0, 0, 0, 0, 0);

    /// <summary>What tools call this thread: at most 15 bytes.</summary>
    internal static void NameThread(ReadOnlySpan<byte> name)
    {
        const int setName = 15;
        fixed (byte* text = name) // A literal: a zero byte follows.
        {
            _ = Syscall(SysPrctl, setName, (nint)text, 0, 0, 0, 0);
        }
    }

    /// <summary>Asks the kernel to let this thread run soon after it wakes, in return for short turns: of
    /// 100 us, the shortest there are. Heeded since Linux 6.12; before, it changes nothing.</summary>
    internal static void PreferShortTurns()
    {
        const int size = 48;
        const int runtimeAt = 24;
        byte* attributes = stackalloc byte[size];
        if (Syscall(SysSchedGetAttr, 0, (nint)attributes, size, 0, 0, 0) >= 0)
        {
            *(long*)(attributes + runtimeAt) = 100_000;
            _ = Syscall(SysSchedSetAttr, 0, (nint)attributes, 0, 0, 0, 0);
        }
    }

    internal static void SignalThread(int thread, int signal)
    {
        nint process = Syscall(SysGetPid, 0, 0, 0, 0, 0, 0);
        _ = Syscall(SysTgkill, process, thread, signal, 0, 0, 0);
    }

    /// <summary>Whether the process has children that have not been waited for, ended or not.</summary>
    internal static bool HasChildren()
    {
        const int all = 0;
        const int endedNoHangNoWait = 0x01000005;
        return Syscall(SysWaitId, all, 0, 0, endedNoHangNoWait, 0, 0) != -NoChild;
    }

    /// <summary>Makes a timer that sends the signal to a thread of this process: a number for SetAlarm and
    /// DeleteAlarm. IsAlarm knows its signals by the tag.</summary>
    internal static nint CreateAlarm(int thread, int signal, nint tag)
    {
        const int toThread = 4;
        const int eventSize = 64;
        byte* sigevent = stackalloc byte[eventSize];
        Unsafe.InitBlock(sigevent, 0, eventSize);
        *(nint*)sigevent = tag;
        *(int*)(sigevent + 8) = signal;
        *(int*)(sigevent + 12) = toThread;
        *(int*)(sigevent + 16) = thread;
        int timer;
        nint result = Syscall(SysTimerCreate, ClockMonotonic, (nint)sigevent, (nint)(&timer), 0, 0, 0);
        return result < 0 ? result : timer;
    }

    /// <summary>The timer goes off once, at that time of NowNs; at once if it is past; not at all with
    /// NoAlarm.</summary>
    internal static nint SetAlarm(nint timer, long untilNs)
    {
        const int absolute = 1;
        long* times = stackalloc long[4];
        times[0] = times[1] = 0; // No period.
        times[2] = untilNs / 1_000_000_000;
        times[3] = untilNs % 1_000_000_000;
        return Syscall(SysTimerSetTime, timer, absolute, (nint)times, 0, 0, 0);
    }

    internal static void DeleteAlarm(nint timer) => _ = Syscall(SysTimerDelete, timer, 0, 0, 0, 0, 0);

    /// <summary>Whether a signal, by what its handler is told, comes from an alarm with this
    /// tag.</summary>
    internal static bool IsAlarm(nint info, nint tag)
    {
        const int fromTimer = -2;
        return *(int*)(info + 8) == fromTimer && *(nint*)(info + 24) == tag;
    }

    /// <summary>Bytes of vector state that XSAVE writes on this CPU, in standard form, AMX left out. 0 on
    /// arm64, where it is saved by other means: SignalContext.</summary>
    internal static nint VectorStateSize()
    {
        if (!Arch.IsX64)
        {
            return 0;
        }
        const int extendedState = 0xd;
        const int lastUsed = 7;
        nint end = 576;
        for (int i = 2; i <= lastUsed; i++)
        {
            (int size, int offset, _, _) = System.Runtime.Intrinsics.X86.X86Base.CpuId(extendedState, i);
            end = Math.Max(end, offset + size);
        }
        return (end + 63) & ~63;
    }

    internal static nint SystemPageSize => (nint)GetAuxVal(6);

    /// <summary>Whether this arm64 processor authenticates addresses (PAC): code that signs them does so, and
    /// on others the same instructions do nothing.</summary>
    internal static bool ProcessorSignsAddresses => !Arch.IsX64 && (GetAuxVal(16) & (1 << 30)) != 0;

    /// <summary>How many processors the process's main thread may run on; 0 where that cannot be
    /// told.</summary>
    internal static int CountAllowedProcessors()
    {
        const int mostWords = 128; // 8,192 processors.
        ulong* mask = stackalloc ulong[mostWords];
        nint bytes = Syscall(
            SysSchedGetAffinity, Environment.ProcessId, mostWords * sizeof(ulong), (nint)mask, 0, 0, 0);
        int count = 0;
        for (nint i = 0; i < bytes / sizeof(ulong); i++)
        {
            count += BitOperations.PopCount(mask[i]);
        }
        return count;
    }

    internal static void SchedYield() => _ = Syscall(SysSchedYield, 0, 0, 0, 0, 0, 0);

    /// <summary>Sleeps without letting a collection proceed: for tens of microseconds only.</summary>
    internal static void Nap(long nanoseconds)
    {
        long* time = stackalloc long[2];
        time[0] = 0;
        time[1] = nanoseconds;
        _ = Syscall(SysNanosleep, (nint)time, 0, 0, 0, 0, 0);
    }

    /// <summary>Sleeps, letting collections proceed; on a system stack.</summary>
    internal static void Sleep(long nanoseconds)
    {
        long* time = stackalloc long[2];
        time[0] = 0;
        time[1] = nanoseconds;
        _ = SyscallBlocking(SysNanosleep, (nint)time, 0, 0, 0, 0, 0);
    }

    /// <summary>Sleeps while *<paramref name="word"/> is <paramref name="expected"/>, until woken. May
    /// wake without cause. Lets collections proceed; must be called on a system stack.</summary>
    internal static void WaitOnAddress(int* word, int expected) =>
        _ = WaitOnAddress(word, expected, NoLimit);

    /// <summary>The same, for that many nanoseconds at the most, or NoLimit. False when the time is
    /// up.</summary>
    internal static bool WaitOnAddress(int* word, int expected, long nanoseconds)
    {
        long* time = stackalloc long[2];
        time[0] = nanoseconds / 1_000_000_000;
        time[1] = nanoseconds % 1_000_000_000;
        nint limit = nanoseconds == NoLimit ? 0 : (nint)time;
        return SyscallBlocking(SysFutex, (nint)word, FutexWaitPrivate, expected, limit, 0, 0) != -TimedOut;
    }

    /// <summary>The same until a time of NowNs at the latest. The kernel adds the thread's timer slack,
    /// 50 us.</summary>
    internal static void WaitOnAddressUntil(int* word, int expected, long untilNs)
    {
        long* time = stackalloc long[2];
        time[0] = untilNs / 1_000_000_000;
        time[1] = untilNs % 1_000_000_000;
        _ = SyscallBlocking(
            SysFutex, (nint)word, FutexWaitUntilPrivate, expected, (nint)time, 0, FutexMatchAny);
    }

    internal static void WakeAddress(int* word, int count) =>
        _ = Syscall(SysFutex, (nint)word, FutexWakePrivate, count, 0, 0, 0);

    internal static long NowNs()
    {
        if (Jit.IsOn)
        {
            return System.Diagnostics.Stopwatch.GetTimestamp(); // The same clock, in ns.
        }
        long* time = stackalloc long[2];
        _ = ClockGetTime(ClockMonotonic, time);
        return (time[0] * 1_000_000_000) + time[1];
    }

    internal static void WriteError(byte* text, nint length) =>
        _ = Syscall(SysWrite, 2, (nint)text, length, 0, 0, 0);

    /// <summary>Ends the process at once; nothing more runs in it.</summary>
    [DoesNotReturn]
    internal static void Exit(int code)
    {
        while (true)
        {
            _ = Syscall(SysExitGroup, code, 0, 0, 0, 0, 0);
        }
    }

    [DoesNotReturn]
    internal static void Abort()
    {
        if (Jit.IsOn)
        {
            Environment.FailFast(null);
        }
        LibcAbort();
        while (true)
        {
        }
    }

    /// <summary>Starts a detached thread. Must be called on a system stack.</summary>
    internal static nint StartThread(delegate* unmanaged<nint, nint> main, nint argument)
    {
        nint thread;
        nint* attributes = stackalloc nint[8]; // A pthread_attr_t, of 56 bytes.
        nint* given = null;
        if (AddressSpaceLimit() < LittleAddressSpace
            && PthreadAttrInit(attributes) == 0 && PthreadAttrSetStackSize(attributes, SmallThreadStack) == 0)
        {
            given = attributes; // Of little address space the usual 8 MB each would be much.
        }
        int error = PthreadCreate(&thread, (nint)given, main, argument);
        if (error != 0)
        {
            return -error;
        }
        _ = PthreadDetach(thread);
        return 0;
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "clock_gettime")]
    private static extern int ClockGetTime(int clock, long* time);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "abort")]
    private static extern void LibcAbort();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "pthread_create")]
    private static extern int PthreadCreate(
        nint* thread, nint attributes, delegate* unmanaged<nint, nint> main, nint argument);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "pthread_detach")]
    private static extern int PthreadDetach(nint thread);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "sigaction")]
    private static extern int Sigaction(int signal, byte* action, byte* old);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "getauxval")]
    private static extern nuint GetAuxVal(nuint kind);
}
