// The assembly, typed. asm/README.md is the contract of each routine. Nothing here allocates, throws or
// is stopped by the collector.

using System.Runtime;
using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe class Switch
{
    /// <summary>Saves the caller into <paramref name="from"/> and resumes <paramref name="to"/>, both
    /// goroutines. Returns the message of the switch that resumes the caller.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_switch")]
    internal static extern Goroutine* To(
        Goroutine* from, Goroutine* to, Goroutine* message);

    /// <summary>The same without a message, for who holds a ShortLock: it is released once nothing of
    /// <paramref name="from"/> is in use any more.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_switch_unlock")]
    internal static extern Goroutine* ToAndUnlock(Goroutine* from, Goroutine* to, ref int heldLock);

    /// <summary>From a goroutine to a system stack, with a message.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_switch_to_system")]
    internal static extern Goroutine* ToSystem(
        Goroutine* from, Machine* to, Goroutine* message);

    /// <summary>The same from a system stack to a goroutine.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_switch_from_system")]
    internal static extern Goroutine* FromSystem(
        Machine* from, Goroutine* to, Goroutine* message);

    /// <summary>Builds the frame that the first switch to <paramref name="g"/> starts with.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_prepare")]
    internal static extern void Prepare(
        Goroutine* g, nint top, delegate* unmanaged<Goroutine*, Goroutine*, void> main, Goroutine* argument);

    /// <summary>Makes sure that <paramref name="bytes"/> of stack are free: no growth before them.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_reserve")]
    internal static extern void Reserve(nint bytes);

    /// <summary>Calls a function by its C address.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_call")]
    internal static extern nint Call(nint function, nint a, nint b, nint c);

    /// <summary>The same with four arguments.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_call")]
    internal static extern nint Call(nint function, nint a, nint b, nint c, nint d);

    /// <summary>Calls a raw C# function on the machine's system stack, collections shut out; in place
    /// where the caller is not a goroutine.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_call_on_system_stack")]
    internal static extern nint CallOnSystemStack(nint function, nint a, nint b);

    /// <summary>Calls a raw C# function in place, collections shut out.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_uncollected")]
    internal static extern void Uncollected(nint function, Goroutine* g, nint b);

    /// <summary>Calls a raw C# function with (sp, a), the caller's stack as it would lie if the caller had
    /// parked, and sp were its saved sp. Collections are shut out.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_as_parked")]
    internal static extern void AsParked(nint function, void* a);

    /// <summary>The offsets and addresses that the assembly was built with.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_layout")]
    internal static extern nint* Layout();

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_hook_table")]
    private static extern nint* HookTable();

    /// <summary>What asm/pauses.c notes.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_pauses")]
    internal static extern Pauses* Pauses();

    /// <summary>What asm/waits.c calls, and tells: sched/DotNetWait.cs has the fields.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_wait_hooks")]
    internal static extern void* WaitHooks();

    /// <summary>What asm/sockets.c calls: sched/SocketWait.cs has the fields.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_socket_hooks")]
    internal static extern void* SocketHooks();

    /// <summary>A byte for each signal, by its number: whether the program has a handler for it by .NET.
    /// </summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_signals_handled")]
    internal static extern byte* SignalsHandled();

    /// <summary>From here to LeaveCritical the caller is not preempted: a lock is held, or something of this
    /// machine's is being used. Nests. The end may come on another goroutine, on this machine.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void EnterCritical()
    {
        if (!Jit.IsOn)
        {
            NativeEnterCritical();
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_enter_critical")]
    private static extern void NativeEnterCritical();

    /// <summary>EnterCritical, then a try at a lock: 0 where it was free and is taken now.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_enter_lock")]
    internal static extern int EnterLock(ref int heldLock);

    /// <inheritdoc cref="EnterCritical"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void LeaveCritical()
    {
        if (!Jit.IsOn)
        {
            NativeLeaveCritical();
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_leave_critical")]
    private static extern void NativeLeaveCritical();

    /// <summary>How many of these this thread is in.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_critical")]
    internal static extern int Critical();

    /// <summary>Lets a collection that wants this thread stopped have it. Never the last call of a method:
    /// HACKING.md, trap x.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void PollForCollection()
    {
        if (!Jit.IsOn)
        {
            NativePollForCollection();
        }
    }

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "RhpGcPoll")]
    private static extern void NativePollForCollection();

    /// <summary>Makes mxcsr and the x87 control word what they are when a process starts: what managed code
    /// runs with. For what native code may have left behind.</summary>
    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_default_float")]
    internal static extern void DefaultFloat();

    /// <summary>One step of a spin loop.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Pause() => Arch.Pause();

    /// <summary>What the assembly calls: growth before native code, the report of parked stacks, and what
    /// follows when all is marked. They must be raw: static, no allocation, no throw, no lazily initialised
    /// static.</summary>
    internal static void SetHooks(
        delegate*<nint, nint, nint> grow,
        delegate*<nint, byte*, int, void> reportRoots,
        delegate*<nint, int, void> marked)
    {
        nint* hooks = HookTable();
        hooks[0] = (nint)grow;
        hooks[1] = (nint)reportRoots;
        hooks[2] = (nint)marked;
    }

    /// <summary>What a thread calls that ends in a way that cannot work: raw code that does not return; and
    /// the loop of a machine whose goroutine ended the thread.</summary>
    internal static void SetEndHooks(
        delegate*<int, void> fail, delegate* unmanaged<Machine*, Goroutine*, void> loop)
    {
        HookTable()[4] = (nint)fail;
        HookTable()[5] = (nint)loop;
    }

    /// <summary>By which a goroutine ends that ends the thread it is locked to.</summary>
    internal static void SetExitHook(delegate* unmanaged<int> exit) => HookTable()[6] = (nint)exit;

    /// <summary>What interrupted native code calls.</summary>
    internal static void SetYieldHook(delegate* unmanaged<void> yield) => HookTable()[3] = (nint)yield;

    /// <summary>What gives a thread's words of C++ exceptions, 0 while there is no C++; and what is told of
    /// each library that the base library loads.</summary>
    internal static void SetCxxHooks(nint getGlobals, delegate* unmanaged<nint, void> loaded)
    {
        HookTable()[8] = (nint)loaded;
        // Once and for all: machines keep what the first gave them.
        _ = Interlocked.CompareExchange(ref HookTable()[7], getGlobals, 0);
    }

    internal static bool HasCxx => Volatile.Read(ref HookTable()[7]) != 0;
}
