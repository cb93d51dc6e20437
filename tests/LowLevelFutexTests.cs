// Waiting on an address, as the base library does from .NET 11 on: asm/waits.c, on every version.

using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed partial class LowLevelFutexTests
{
    private const int Unheld = 0;
    private const int Held = 1;
    private const int Wanted = 2;

    [LibraryImport("weft", EntryPoint = "__wrap_SystemNative_LowLevelFutex_WaitOnAddress")]
    private static partial void WaitOn(nint address, int value);

    [LibraryImport("weft", EntryPoint = "__wrap_SystemNative_LowLevelFutex_WaitOnAddressTimeout")]
    private static partial int WaitOn(nint address, int value, int milliseconds);

    [LibraryImport("weft", EntryPoint = "__wrap_SystemNative_LowLevelFutex_WakeByAddressSingle")]
    private static partial void Wake(nint address);

    private static unsafe nint Words(int count) =>
        (nint)NativeMemory.AllocZeroed((nuint)count, sizeof(int));

    private static unsafe void Free(nint words) => NativeMemory.Free((void*)words);

    private static unsafe ref int At(nint word) => ref *(int*)word;

    // The lock that everybody makes of it: a wake-up that is lost ends it.
    [Test]
    [Arguments(1)]
    [Arguments(2)]
    [Arguments(4)]
    public async Task GoroutinesAndThreadsExcludeEachOther(int procs)
    {
        const int each = 300;
        const int workers = 8;
        nint word = Words(1);
        int count = 0;
        string? failure = Crew.Run(procs, crew =>
        {
            for (int i = 0; i < workers; i++)
            {
                bool isThread = i % 4 == 0;
                crew.Start(isThread, () =>
                {
                    for (int round = 0; round < each; round++)
                    {
                        Acquire(word, round);
                        int seen = count;
                        Go.Yield(); // On a thread: the thread.
                        count = seen + 1;
                        if (Interlocked.Exchange(ref At(word), Unheld) == Wanted)
                        {
                            Wake(word);
                        }
                    }
                });
            }
        });
        Free(word);

        await Assert.That(failure).IsNull();
        await Assert.That(count).IsEqualTo(workers * each);
    }

    // Every third time with a time-out so short that it often is over.
    private static void Acquire(nint word, int round)
    {
        if (Interlocked.CompareExchange(ref At(word), Held, Unheld) == Unheld)
        {
            return;
        }
        while (Interlocked.Exchange(ref At(word), Wanted) != Unheld)
        {
            if (round % 3 == 0)
            {
                _ = WaitOn(word, Wanted, 1);
            }
            else
            {
                WaitOn(word, Wanted);
            }
        }
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task AnotherValueDoesNotWaitAndATimeOutIsZero(bool asThread)
    {
        nint word = Words(1);
        int other = 0;
        int over = 1;
        string? failure = Crew.Run(1, crew =>
        {
            crew.Start(asThread, () =>
            {
                other = WaitOn(word, 1, 60_000);
                over = WaitOn(word, 0, 5);
                Wake(word); // Nobody's; it is not kept.
                over |= WaitOn(word, 0, 0);
            });
        });
        Free(word);

        await Assert.That(failure).IsNull();
        await Assert.That(other).IsEqualTo(1);
        await Assert.That(over).IsEqualTo(0);
    }

    // Many words, more than there are queues for them.
    [Test]
    public async Task AWakeUpIsForItsOwnAddress()
    {
        const int words = 500;
        nint first = Words(words);
        int woken = 0;
        int wrong = 0;
        string? failure = Crew.Run(2, crew =>
        {
            for (int i = 0; i < words; i++)
            {
                nint word = first + (i * sizeof(int));
                crew.Start(asThread: false, () =>
                {
                    WaitOn(word, 0);
                    wrong += Volatile.Read(ref At(word)) == 0 ? 1 : 0;
                    Interlocked.Increment(ref woken);
                });
            }
            Go.Sleep(TimeSpan.FromMilliseconds(20));
            for (int i = words - 1; i >= 0; i--)
            {
                nint word = first + (i * sizeof(int));
                Volatile.Write(ref At(word), 1);
                Wake(word);
            }
            crew.Until(() => Volatile.Read(ref woken) == words, "all to wake");
        });
        Free(first);

        await Assert.That(failure).IsNull();
        await Assert.That(wrong).IsEqualTo(0);
    }
}
