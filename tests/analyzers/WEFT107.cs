namespace Weft.Examples;

internal sealed class AddInside
{
    private readonly WaitGroup _group = new();

    internal void Wrong(WaitGroup group)
    {
        Go.Run(() =>
        {
            group.Add(1); // WEFT107
            Work();
            group.Done();
        });
        Go.Run(() =>
        {
            _group.Add(); // WEFT107
            try
            {
                Work();
            }
            finally
            {
                _group.Done();
            }
        });
        group.Wait();
    }

    internal static void Right(WaitGroup group)
    {
        group.Add(1);
        Go.Run(() =>
        {
            Work();
            group.Done();
        });
        group.Go(Work);
        group.Go(() =>
        {
            group.Add(1); // For the other one, which counts down.
            Go.Run(() =>
            {
                Work();
                group.Done();
            });
        });
        Go.Run(() =>
        {
            group.Add(-1);
            Work();
        });
        group.Wait();
    }

    private static void Work()
    {
    }
}
