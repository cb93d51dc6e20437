// The system call itself: the assembly's, or on the JIT (base/Jit.cs) that of the C library, by an ordinary
// P/Invoke, which lets collections proceed in both forms. An errno that the caller has kept is lost there.

using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Runtime;

internal static unsafe partial class Os
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Syscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f) =>
        Jit.IsOn ? JitSyscall(number, a, b, c, d, e, f) : NativeSyscall(number, a, b, c, d, e, f);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint SyscallBlocking(nint number, nint a, nint b, nint c, nint d, nint e, nint f) =>
        Jit.IsOn ? JitSyscall(number, a, b, c, d, e, f) : NativeSyscallBlocking(number, a, b, c, d, e, f);

    private static nint JitSyscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        nint result = LibcSyscall(number, a, b, c, d, e, f);
        return result == -1 ? -Marshal.GetLastPInvokeError() : result;
    }

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint LibcSyscall(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [MethodImpl(MethodImplOptions.InternalCall)]
    [RuntimeImport("*", "weft_syscall")]
    private static extern nint NativeSyscall(
        nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [DllImport("weft", EntryPoint = "weft_syscall")]
    private static extern nint NativeSyscallBlocking(
        nint number, nint a, nint b, nint c, nint d, nint e, nint f);
}
