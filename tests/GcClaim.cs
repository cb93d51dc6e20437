// The moment between a peer's claim of a waiting goroutine and its write into that one's frame, held open:
// the goroutine is old by then, so collections pass it by, and what is written is young. Collections come
// before the write, which may give it no age back, and after it, which have to look. Nor may its stack come
// down meanwhile, which has grown and waits for long enough (stack/StackReturn.cs).

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe partial class GcClaim
{
    private const byte Oldest = 3;

    private static readonly Chan<TortureValue> s_channel = new();
    private static readonly bool[] s_reached = new bool[2];
    private static readonly bool[] s_released = new bool[2];
    private static nint s_receiver;
    private static bool s_received;

    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int Parent();

    /// <summary>0 when it went well; run with WEFTDEBUG=gcverify=1, too.</summary>
    internal static int Program(string[] args)
    {
        WaitGroup done = new();
        done.Go(Receive);
        while (Volatile.Read(ref s_receiver) == 0 || Age() != Oldest)
        {
            GC.Collect(1);
            Thread.Sleep(1);
        }
        Chan.AtHandOver = &Hold;
        Thread sender = new(() => s_channel.Send(new TortureValue(42))) { IsBackground = true };
        sender.Start();

        WaitFor(0); // Claimed.
        bool passed = Expect(Age() == 0, "the claim leaves the age");
        Goroutine* receiver = (Goroutine*)s_receiver;
        nint high = receiver->StackHigh;
        bool isStored = receiver->IsStored; // In the small build, before.
        Thread.Sleep((int)(Layout.IdleBeforeShrinkNs / 1_000_000 * 6 / 5));
        GC.Collect(0);
        GC.Collect(0);
        passed &= Expect(Age() == 0, "it got an age while its peer was about to write");
        bool stays = receiver->StackHigh == high && receiver->IsStored == isStored;
        passed &= Expect(stays, "its stack came down while its peer was about to write");
        Volatile.Write(ref s_released[0], true);

        WaitFor(1); // Written.
        GC.Collect(0);
        GC.Collect(1);
        passed &= Expect(Age() == 0, "it got an age while it was claimed");
        Volatile.Write(ref s_released[1], true);
        done.Wait();
        return passed && s_received ? 0 : 1;
    }

    private static byte Age() => GoroutineTable.Ages[GoroutineTable.NumberOf((Goroutine*)s_receiver)];

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Receive()
    {
        _ = Parent(); // Its stack grows.
        Volatile.Write(ref s_receiver, (nint)Current.Goroutine());
        TortureValue value = s_channel.Receive();
        value.Verify(42, "received");
        s_received = true;
    }

    /// <summary>The peer, with the channel's lock held.</summary>
    private static void Hold(int step)
    {
        Volatile.Write(ref s_reached[step], true);
        while (!Volatile.Read(ref s_released[step]))
        {
            Switch.PollForCollection();
            Switch.Pause();
        }
    }

    private static void WaitFor(int step)
    {
        while (!Volatile.Read(ref s_reached[step]))
        {
            Thread.Sleep(1);
        }
    }

    private static bool Expect(bool condition, string what)
    {
        if (!condition)
        {
            Console.WriteLine(what);
        }
        return condition;
    }
}
