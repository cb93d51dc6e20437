// Linux: handlers of signals, and the stack they run on.

using System.Runtime.CompilerServices;

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    /// <summary>Installs a raw handler for <paramref name="signal"/>, all signals masked while it runs,
    /// on the alternate stack. Gives back the handler that was there.</summary>
    internal static nint SetHandler(int signal, nint handler, out nint previous)
    {
        byte* action = stackalloc byte[152];
        byte* old = stackalloc byte[152];
        Unsafe.InitBlock(action, 0, 152);
        *(nint*)action = handler;
        Unsafe.InitBlock(action + 8, 0xff, 128);
        *(int*)(action + SigactionFlagsOffset) = SaSigInfo | SaOnStack | SaRestart;
        // Known before the new one can run, which may be at once, on another thread.
        int result = Sigaction(signal, null, old);
        previous = *(nint*)old;
        result = result == 0 ? Sigaction(signal, action, old) : result;
        previous = *(nint*)old;
        return result;
    }

    /// <summary>Whether a signal was sent to the process that no thread has taken yet.</summary>
    internal static bool IsPending(int signal)
    {
        const int block = 0;
        const int set = 2;
        const int setSize = sizeof(long);
        long mask = 1L << (signal - 1);
        long before;
        long pending = 0;
        // The kernel names those only that the caller has blocked.
        _ = Syscall(SysSignalMask, block, (nint)(&mask), (nint)(&before), setSize, 0, 0);
        _ = Syscall(SysSignalsPending, (nint)(&pending), setSize, 0, 0, 0, 0);
        _ = Syscall(SysSignalMask, set, (nint)(&before), 0, setSize, 0, 0);
        return (pending & mask) != 0;
    }

    /// <summary>Adds "run on the alternate stack" to every handler that is installed without it, those of
    /// glibc's own signals too, which its sigaction does not know. Bit n of what it returns: signal n + 1 was
    /// one of them. <paramref name="noted"/> gets that bit before the handler is changed.</summary>
    internal static long MoveHandlersToSignalStack(ref long noted)
    {
        long moved = 0;
        for (int signal = 1; signal <= LastSignal; signal++)
        {
            long bit = 1L << (signal - 1);
            moved |= MoveHandlerToSignalStack(signal, bit, ref noted) ? bit : 0;
        }
        return moved;
    }

    private static bool MoveHandlerToSignalStack(int signal, long bit, ref long noted)
    {
        KernelAction expected;
        if (Syscall(SysRtSigaction, signal, 0, (nint)(&expected), sizeof(long), 0, 0) != 0
            || !expected.LacksSignalStack)
        {
            return false;
        }
        _ = Interlocked.Or(ref noted, bit);
        KernelAction next = expected;
        while (true)
        {
            KernelAction old;
            next.Flags |= next.LacksSignalStack ? SaOnStack : 0;
            _ = Syscall(SysRtSigaction, signal, (nint)(&next), (nint)(&old), sizeof(long), 0, 0);
            if (old.Handler == expected.Handler && old.Flags == expected.Flags && old.Mask == expected.Mask)
            {
                return true;
            }
            expected = next; // Somebody has installed another meanwhile: it goes back.
            next = old;
        }
    }

    /// <summary>Whether the handler of that signal is told its number and nothing else.</summary>
    internal static bool HandlerTakesNumberOnly(int signal)
    {
        KernelAction action;
        return Syscall(SysRtSigaction, signal, 0, (nint)(&action), sizeof(long), 0, 0) == 0
            && action.IsHandler && (action.Flags & SaSigInfo) == 0;
    }

    /// <summary>What the kernel knows of a signal: not glibc's struct.</summary>
    private struct KernelAction
    {
        internal nint Handler;
        internal nint Flags;
        internal nint Restorer;
        internal long Mask;

        internal readonly bool IsHandler => Handler is not (0 or 1); // SIG_DFL, SIG_IGN

        internal readonly bool LacksSignalStack => IsHandler && (Flags & SaOnStack) == 0;
    }

    /// <summary>Makes <paramref name="bytes"/> at <paramref name="low"/> this thread's signal
    /// stack.</summary>
    internal static nint UseSignalStack(nint low, nint bytes) => SetSignalStack(low, 0, bytes);

    /// <summary>This thread has no signal stack from now on.</summary>
    internal static void ForgetSignalStack()
    {
        const int disable = 2;
        _ = SetSignalStack(0, disable, 0);
    }

    private static nint SetSignalStack(nint low, int flags, nint bytes)
    {
        nint* stack = stackalloc nint[3];
        stack[0] = low;
        stack[1] = flags;
        stack[2] = bytes;
        return Syscall(SysSigaltstack, (nint)stack, 0, 0, 0, 0, 0);
    }

    /// <summary>The smallest signal stack that the CPU's register state allows.</summary>
    internal static nint MinimumSignalStack() => (nint)GetAuxVal(51);
}
