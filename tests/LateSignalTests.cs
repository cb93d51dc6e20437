// Handlers that others install without SA_ONSTACK while goroutines run on small stacks: what the kernel
// pushes for one does not fit there.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class LateSignalTests
{
    private const int Profile = 27; // SIGPROF: goes to a thread that computes.
    private const int OwnOfRuntime = 34; // A signal that has a handler with glibc's restorer.
    private const int RestorerFlag = 0x04000000;
    private const int RestartFlag = 0x10000000;

    /// <summary>library: by the sigaction that shared libraries find. call: by a system call. setxid: glibc's
    /// own signal, which all threads get when one changes the user.</summary>
    [Test]
    [Arguments("library")]
    [Arguments("call")]
    [Arguments("setxid")]
    public async Task AHandlerWithoutASignalStackRuns(string kind)
    {
        ChildResult child = ChildProcess.Run("late-signals", [kind], timeout: TimeSpan.FromSeconds(30));

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    /// <summary>The child program: late-signals KIND. 0 when all goroutines end as they should.</summary>
    internal static int Program(string[] args)
    {
        bool done = false;
        string? failure = Crew.Run(2, crew =>
        {
            for (int i = 0; i < 8; i++)
            {
                crew.Go(() =>
                {
                    while (!Volatile.Read(ref done))
                    {
                        for (int k = 0; k < 100; k++)
                        {
                            crew.Equal(Deep(10), 10, "the result of a function");
                        }
                        Go.Yield();
                    }
                });
            }
            crew.Thread(() =>
            {
                Disturb(args[0]);
                Volatile.Write(ref done, true);
            });
        });
        Console.Error.Write(failure);
        return failure is null ? 0 : 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int Deep(int depth)
    {
        long here = depth;
        long* pointer = &here;
        int below = depth == 0 ? 0 : Deep(depth - 1);
        return *pointer == depth ? below + (depth == 0 ? 0 : 1) : -1000;
    }

    private static unsafe void Disturb(string kind)
    {
        long start = Stopwatch.GetTimestamp();
        if (kind == "setxid")
        {
            for (int i = 0; i < 20 && Stopwatch.GetElapsedTime(start).TotalSeconds < 1; i++)
            {
                _ = SetUsers(uint.MaxValue, uint.MaxValue, uint.MaxValue); // Changes none.
            }
            return;
        }
        nint library = NativeLibrary.Load("libc.so.6");
        nint handler = NativeLibrary.GetExport(library, "abs"); // Does nothing with its number.
        byte* action = stackalloc byte[152]; // glibc's; the kernel's is the smaller one.
        Unsafe.InitBlock(action, 0, 152);
        *(nint*)action = handler;
        if (kind == "library")
        {
            // As in a shared library: the first one in the process.
            nint found = NativeLibrary.GetExport(NativeLibrary.GetMainProgramHandle(), "sigaction");
            *(int*)(action + 136) = RestartFlag;
            _ = ((delegate* unmanaged<int, byte*, nint, int>)found)(Profile, action, 0);
        }
        else
        {
            nint* known = stackalloc nint[4];
            _ = SystemCall(SetAction, OwnOfRuntime, 0, known, 8);
            ((nint*)action)[1] = (known[1] & RestorerFlag) | RestartFlag; // arm64's handlers have none.
            ((nint*)action)[2] = known[2];
            _ = SystemCall(SetAction, Profile, (nint)action, null, 8); // Before the first one comes.
        }
        long* times = stackalloc long[4];
        times[1] = times[3] = 1000; // Each millisecond of processor time.
        _ = SetTimer(2, times, 0);
        while (Stopwatch.GetElapsedTime(start).TotalMilliseconds < 300)
        {
            if (kind == "call")
            {
                _ = SystemCall(SetAction, Profile, (nint)action, null, 8);
            }
            Thread.Sleep(1);
        }
        times[1] = times[3] = 0;
        _ = SetTimer(2, times, 0);
    }

    private static nint SetAction => Arch.IsX64 ? 13 : 134; // rt_sigaction

    [DllImport("libc", EntryPoint = "setresuid")]
    private static extern int SetUsers(uint real, uint effective, uint saved);

    [DllImport("libc", EntryPoint = "setitimer")]
    private static extern unsafe int SetTimer(int which, long* times, nint old);

    [DllImport("libc", EntryPoint = "syscall")]
    private static extern unsafe nint SystemCall(nint number, nint a, nint b, nint* c, nint d);
}
