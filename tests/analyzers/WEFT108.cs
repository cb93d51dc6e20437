namespace Weft.Examples;

internal sealed class LostCancel
{
    private Action? _cancel;

    internal static void Wrong(Context parent, TimeSpan limit)
    {
        (Context first, _) = parent.WithCancel(); // WEFT108
        (Context second, Action cancel) = parent.WithTimeout(limit); // WEFT108
        var (third, cancelThird) = Context.Background.WithDeadline(DateTimeOffset.Now + limit); // WEFT108
        Context fourth = parent.WithTimeout(limit).Context; // WEFT108
        Work(parent.WithCancelCause().Context); // WEFT108
        (Context fifth, _) = parent.WithCancelCause(); // WEFT108
        parent.WithCancel(); // WEFT108
        Work(first);
        Work(second);
        Work(third);
        Work(fourth);
        Work(fifth);
    }

    internal Context Right(Context parent, TimeSpan limit, List<Action> cancels)
    {
        (Context first, Action cancel) = parent.WithCancel();
        try
        {
            (Context child, _) = first.WithCancel(); // Cancelled with its parent.
            Work(child);
        }
        finally
        {
            cancel();
        }
        var (second, stop) = parent.WithTimeout(limit);
        Go.Run(() =>
        {
            Work(second);
            stop();
        });
        (Context third, _cancel) = parent.WithTimeout(limit);
        Work(third);
        cancels.Add(parent.WithCancel().Cancel);
        (Context Context, Action Cancel) pair = parent.WithCancel();
        Work(pair.Context);
        pair.Cancel();
        Work(Give(parent).Context);
        return parent.WithoutCancel();
    }

    private static (Context Context, Action Cancel) Give(Context parent) => parent.WithCancel();

    private static void Work(Context context) => _ = context.Done;
}
