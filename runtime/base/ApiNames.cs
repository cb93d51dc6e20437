// What a message calls the setting that it tells to change: by the name that the program's own language has
// for it. Raw code reads these: no static here needs a constructor.

namespace Weft.Runtime;

internal static class ApiNames
{
    private static bool s_areC;

    internal static ReadOnlySpan<byte> MaxThreads =>
        s_areC ? "weft_options.max_threads"u8 : "Go.MaxThreads"u8;

    /// <summary>The limit of a stack that grows: C has no such setting, but a kind that may be larger.
    /// </summary>
    internal static ReadOnlySpan<byte> MaxStack =>
        s_areC ? "WEFT_STACK_FIXED may have more"u8 : "Go.MaxStack"u8;

    internal static ReadOnlySpan<byte> FixedStackSize =>
        s_areC ? "weft_attr.stack_size"u8 : "StackOptions.Fixed"u8;

    internal static ReadOnlySpan<byte> Function => s_areC ? "a weft_ function"u8 : "managed code"u8;

    /// <summary>What who ends a thread that is not its own should have done.</summary>
    internal static ReadOnlySpan<byte> EndsThread => s_areC
        ? "return, or call weft_lock_thread first: it is its own then"u8
        : "return instead, or call Go.Exit"u8;

    /// <summary>The program is one of the C face.</summary>
    internal static void AreC() => Volatile.Write(ref s_areC, true);
}
