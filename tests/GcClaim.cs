// The moment between a peer's claim of a waiting goroutine and its write into that one's frame, held open:
// the goroutine is old by then, so collections pass it by, and what is written is young. Collections come
// before the write, which may give it no age back, and after it, which have to look.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal static unsafe class GcClaim
{
    private const byte Oldest = 3;

    private static readonly Chan<TortureValue> s_channel = new();
    private static readonly bool[] s_reached = new bool[2];
    private static readonly bool[] s_released = new bool[2];
    private static nint s_receiver;
    private static bool s_received;

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
        GC.Collect(0);
        GC.Collect(0);
        passed &= Expect(Age() == 0, "it got an age while its peer was about to write");
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
