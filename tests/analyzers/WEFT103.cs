namespace Weft.Examples;

internal static class LoopVariable
{
    internal static async Task Wrong(WaitGroup group, ErrGroup errors)
    {
        for (int i = 0; i < 10; i++)
        {
            Go.Run(() => Console.WriteLine(i)); // WEFT103
            group.Go(() => Console.WriteLine(i)); // WEFT103
            errors.Go(token => Console.WriteLine(i)); // WEFT103
            Go.Run(() => Console.WriteLine("no variable"));
        }
        List<Task> tasks = [];
        for (int i = 0, j = 0; i < 10; i++, j += 2)
        {
            int copy = i;
            tasks.Add(Go.RunAsync(() => Console.WriteLine(copy + j))); // WEFT103
        }
        await Task.WhenAll(tasks);
        for (int i = 0; i < 10; i++)
        {
            foreach (int j in new[] { 1, 2 })
            {
                Go.Run(
                    () =>
                    {
                        Action inner = () => Console.WriteLine(i + j); // WEFT103
                        inner();
                    },
                    StackOptions.Fixed());
            }
        }
        group.Wait();
    }

    internal static async Task Right(WaitGroup group, Chan<int> channel)
    {
        for (int i = 0; i < 10; i++)
        {
            int copy = i;
            Go.Run(() => Console.WriteLine(copy));
            Go.Run(static n => Console.WriteLine(n), i);
        }
        foreach (int i in Enumerable.Range(0, 10))
        {
            Go.Run(() => Console.WriteLine(i));
        }
        for (int i = 0; i < 10; i++)
        {
            Go.Run(() => channel.Send(i)); // Over when the loop goes on.
            Console.WriteLine(channel.Receive());
        }
        for (int i = 0; i < 10; i++)
        {
            WaitGroup own = new();
            own.Go(() => Console.WriteLine(i));
            own.Wait();
            using GoScope scope = new();
            scope.Go(() => Console.WriteLine(i));
        }
        for (int i = 0; i < 10; i++)
        {
            await Go.RunAsync(() => Console.WriteLine(i));
        }
        for (int i = 0; i < 10; i++)
        {
            Go.Await(Go.RunAsync(() => Console.WriteLine(i)));
        }
        for (int i = 0; i < 10; i++)
        {
            Action here = () => Console.WriteLine(i);
            here();
        }
        Go.Run(() =>
        {
            for (int i = 0; i < 10; i++)
            {
                Console.WriteLine(i);
            }
        });
        group.Wait();
    }
}
