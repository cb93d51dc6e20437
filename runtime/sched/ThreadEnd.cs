// What the assembly calls where a thread ends in a way that cannot work (asm/thread_x64_sysv.S): one message,
// and the end.

namespace Weft.Runtime;

internal static unsafe class ThreadEnd
{
    /// <summary>A call into managed code after the last moment. The assembly knows the number.</summary>
    private const int TooLate = 0;

    /// <summary>Raw code, on a thread that the runtime may have forgotten.</summary>
    internal static void Fail(int why)
    {
        Fatal.Line line = new();
        if (why == TooLate)
        {
            line.Add(ApiNames.Function);
            line.Add(" was called in the last round of the destructors of a thread's pthread keys: "u8);
            line.Add("too late; earlier rounds may"u8);
        }
        else
        {
            Goroutine* g = Current.Goroutine();
            line.Add("goroutine "u8);
            line.Add(g == null ? 0 : g->Id);
            line.Add(" ends a thread by pthread_exit or pthread_cancel; "u8);
            line.Add(ApiNames.EndsThread);
        }
        line.Throw();
    }
}
