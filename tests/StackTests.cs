// Growth: addresses of locals stay right when the stack moves, whatever holds them.

using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Microsoft.Win32.SafeHandles;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed class StackTests
{
    private const int Doublings = 10;

    /// <summary>Runs a body in a goroutine and hands its result, or its exception, to the test.</summary>
    internal static T InGoroutine<T>(Func<T> body, StackOptions stack = default)
    {
        T result = default!;
        Exception? failure = null;
        WaitGroup done = new();
        done.Add();
        using (ExecutionContext.SuppressFlow()) // The framework's: its native call would make the stack large.
        {
            Go.Run(
                () =>
                {
                    try
                    {
                        result = body();
                    }
                    catch (Exception e)
                    {
                        failure = e;
                    }
                    done.Done();
                },
                stack);
        }
        done.Wait();
        return failure is null ? result : throw new InvalidOperationException("in the goroutine", failure);
    }

    [Test]
    public async Task RefsSpansAndLocalAddressesSurviveTenDoublings()
    {
        long sizeBefore = 0;
        long sizeAfter = 0;
        string? wrong = InGoroutine(() =>
        {
            sizeBefore = Size();
            // From 64 KB, ten doublings end at 64 MB.
            string? failure = Chain(default, 0, (Layout.SmallestLargeStack << Doublings) - (1 << 20));
            sizeAfter = Size();
            return failure;
        });

        await Assert.That(wrong).IsNull();
        await Assert.That(sizeBefore).IsLessThanOrEqualTo(Layout.SmallestLargeStack);
        await Assert.That(sizeAfter).IsGreaterThanOrEqualTo(Layout.SmallestLargeStack << (Doublings - 1));
    }

    private static unsafe long Size()
    {
        Goroutine* g = Current.Goroutine();
        return g->StackHigh - g->StackLow;
    }

    /// <summary>What a frame knows of its caller's frame: one of each way to hold an address.</summary>
    private readonly unsafe ref struct Links
    {
        internal readonly ref long Ref;
        internal readonly Span<long> Span;
        internal readonly long* Pointer;
        internal readonly int Depth;

        internal Links(ref long reference, Span<long> span, long* pointer, int depth)
        {
            Ref = ref reference;
            Span = span;
            Pointer = pointer;
            Depth = depth;
        }
    }

    /// <summary>Each frame checks its caller's local through a ref, a span and a pointer, before and after
    /// the frames below it have moved the stack.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe string? Chain(Links caller, int depth, long bytes)
    {
        Span<long> own = stackalloc long[128];
        long local = depth;
        own[depth % 128] = depth;
        if (Check(caller) is string before)
        {
            return "before: " + before;
        }
        if (bytes > 0)
        {
            Links mine = new(ref own[depth % 128], own, &local, depth);
            if (Chain(mine, depth + 1, bytes - 1300) is string below)
            {
                return below;
            }
            if (mine.Pointer != &local || !Unsafe.AreSame(ref mine.Ref, ref own[depth % 128]))
            {
                return $"depth {depth}: a link no longer is the address of its local";
            }
        }
        return Check(caller) is string after ? "after: " + after : null;
    }

    private static unsafe string? Check(Links caller)
    {
        if (caller.Pointer == null)
        {
            return null;
        }
        bool right = caller.Ref == caller.Depth
            && caller.Span[caller.Depth % 128] == caller.Depth
            && *caller.Pointer == caller.Depth;
        return right ? null : $"depth {caller.Depth}: {caller.Ref}, {*caller.Pointer}";
    }

    [Test]
    public async Task VectorRegistersThatHoldStackAddressesAreMoved()
    {
        await Assert.That(InGoroutine(Vectors)).IsTrue();
    }

    private static unsafe bool Vectors()
    {
        long value = 42;
        Vector128<long> narrow = Vector128.Create((long)&value, 7);
        Vector256<long> wide = Vector256.Create((long)&value, 1, (long)&value, 3);
        Vector512<long> widest = Vector512.Create((long)&value);
        Touch(ref narrow, ref wide, ref widest);
        return Size() >= Layout.SmallestLargeStack / 2
            && *(long*)narrow[0] == 42 && narrow[0] == (long)&value && narrow[1] == 7
            && wide[0] == (long)&value && wide[2] == (long)&value && wide[3] == 3
            && widest[5] == (long)&value;
    }

    /// <summary>Loads the vectors into registers and then touches the guard before storing them.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void Touch(
        ref Vector128<long> narrow, ref Vector256<long> wide, ref Vector512<long> widest)
    {
        Vector128<long> a = narrow;
        Vector256<long> b = wide;
        Vector512<long> c = widest;
        byte* low = (byte*)Current.Goroutine()->StackLow;
        *(low - 8) = 1; // The fault: the registers above are live across it.
        narrow = a;
        wide = b;
        widest = c;
    }

    [Test]
    public async Task FramesLargerThanAPageGrowFromTheFirstStack()
    {
        // The runtime probes such a frame page by page before it exists.
        await Assert.That(InGoroutine(Frame<Bytes5000>)).IsEqualTo(Sum(5000));
        await Assert.That(InGoroutine(Frame<Bytes20000>)).IsEqualTo(Sum(20000));
        await Assert.That(InGoroutine(Frame<Bytes200000>)).IsEqualTo(Sum(200000));
    }

    private static long Sum(int count) => Enumerable.Range(0, count).Sum(i => (long)(byte)i);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe long Frame<T>()
        where T : unmanaged
    {
        T bytes = default;
        Span<byte> span = new(&bytes, sizeof(T));
        for (int i = 0; i < span.Length; i++)
        {
            span[i] = (byte)i;
        }
        Grow(100_000);
        long sum = 0;
        foreach (byte b in span)
        {
            sum += b;
        }
        return sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int Grow(int bytes)
    {
        Span<byte> own = stackalloc byte[1024];
        own[0] = 1;
        return bytes <= 0 ? 0 : own[0] + Grow(bytes - 1100);
    }

    [InlineArray(5000)]
    private struct Bytes5000
    {
        private byte _first;
    }

    [InlineArray(20000)]
    private struct Bytes20000
    {
        private byte _first;
    }

    [InlineArray(200000)]
    private struct Bytes200000
    {
        private byte _first;
    }

    [Test]
    public async Task FormattingThatNeedsLargeFramesWorksOnANewStack()
    {
        string text = InGoroutine(() => 5e-324.ToString("E40", CultureInfo.InvariantCulture));
        string big = InGoroutine(() => BigInteger.Pow(7, 3000).ToString(CultureInfo.InvariantCulture));

        await Assert.That(text).IsEqualTo(5e-324.ToString("E40", CultureInfo.InvariantCulture));
        await Assert.That(big).IsEqualTo(BigInteger.Pow(7, 3000).ToString(CultureInfo.InvariantCulture));
    }

    // Not as they end, which would hold all others up: bit by bit, afterwards.
    [Test]
    public async Task PagesOfGoroutinesThatHaveEndedGoBackToTheSystem()
    {
        ChildResult child = ChildProcess.Run("pages-go-back");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    /// <summary>By itself: a few goroutines of others keep as many chunks.</summary>
    internal static int PagesGoBack(string[] args)
    {
        const int chunks = 64;
        return Crew.Report(2, crew =>
        {
            Chan<int> gate = new();
            WaitGroup begun = new();
            WaitGroup done = new();
            int shared = Homes.OwnPages < Layout.FreePagesKept ? 31 : 1; // So many use one of the pages kept then.
            int count = (shared * Layout.FreePagesKept) + (chunks * Layout.HomesPerChunk);
            begun.Add(count);
            for (int i = 0; i < count; i++)
            {
                done.Go(() =>
                {
                    begun.Done();
                    gate.Receive(out _);
                });
            }
            begun.Wait(); // Else one page would do for many.
            gate.Close();
            done.Wait();
            long most = Homes.FreeResident;
            crew.Until(() => !Homes.HasTooMany && !GoroutineTable.HasTooMany, "the pages to go back");
            long left = Homes.FreeResident;
            crew.Expect(left <= most - (chunks / 4 * Layout.HomesPerChunk), $"{most} free, {left} are left");
        });
    }

    // The kernel makes a huge page of every 2 MB that may be one and have a page in them, within minutes: a page
    // that stays brings back all that went.
    [Test]
    public async Task NoPageStaysInAHugeOneThatWentBack()
    {
        Skip.When(Qemu.IsHere, Qemu.FewMappings);
        ChildResult child = ChildProcess.Run("huge-pages-go-back");

        await Assert.That(child.ExitCode).IsEqualTo(0).Because(child.ToString());
    }

    internal static int HugePagesGoBack(string[] args) => Crew.Report(2, crew =>
    {
        const int count = Layout.RandomChoice ? 5_000 : 200_000; // The small build has no huge ones.
        Chan<int> gate = new();
        WaitGroup begun = new();
        WaitGroup done = new();
        begun.Add(count);
        for (int i = 0; i < count; i++)
        {
            done.Go(() =>
            {
                begun.Done();
                gate.Receive(out _);
            });
        }
        begun.Wait();
        int most = HugePagesInUse();
        gate.Close();
        done.Wait();
        crew.Until(() => !StackStore.HasTooMany && !GoroutineTable.HasTooMany, "the pages to go back");
        int left = HugePagesInUse();
        // What is kept for the next ones.
        int kept = (Layout.FreeBlocksKept * Goroutine.Size) + (Layout.FreePagesKept * StackStore.Largest);
        crew.Expect(left <= 4 + (kept / Os.HugePageSize), $"{most} huge pages were in use, {left} are");
    });

    /// <summary>How many of those that may be huge have a page.</summary>
    private static int HugePagesInUse()
    {
        int count = 0;
        using SafeFileHandle map = File.OpenHandle("/proc/self/pagemap");
        byte[] pages = new byte[Os.HugePageSize / Os.PageSize * sizeof(long)];
        long from = 0;
        long to = 0;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string first = line.Split(' ')[0];
            if (first.IndexOf('-') is > 0 and int at && line.Length > 40)
            {
                from = long.Parse(first.AsSpan(0, at), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                to = long.Parse(first.AsSpan(at + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            }
            if (first == "VmFlags:" && line.Contains(" hg"))
            {
                for (long page = from; page + Os.HugePageSize <= to; page += Os.HugePageSize)
                {
                    int length = RandomAccess.Read(map, pages, page / Os.PageSize * sizeof(long));
                    // Present, or swapped out.
                    bool any = false;
                    for (int i = sizeof(long) - 1; i < length; i += sizeof(long))
                    {
                        any |= (pages[i] & 0xc0) != 0;
                    }
                    count += any ? 1 : 0;
                }
            }
        }
        return count;
    }

    [Test]
    public async Task ANullReferenceStaysAnException()
    {
        int caught = InGoroutine(() =>
        {
            int count = 0;
            for (int i = 0; i < 100; i++)
            {
                try
                {
                    Dereference(null);
                }
                catch (NullReferenceException)
                {
                    count++;
                }
            }
            return count;
        });

        await Assert.That(caught).IsEqualTo(100);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Dereference(int[]? array) => array![0]++;

    [Test]
    public async Task DivisionByZeroStaysAnException()
    {
        int zero = 0;
        bool caught = InGoroutine(() =>
        {
            try
            {
                return 1 / zero == 2;
            }
            catch (DivideByZeroException)
            {
                return true;
            }
        });

        await Assert.That(caught).IsTrue();
    }

    [Test]
    public async Task EnsureSufficientExecutionStackPasses()
    {
        bool enough = InGoroutine(() =>
        {
            RuntimeHelpers.EnsureSufficientExecutionStack();
            return RuntimeHelpers.TryEnsureSufficientExecutionStack();
        });

        await Assert.That(enough).IsTrue();
    }

    [Test]
    public async Task AFixedStackDoesNotMove()
    {
        await Assert.That(InGoroutine(LocalStays, StackOptions.Fixed(512 * 1024))).IsTrue();
    }

    private static unsafe bool LocalStays()
    {
        int local = 0;
        nint before = (nint)(&local);
        Grow(200_000);
        File.Exists("/");
        return before == (nint)(&local);
    }

    // The upper half of one word and the lower half of the next make up an address of the stack too, where
    // it lies so that they are the same number. The next one is a pointer all the same.
    [Test]
    public async Task HalvesOfTwoPointersAreNotTakenForOne()
    {
        await Assert.That(CopyPointers()).IsEqualTo("0x234600002348 0x234600002345 0x234600002350");
    }

    private static unsafe string CopyPointers()
    {
        nint low = unchecked((nint)0x2345_0000_0000);
        const nint size = 0x10000;
        nint distance = unchecked((nint)0x1_0000_0000);
        nint old = Os.ReserveAt(low, size);
        nint copy = Os.ReserveAt(low + distance, size);
        Skip.When(old <= 0 || copy <= 0, "the addresses are in use");
        nint* words = (nint*)(low + size) - 4;
        words[0] = low + 0x2348;
        words[1] = (nint)0x2344 << 32; // Of another plane.
        words[2] = low + 0x2345;
        words[3] = low + 0x2350;
        StackGrowth.Copy((nint)words, low + size, low, distance);
        nint* moved = (nint*)((nint)words + distance);
        string text = $"0x{moved[0]:x} 0x{moved[2]:x} 0x{moved[3]:x}";
        _ = Os.Release(old, size);
        _ = Os.Release(copy, size);
        return text;
    }

    [Test]
    public async Task ABufferThatEndsInAStalePointerKeepsWhatWasWritten()
    {
        int changed = 0;
        WaitGroup done = new();
        for (int i = 0; i < 256; i++)
        {
            done.Go(() =>
            {
                Litter();
                if (!PartlyWrittenStays())
                {
                    Interlocked.Increment(ref changed);
                }
            });
        }
        done.Wait();

        await Assert.That(changed).IsEqualTo(0);
    }

    /// <summary>Leaves addresses of the stack in its dead part.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void Litter()
    {
        nint* words = stackalloc nint[100];
        for (int i = 0; i < 100; i++)
        {
            words[i] = (nint)(words + i);
        }
    }

    /// <summary>Overwrites the low four bytes of such words with data that makes them look like addresses
    /// of this stack, and lets the stack move.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe bool PartlyWrittenStays()
    {
        int* buffer = stackalloc int[100];
        uint likeAnAddress = (uint)(nint)buffer;
        for (uint i = 0; i < 100; i += 2)
        {
            buffer[i] = (int)(likeAnAddress + i);
        }
        Grow(300_000);
        bool stays = true;
        for (uint i = 0; i < 100; i += 2)
        {
            stays &= buffer[i] == (int)(likeAnAddress + i);
        }
        return stays;
    }

    [Test]
    public async Task APointerThatNativeCodeGetsIsMovedWithTheStack()
    {
        // The call grows the stack after the pointer was made, and the compiler may have spilled it to a
        // slot that is not aligned to eight bytes.
        await Assert.That(InGoroutine(() => Describe("/", 1, 2, 3))).IsEqualTo("/: directory 6");
        await Assert.That(InGoroutine(() => File.GetAttributes("/").HasFlag(FileAttributes.Directory))).IsTrue();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe string Describe(string path, int a, int b, int c)
    {
        byte* name = stackalloc byte[8];
        byte* status = stackalloc byte[256];
        name[0] = (byte)path[0];
        name[1] = 0;
        int sum = a + b + c;
        int result = Statx(-100, name, 0, 0x7ff, status);
        int mode = *(ushort*)(status + 28);
        return result == 0 && (mode & 0xf000) == 0x4000
            ? string.Create(CultureInfo.InvariantCulture, $"{path}: directory {sum}")
            : string.Create(CultureInfo.InvariantCulture, $"{result} {mode:x}");
    }

    [DllImport("libc", EntryPoint = "statx")]
    private static extern unsafe int Statx(int directory, byte* name, int flags, uint mask, byte* status);

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public async Task NativeCodeMayCallBackAndTheCallbackMayYield(int procs)
    {
        Go.MaxProcs = procs;
        WaitGroup done = new();
        int wrong = 0;
        for (int i = 0; i < 20; i++)
        {
            int seed = i;
            done.Go(() =>
            {
                if (!SortsRight(seed))
                {
                    Interlocked.Increment(ref wrong);
                }
            });
        }
        done.Wait();

        await Assert.That(wrong).IsEqualTo(0);
    }

    private static unsafe bool SortsRight(int seed) => NativeSort.SortsRight(seed, &Compare);

    [UnmanagedCallersOnly]
    private static unsafe int Compare(int* a, int* b)
    {
        Go.Yield();
        try
        {
            if (*a % 13 == 0)
            {
                Go.Yield();
                throw new InvalidOperationException();
            }
        }
        catch (InvalidOperationException)
        {
            Go.Yield();
        }
        Grow(20_000);
        return a->CompareTo(*b);
    }

    [Test]
    public async Task EndlessRecursionNamesTheGoroutineAndTheLimit()
    {
        ChildResult child = ChildProcess.Run("overflow");

        await Assert.That(child.ExitCode).IsEqualTo(128 + 6);
        await Assert.That(child.Error).StartsWith("weft: fatal: goroutine 1: stack overflow: the stack is at its limit");
        await Assert.That(child.Error.Split('\n').Length).IsEqualTo(2); // One line.
        await Assert.That(child.Error).Contains("limit 1048576 bytes");
    }

    internal static int Overflow(string[] args)
    {
        Go.MaxStack = 1 << 20;
        return WeftHost.Run(() => Endless(0));
    }

    [Test]
    public async Task AFixedStackThatIsFullSaysSo()
    {
        ChildResult child = ChildProcess.Run("overflow-fixed");

        await Assert.That(child.ExitCode).IsEqualTo(128 + 6);
        await Assert.That(child.Error).StartsWith("weft: fatal: goroutine 2: stack overflow: the fixed stack is full");
        await Assert.That(child.Error.Split('\n').Length).IsEqualTo(2);
        await Assert.That(child.Error).Contains("limit 131072 bytes");
    }

    internal static int OverflowFixed(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> never = new();
        Go.Run(() => never.Send(Endless(0)), StackOptions.Fixed(128 * 1024));
        return never.Receive();
    });

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Endless(int depth)
    {
        Span<byte> own = stackalloc byte[100];
        own[depth % 100] = 1;
        return Endless(depth + 1) + own[depth % 100];
    }

    [Test]
    public async Task GuardsWorkByProtectionToo()
    {
        Skip.When(Qemu.IsHere, "qemu: it has no guards but by protection");
        ChildResult child = ChildProcess.Run("growth", environment: new() { ["WEFT_GUARD"] = "mprotect" });

        await Assert.That(child.Output).IsEqualTo("500 mprotect\n");
        await Assert.That(child.ExitCode).IsEqualTo(0);
        await Assert.That(ChildProcess.Run("growth").Output).IsEqualTo("500 madvise\n");
    }

    internal static int Growth(string[] args) => WeftHost.Run(() =>
    {
        int done = 0;
        WaitGroup group = new();
        for (int i = 0; i < 500; i++)
        {
            group.Go(() =>
            {
                Go.Yield();
                Grow(100_000);
                Interlocked.Increment(ref done);
            });
        }
        group.Wait();
        Console.WriteLine($"{done} {(Os.GuardByProtection ? "mprotect" : "madvise")}");
    });

    [Test]
    public async Task TooManyProtectedGuardsNameTheLimitToRaise()
    {
        ChildResult child = ChildProcess.Run( // One processor: no other has free goroutines left.
            "too-many-guards",
            environment: new() { ["WEFT_GUARD"] = "mprotect", ["WEFT_MAXPROCS"] = "1" });

        await Assert.That(child.ExitCode).IsEqualTo(0);
        await Assert.That(child.Output).Contains("vm.max_map_count");
        await Assert.That(child.Output).Contains("Nothing waits for what was not started.");
    }

    [Test]
    [Arguments(400)]
    [Arguments(1000)]
    [Arguments(2000)]
    public async Task WithLittleAddressSpaceThereAreFewerGoroutines(int megabytes)
    {
        Skip.When(Qemu.IsHere, "qemu: its own memory counts too");
        ChildResult child = ChildProcess.Execute(
            "/bin/sh",
            ["-c", $"ulimit -v {megabytes * 1000}; exec \"$0\" --child little-memory", Environment.ProcessPath!]);

        await Assert.That(child.ToString()).IsEqualTo("exit code 0\n--- stdout\nright\n\n--- stderr\n");
    }

    /// <summary>At the limit a start fails with an exception, and everything else goes on.</summary>
    internal static int LittleMemory(string[] args) => WeftHost.Run(() =>
    {
        Chan<int> held = new();
        WaitGroup group = new();
        int started = 0;
        try
        {
            while (true)
            {
                group.Go(() => held.Receive());
                started++;
            }
        }
        catch (InsufficientMemoryException e) when (e.Message.Contains("ulimit -v"))
        {
        }
        Thread thread = new(() => held.Receive(out _));
        thread.Start(); // It waits with one of those that are kept for threads.
        Go.Sleep(TimeSpan.FromMilliseconds(1));
        held.Close();
        thread.Join();
        group.Wait();
        for (int i = 0; i < started / 2; i++)
        {
            group.Go(() => _ = File.ReadAllText("/proc/self/stat")); // On a stack for native code.
        }
        group.Wait();
        (Conn client, Conn server) = Loopback.Pair();
        client.WriteByte(7);
        bool right = server.ReadByte() == 7 && started > 10;
        Console.WriteLine(right ? "right" : $"{started} started");
    });

    internal static int TooManyGuards(string[] args) => WeftHost.Run(() =>
    {
        int limit = int.Parse(
            File.ReadAllText("/proc/sys/vm/max_map_count"), CultureInfo.InvariantCulture);
        Chan<int> held = new();
        WaitGroup group = new();
        try
        {
            for (int i = 0; i < limit; i++)
            {
                group.Go(() => held.Receive());
            }
            return 1;
        }
        catch (InsufficientMemoryException e)
        {
            Console.WriteLine(e.Message);
        }
        ErrGroup limited = new();
        limited.SetLimit(1);
        using GoScope scope = new();
        Action<Action>[] starts = [limited.Go, action => limited.TryGo(action), scope.Go, limited.Go];
        foreach (Action<Action> start in starts)
        {
            try
            {
                start(() => { });
                return 2;
            }
            catch (InsufficientMemoryException)
            {
            }
        }
        held.Close();
        group.Wait();
        limited.Wait();
        Console.WriteLine("Nothing waits for what was not started.");
        return 0;
    });
}
