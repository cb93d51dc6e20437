using Weft;

namespace Weft.Examples;

internal static class Mended
{
    internal static void Results(Chan<int> channel, Chan<int>? none)
    {
        channel.TrySend(1); // said to be meant
        none?.TrySend(2);
        if (channel.TryReceive(out int value))
        {
            channel.TrySend(value);
        }
    }

    internal static void Loops(WaitGroup group)
    {
        for (int i = 0; i < 10; i++)
        {
            // Two of them.
            Go.Run(() => Console.WriteLine(i + i));
            group.Go(() => Console.WriteLine(i));
        }
        for (int i = 0; i < 10; i++)
            Go.Run(() => Console.WriteLine(i));
        for (int i = 0, j = 10; i < j; i++, j--)
        {
            Go.Run(() => Console.WriteLine(i - j));
        }
    }

    internal static void Functions(WaitGroup group)
    {
        Go.Run(async () => await Task.Delay(1).ConfigureAwait(false));
        group.Go(async () =>
        {
            int length = await Length(await Task.FromResult("text"));
            Console.WriteLine(length);
        });
        Go.Run(async () => await Task.Yield()); // Nothing that Go.Await takes.
    }

    internal static void Groups(WaitGroup group)
    {
        Go.Run(() =>
        {
            group.Add();
            Console.WriteLine("work");
            group.Done();
        });
        group.Wait();
    }

    private static Task<int> Length(string text) => Task.FromResult(text.Length);
}
