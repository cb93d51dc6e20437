namespace Weft.Examples;

internal static class AsyncVoid
{
    internal static void Wrong(WaitGroup group, ErrGroup errors, GoScope scope)
    {
        Go.Run(async () => await Task.Delay(1)); // WEFT104
        Go.Run(async () => await Task.Delay(1), StackOptions.Fixed()); // WEFT104
        Go.Run(async n => await Task.Delay(n), 1); // WEFT104
        Go.Run(async delegate { await Task.Delay(1); }); // WEFT104
        group.Go(async () => await Task.Delay(1)); // WEFT104
        errors.Go(async () => await Task.Delay(1)); // WEFT104
        scope.Go(async token => await Task.Delay(1, token)); // WEFT104
        Go.Run(Later); // WEFT104
    }

    internal static async Task Right(WaitGroup group)
    {
        await Go.RunAsync(async () => await Task.Delay(1));
        await Go.RunAsync(async () =>
        {
            await Task.Delay(1);
            return 1;
        });
        group.Go(() => Go.Await(Task.Delay(1)));
        Go.Run(() =>
        {
            Func<Task> inner = async () => await Task.Delay(1);
            Go.Await(inner());
        });
    }

    private static async void Later() => await Task.Delay(1);
}
