// Grown stacks that come down again while their goroutines wait on the network. In the small build every
// collection does that, in the normal one after a second.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed unsafe partial class StackReturnTests
{
    [LibraryImport("libc", EntryPoint = "getppid")]
    private static partial int Parent();

    [Test]
    [Arguments(1)]
    [Arguments(2)]
    public void AStackThatWaitsOnTheNetworkComesDownAndEverythingOnItIsRight(int procs)
    {
        long before = StackReturn.Returns;
        string? failure = Crew.Run(procs, crew =>
        {
            List<(Conn Client, Conn Server)> pairs = [];
            int right = 0;
            for (int i = 0; i < 20; i++)
            {
                (Conn client, Conn server) pair = Loopback.Pair();
                pairs.Add(pair);
                crew.GoAndPark(ParkReason.Network, () => Wait(crew, pair.server, ref right));
            }
            GC.Collect(); // They could get ages: collections of generation 0 would pass by.
            GC.Collect();
            Go.Sleep(TimeSpan.FromMilliseconds(Layout.IdleBeforeShrinkNs / 1_000_000 * 3 / 2));
            for (int i = 0; i < 3; i++)
            {
                GC.Collect(i, GCCollectionMode.Forced, blocking: true, compacting: true);
                Crew.LetOthersRun();
                crew.Expect(StackReturn.Returns - before >= 20, $"{StackReturn.Returns - before} came down");
            }
            pairs.ForEach(pair => pair.Client.Write("x"u8));
            crew.Until(() => Volatile.Read(ref right) == 20, "all to go on");
            pairs.ForEach(pair => pair.Client.Dispose());
        });
        if (failure != null)
        {
            Assert.Fail(failure);
        }
    }

    /// <summary>Grows, then waits with references, spans and pointers to its own stack in its frames; and
    /// grows once more.</summary>
    private static void Wait(Crew crew, Conn server, ref int right)
    {
        _ = Parent();
        Span<int> numbers = stackalloc int[20];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = i * i;
        }
        string text = new('x', 10);
        int local = 17;
        int* pointer = &local;
        Inner(crew, server, numbers, ref local, text);
        crew.Equal(*pointer, 18, "through a pointer");
        crew.Equal(local, 18, "the local");
        for (int i = 0; i < numbers.Length; i++)
        {
            crew.Equal(numbers[i], i == 3 ? -1 : i * i, "number");
        }
        crew.Equal(text, "xxxxxxxxxx", "text");
        _ = Parent();
        crew.Equal(*pointer, 18, "through a pointer, after growth");
        server.Dispose();
        Interlocked.Increment(ref right);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Inner(Crew crew, Conn server, Span<int> numbers, ref int local, string text)
    {
        Span<byte> one = stackalloc byte[1];
        crew.Equal(server.Read(one), 1, "read");
        crew.Equal(one[0], (byte)'x', "byte");
        numbers[3] = -1;
        local++;
        crew.Equal(text.Length, 10, "length");
    }
}
