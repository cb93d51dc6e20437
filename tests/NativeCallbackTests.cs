// Delegates that native code calls back: each is its own, although its goroutine had to wait at the entry, was
// interrupted there, and may go on in another thread.

using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class NativeCallbackTests
{
    private const int Goroutines = 8;
    private const int Calls = 10;

    // void call_after(callback, microseconds, usleep)
    private static ReadOnlySpan<byte> Code => Arch.IsX64 ? CodeOfX64 : CodeOfArm64;

    private static ReadOnlySpan<byte> CodeOfArm64 =>
    [
        0xfd, 0x7b, 0xbe, 0xa9, // stp  x29, x30, [sp, -32]!
        0xf3, 0x0b, 0x00, 0xf9, // str  x19, [sp, 16]
        0xf3, 0x03, 0x00, 0xaa, // mov  x19, x0
        0xe0, 0x03, 0x01, 0x2a, // mov  w0, w1
        0x40, 0x00, 0x3f, 0xd6, // blr  x2
        0xe0, 0x03, 0x1f, 0x2a, // mov  w0, wzr
        0x60, 0x02, 0x3f, 0xd6, // blr  x19
        0xf3, 0x0b, 0x40, 0xf9, // ldr  x19, [sp, 16]
        0xfd, 0x7b, 0xc2, 0xa8, // ldp  x29, x30, [sp], 32
        0xc0, 0x03, 0x5f, 0xd6, // ret
    ];

    private static ReadOnlySpan<byte> CodeOfX64 =>
    [
        0x53,                   // push rbx
        0x48, 0x89, 0xfb,       // mov  rbx, rdi
        0x89, 0xf7,             // mov  edi, esi
        0xff, 0xd2,             // call rdx
        0x31, 0xff,             // xor  edi, edi
        0xff, 0xd3,             // call rbx
        0x5b,                   // pop  rbx
        0xc3,                   // ret
    ];

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int Callback(int value);

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task ADelegateThatIsCalledAfterAWaitIsItsOwn(int procs)
    {
        // Longer than a call may keep its processor, so that the goroutine waits for one at the entry.
        string? failure = CallBack(procs, microseconds: 200, Calls);

        await Assert.That(failure).IsNull();
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task ADelegateThatIsCalledInAStormOfInterruptionsIsItsOwn(int procs)
    {
        bool done = false;
        Thread asks = new(() =>
        {
            while (!Volatile.Read(ref done))
            {
                Scheduler.PreemptAll();
            }
        });
        asks.Start();
        string? failure = CallBack(procs, microseconds: 0, 2000);
        Volatile.Write(ref done, true);
        asks.Join();

        await Assert.That(failure).IsNull();
    }

    private static unsafe string? CallBack(int procs, uint microseconds, int calls)
    {
        nint code = Map(0, 4096, 3, 0x22, -1, 0); // To read and write, private, of no file.
        Code.CopyTo(new Span<byte>((void*)code, 4096));
        int error = Protect(code, 4096, 5); // To read and execute.
        nint library = NativeLibrary.Load("libc.so.6");
        var callAfter = (delegate* unmanaged<nint, uint, nint, void>)code;
        nint wait = NativeLibrary.GetExport(library, microseconds == 0 ? "sched_yield" : "usleep");
        string? failure = Crew.Run(procs, crew =>
        {
            crew.Equal(error, 0, "the error of mprotect");
            for (int i = 0; i < Goroutines; i++)
            {
                int id = i;
                crew.Go(() =>
                {
                    int called = 0;
                    Callback callback = _ => called = id + 1;
                    nint function = Marshal.GetFunctionPointerForDelegate(callback);
                    for (int call = 0; call < calls && !crew.Failed; call++)
                    {
                        called = 0;
                        callAfter(function, microseconds, wait);
                        crew.Equal(called, id + 1, "whose delegate was called");
                    }
                    GC.KeepAlive(callback);
                });
            }
        });
        _ = Unmap(code, 4096);
        return failure;
    }

    [DllImport("libc", EntryPoint = "mmap")]
    private static extern nint Map(nint address, nint bytes, int protection, int flags, int file, nint offset);

    [DllImport("libc", EntryPoint = "mprotect")]
    private static extern int Protect(nint address, nint bytes, int protection);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int Unmap(nint address, nint bytes);
}
