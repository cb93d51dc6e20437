// Handlers of signals that somebody installs without SA_ONSTACK, past Weft's own sigaction: by a system call,
// or from a library that found glibc's first (libweft loaded by dlopen). The kernel would push 3 KB and more
// on the stack of whatever goroutine runs.
//
//   sysmon             adds the flag, a few times a second
//   it came before     the kernel cannot push the frame and sends SIGSEGV instead, to the same instruction;
//                      the signal itself is gone. The flag is added now, and the signal sent again, if it is
//                      certain which one it was and its handler is told its number only; else one message
//
// A fault that the processor reports without an address (a general protection fault) looks the same, but that
// no handler is without the flag, or that the trap's number says so.
//
// Rejected: growing the stack for the signal (nobody knows which it was). Raw code. Locks: none.

namespace Weft.Runtime;

internal static unsafe class LateHandlers
{
    private const int SignalCode = 8; // In siginfo_t.
    private const int SentByKernel = 0x80; // SI_KERNEL
    private const nint GeneralProtection = 13;

    private static long s_moved; // Bit n: the handler of signal n + 1 was without the flag once.

    // SIGHUP is 1.
    private static ReadOnlySpan<byte> Names =>
        "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP "u8
        + "TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS "u8;

    /// <summary>Adds the flag where it is missing. Any thread.</summary>
    internal static long Move() => Os.MoveHandlersToSignalStack(ref s_moved);

    /// <summary>Whether this SIGSEGV says that there was no room for a signal on a goroutine's stack; if so,
    /// it has been dealt with. It may be another's than g, which may be null: the switch changes sp
    /// first.</summary>
    internal static bool OnSegv(Goroutine* g, nint info, nint address, SignalContext* context)
    {
        if (address != 0 || *(int*)(info + SignalCode) != SentByKernel
            || !(IsFull(g, context->Sp)
                || (context->Trap != GeneralProtection && Current.Machine() != null)))
        {
            return false;
        }
        long signals = Move();
        if (signals == 0 && context->Trap != GeneralProtection)
        {
            signals = Volatile.Read(ref s_moved); // Sysmon was faster; it notes it first.
        }
        if (signals == 0)
        {
            return false;
        }
        int signal = System.Numerics.BitOperations.TrailingZeroCount(signals) + 1;
        bool isCertain = (signals & (signals - 1)) == 0;
        if (isCertain && (IsOfInstruction(signal) || Os.HandlerTakesNumberOnly(signal)))
        {
            if (!IsOfInstruction(signal)) // Else it comes again by itself.
            {
                Os.SignalThread(Os.ThreadId(), signal);
            }
            return true;
        }
        Report(g, signals);
        return true;
    }

    private static bool IsFull(Goroutine* g, nint sp) =>
        g != null && sp >= g->StackLow - Os.PageSize && sp < g->StackHigh
            && sp - SignalContext.RedZone - Os.MinimumSignalStack() < g->StackLow;

    private static bool IsOfInstruction(int signal) => signal is 4 or 5 or 7 or 8;

    private static void Report(Goroutine* g, long signals)
    {
        Fatal.Line line = new();
        line.Add("no room for a signal on the stack of goroutine "u8);
        line.Add(g == null ? 0 : g->Id);
        line.Add(": installed without SA_ONSTACK: the handler of"u8);
        for (int signal = 1; signal <= Os.LastSignal; signal++)
        {
            if ((signals & (1L << (signal - 1))) != 0)
            {
                line.Add(" "u8);
                AddName(ref line, signal);
            }
        }
        line.Add("; install it with that flag, or before Weft starts"u8);
        line.Throw();
    }

    private static void AddName(ref Fatal.Line line, int signal)
    {
        ReadOnlySpan<byte> rest = Names;
        for (int i = 1; i < signal && !rest.IsEmpty; i++)
        {
            rest = rest[(rest.IndexOf((byte)' ') + 1)..];
        }
        if (rest.IsEmpty)
        {
            line.Add("signal "u8);
            line.Add(signal);
            return;
        }
        line.Add("SIG"u8);
        line.Add(rest[..rest.IndexOf((byte)' ')]);
    }
}
