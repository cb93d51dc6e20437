using Weft;

namespace Weft.Examples;

internal static class Mended
{
    internal static void Results(Chan<int> channel, Chan<int>? none)
    {
        _ = channel.TrySend(1); // said to be meant
        _ = none?.TrySend(2);
        if (channel.TryReceive(out int value))
        {
            _ = channel.TrySend(value);
        }
    }

    internal static void Loops(WaitGroup group)
    {
        for (int i = 0; i < 10; i++)
        {
            int iCopy = i;
            // Two of them.
            Go.Run(() => Console.WriteLine(iCopy + iCopy));
            int iCopy2 = i;
            group.Go(() => Console.WriteLine(iCopy2));
        }
        for (int i = 0; i < 10; i++)
        {
            int iCopy3 = i;
            Go.Run(() => Console.WriteLine(iCopy3));
        }

        for (int i = 0, j = 10; i < j; i++, j--)
        {
            int iCopy4 = i;
            int jCopy = j;
            Go.Run(() => Console.WriteLine(iCopy4 - jCopy));
        }
    }

    internal static void Functions(WaitGroup group)
    {
        Go.Run(() => Go.Await(Task.Delay(1)));
        group.Go(() =>
        {
            int length = Go.Await(Length(Go.Await(Task.FromResult("text"))));
            Console.WriteLine(length);
        });
        Go.Run(async () => await Task.Yield()); // Nothing that Go.Await takes.
    }

    internal static void Groups(WaitGroup group)
    {
        group.Add();
        Go.Run(() =>
        {
            Console.WriteLine("work");
            group.Done();
        });
        group.Wait();
    }

    private static Task<int> Length(string text) => Task.FromResult(text.Length);
}
