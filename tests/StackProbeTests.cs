// Frames and stackallocs of more than a page: the code walks down to them page by page, and the stack grows on the
// way, or because the code is interrupted on the way.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class StackProbeTests
{
    private const int Deepest = 30; // Of Deeper: more than a first stack.

    private static readonly int[] s_sizes =
        [1, 1000, 4000, 4096, 5000, 8192, 12_300, 20_000, 65_536, 100_000, 300_000];

    [Test]
    public async Task AStackallocOfAnySizeGrowsTheStackFromAnyDepth()
    {
        List<string> wrong = [];
        foreach ((string name, Func<int, int> form) in Forms())
        {
            foreach (int size in s_sizes)
            {
                for (int depth = 0; depth <= Deepest; depth += size < 4096 ? 1 : 5)
                {
                    int deep = depth;
                    int sum = StackTests.InGoroutine(() => Deeper(deep, form, size));
                    int grown = StackTests.InGoroutine(() => StackTests.Grow(30_000) + form(size)) - 28;
                    if (sum != 3 || grown != 3)
                    {
                        wrong.Add($"{name}({size}) at depth {depth}: {sum}, on a grown stack {grown}");
                    }
                }
            }
        }

        await Assert.That(wrong).IsEmpty();
    }

    private static (string Name, Func<int, int> Form)[] Forms() =>
    [
        ("variable", Variable), ("cleared", Cleared), ("in a loop", InALoop), ("with a finally", WithAFinally),
        ("constant 5000", _ => Constant5000()), ("constant 20000", _ => Constant20000()),
        ("cleared 20000", _ => Cleared20000()), ("constant 300000", _ => Constant300000()),
        ("frame of 8000", _ => Frame<Bytes8000>()), ("frame of 13000", _ => Frame<Bytes13000>()),
        ("argument of 8000", _ => WithArgument<Bytes8000>()), ("argument of 13000", _ => WithArgument<Bytes13000>()),
        ("both", Both<Bytes8000>),
    ];

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int Deeper(int depth, Func<int, int> form, int size)
    {
        long here = depth;
        long* pointer = &here;
        int result = depth == 0 ? form(size) : Deeper(depth - 1, form, size);
        return *pointer == depth ? result : -1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int Ends(byte* bytes, int size)
    {
        bytes[size - 1] = 2;
        bytes[0] += 1;
        return size == 1 ? bytes[0] : bytes[0] + bytes[size - 1];
    }

    [SkipLocalsInit]
    private static unsafe int Variable(int size)
    {
        byte* bytes = stackalloc byte[size];
        bytes[0] = 0;
        return Ends(bytes, size);
    }

    private static unsafe int Cleared(int size)
    {
        byte* bytes = stackalloc byte[size];
        return Ends(bytes, size);
    }

    [SkipLocalsInit]
    private static unsafe int InALoop(int size)
    {
        int sum = 0;
        for (int i = 0; i < 3; i++)
        {
#pragma warning disable CA2014 // That it is in a loop is the point.
            byte* bytes = stackalloc byte[size];
#pragma warning restore CA2014
            bytes[0] = 0;
            sum += Ends(bytes, size);
        }
        return sum / 3;
    }

    [SkipLocalsInit]
    private static unsafe int WithAFinally(int size)
    {
        byte* bytes = stackalloc byte[size];
        bytes[0] = 0;
        int sum = 0;
        try
        {
            sum = Ends(bytes, size);
        }
        finally
        {
            sum += WithArgument<Bytes13000>() - 3;
        }
        return sum;
    }

    [SkipLocalsInit]
    private static unsafe int Constant5000()
    {
        byte* bytes = stackalloc byte[5000];
        bytes[0] = 0;
        return Ends(bytes, 5000);
    }

    [SkipLocalsInit]
    private static unsafe int Constant20000()
    {
        byte* bytes = stackalloc byte[20_000];
        bytes[0] = 0;
        return Ends(bytes, 20_000);
    }

    [SkipLocalsInit]
    private static unsafe int Constant300000()
    {
        byte* bytes = stackalloc byte[300_000];
        bytes[0] = 0;
        return Ends(bytes, 300_000);
    }

    private static int Cleared20000()
    {
        Span<byte> bytes = stackalloc byte[20_000];
        bytes[0] = 1;
        bytes[19_999] = 2;
        return bytes[0] + bytes[19_999] + bytes[10_000];
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int Frame<T>()
        where T : unmanaged
    {
        T bytes = default;
        return Ends((byte*)&bytes, sizeof(T));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int WithArgument<T>()
        where T : unmanaged
    {
        T bytes = default;
        return Ends((byte*)&bytes, sizeof(T)) == 3 ? OfArgument(bytes) : -1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe int OfArgument<T>(T bytes)
        where T : unmanaged =>
        ((byte*)&bytes)[0] + ((byte*)&bytes)[sizeof(T) - 1];

    [MethodImpl(MethodImplOptions.NoInlining)]
    [SkipLocalsInit]
    private static unsafe int Both<T>(int size)
        where T : unmanaged
    {
        T own = default;
        byte* bytes = stackalloc byte[size];
        bytes[0] = 0;
        return Ends(bytes, size) == 3 && Ends((byte*)&own, sizeof(T)) == 3 ? OfArgument(own) : -1;
    }

    [InlineArray(8000)]
    private struct Bytes8000
    {
        private byte _first;
    }

    [InlineArray(13_000)]
    private struct Bytes13000
    {
        private byte _first;
    }

    [Test]
    public async Task TheTargetOfAProbeIsKnownAtEachOfItsInstructions()
    {
        Skip.When(!Arch.IsX64, "the instructions are x64's");
        (int[] inside, int before, int after) = TargetsOfVariable();
        // gcc's at the end of the loop, gcc's at the top, clang's.
        int[] gcc = [.. OfGcc().Select(code => Target(code.Bytes, code.At))];

        await Assert.That(inside).All(register => register is >= 0 and < 16 && register == inside[0]);
        await Assert.That((before, after)).IsEqualTo((-1, -1));
        await Assert.That(string.Join(' ', gcc)).IsEqualTo("11 11 2 2 0");
    }

    [Test]
    public async Task TheTargetOfAProbeOfArm64IsFoundInTheMiddleOfIt()
    {
        // subs x2, sp, x0; b.vc; mov x2, 0; ldr wzr, [sp]; sub x1, sp, 4096; cmp x1, x2; b.lo; mov sp, x1; b
        uint[] probe =
        [
            0xeb2063e2, 0x54000047, 0xd2800002, 0xb94003ff, 0xd14007e1, 0xeb02003f, 0x54000063, 0x9100003f,
            0x17fffffb, 0x9100005f,
        ];
        uint[] others = [.. new uint[8], .. probe, .. new uint[8]];
        const int start = 8;
        List<int> found = [];
        for (int i = 0; i < probe.Length; i++)
        {
            found.Add(TargetOfArm64(others, start + i));
        }
        int before = TargetOfArm64(others, start - 1);
        int after = TargetOfArm64(others, start + probe.Length);
        others[start + 4] = 0xd1400be1; // sub x1, sp, 8192
        int another = TargetOfArm64(others, start + 3);

        await Assert.That(string.Join(' ', found)).IsEqualTo("2 2 2 2 2 2 2 2 2 2");
        await Assert.That((before, after, another)).IsEqualTo((-1, -1, -1));
    }

    [Test]
    public async Task TheTargetOfAProbeOfArm64IsFoundInCodeOfC()
    {
        // sub sp, sp, 4096; str xzr, [sp, 1024]; cmp sp, x12; b.ne
        uint[] frame = [0xd14007ff, 0xf90203ff, 0xeb2c63ff, 0x54ffffa1];
        // cmp sp, x0; b.eq; sub sp, sp, 4096; str xzr, [sp, 1024]; b
        uint[] alloca = [0xeb2063ff, 0x54000260, 0xd14007ff, 0xf90203ff, 0x17fffffc];
        // clang: sub sp, sp, 4096; cmp sp, x9; b.le; str xzr, [sp]; b
        uint[] clang = [0xd14007ff, 0xeb2963ff, 0x5400006d, 0xf90003ff, 0x17fffffc];
        // Another step; another distance.
        uint[] larger = [0xd1400bff, 0xf90203ff, 0xeb2c63ff, 0x54ffffa1];
        uint[] farther = [0xd14007ff, 0xf90203ff, 0xeb2c63ff, 0x54ffff81];

        await Assert.That(TargetsOfArm64(frame)).IsEqualTo("-1 12 12 12 12 -1");
        await Assert.That(TargetsOfArm64(alloca)).IsEqualTo("-1 0 0 0 0 0 -1");
        await Assert.That(TargetsOfArm64(clang)).IsEqualTo("-1 9 9 9 9 9 -1");
        await Assert.That(TargetsOfArm64(larger)).IsEqualTo("-1 -1 -1 -1 -1 -1");
        await Assert.That(TargetsOfArm64(farther)).IsEqualTo("-1 -1 -1 -1 -1 -1");
    }

    /// <summary>From the instruction before the loop to the one behind it.</summary>
    private static string TargetsOfArm64(uint[] loop)
    {
        uint[] code = [.. new uint[8], .. loop, .. new uint[8]];
        return string.Join(' ', Enumerable.Range(7, loop.Length + 2).Select(at => TargetOfArm64(code, at)));
    }

    private static unsafe int TargetOfArm64(uint[] code, int at)
    {
        fixed (uint* start = code)
        {
            return StackProbeArm64.TargetRegister((nint)(start + at));
        }
    }

    private static unsafe (int[] Inside, int Before, int After) TargetsOfVariable()
    {
        // add target, rsp; jc; xor; test; sub; cmp; jae; mov rsp, target
        delegate*<int, int> method = &Variable;
        ReadOnlySpan<byte> loopCode = [0x85, 0x24, 0x24, 0x48, 0x81, 0xec, 0, 0x10, 0, 0];
        nint loop = (nint)method + new ReadOnlySpan<byte>(method, 200).IndexOf(loopCode);
        int over = *(byte*)(loop - 4) == 0x72 ? 4 : 5; // From the jc to the loop.
        nint[] inside = [loop - over, loop - over + 2, loop, loop + 3, loop + 10, loop + 13];
        return (
            [.. inside.Select(StackProbe.TargetRegister)],
            StackProbe.TargetRegister(loop - over - 3),
            StackProbe.TargetRegister(loop + 15));
    }

    private static (byte[] Bytes, int At)[] OfGcc()
    {
        // sub rsp, 4096; or [rsp], 0; cmp rsp, r11; jne
        byte[] frame = [0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48, 0x83, 0x0c, 0x24, 0, 0x4c, 0x39, 0xdc, 0x75, 0xef];
        // cmp rsp, rdx; je; sub rsp, 4096; or [rsp + 4088], 0; jmp
        byte[] top =
        [
            0x48, 0x39, 0xd4, 0x74, 0x12, 0x48, 0x81, 0xec, 0, 0x10, 0, 0,
            0x48, 0x83, 0x8c, 0x24, 0xf8, 0x0f, 0, 0, 0, 0xeb, 0xe9,
        ];
        // clang: cmp rsp, rax; jle; xor [rsp], 0; sub rsp, 4096; jmp
        byte[] clang =
        [
            0x48, 0x39, 0xc4, 0x7e, 0x0e, 0x48, 0x83, 0x34, 0x24, 0, 0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0xeb, 0xed,
        ];
        return [(frame, 7), (frame, 12), (top, 12), (top, 0), (clang, 5)];
    }

    private static unsafe int Target(byte[] bytes, int at)
    {
        byte[] code = [.. bytes, .. new byte[16]];
        fixed (byte* start = code)
        {
            return StackProbe.TargetRegister((nint)start + at);
        }
    }

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task WhoIsInterruptedOnTheWayGoesOn(int procs)
    {
        int wrong = 0;
        long before = Scheduler.Preemptions;
        bool done = false;
        Thread asks = new(() =>
        {
            while (!Volatile.Read(ref done))
            {
                Scheduler.PreemptAll();
            }
        });
        asks.Start();
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < 3000 && !crew.Failed; i++)
            {
                int depth = i % 12;
                crew.Go(() => wrong += Deeper(depth, Variable, 30_000) == 3 ? 0 : 1);
                crew.Go(() => wrong += Deeper(depth, _ => Frame<Bytes13000>(), 0) == 3 ? 0 : 1);
                Go.Yield();
            }
        });
        Volatile.Write(ref done, true);
        asks.Join();

        await Assert.That(failure).IsNull();
        await Assert.That(wrong).IsEqualTo(0);
        await Assert.That(Scheduler.Preemptions - before).IsPositive();
    }
}
