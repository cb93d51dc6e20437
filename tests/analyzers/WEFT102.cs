namespace Weft.Examples;

internal static class IgnoredResult
{
    internal static void Wrong(Chan<int> channel, SendChan<int> send, ReceiveChan<int> receive, Mutex mutex, Chan<int>? none)
    {
        channel.TrySend(1); // WEFT102
        send.TrySend(1); // WEFT102
        receive.TryReceive(out int value); // WEFT102
        channel.TryReceive(out _, out _); // WEFT102
        none?.TrySend(value); // WEFT102
        mutex.TryLock(); // WEFT102
        Action<int> handler = n =>
        {
            channel.TrySend(n); // WEFT102
        };
        handler(1);
        new ErrGroup().TryGo(() => { }); // WEFT102
        new Semaphore(1).TryAcquire(); // WEFT102
    }

    internal static bool Right(Chan<int> channel, Mutex mutex)
    {
        _ = channel.TrySend(1);
        if (mutex.TryLock())
        {
            mutex.Unlock();
        }
        bool got = channel.TryReceive(out int value);
        channel.TryReceive(out _, out bool closed);
        Func<int, bool> handler = n => channel.TrySend(n);
        Action<int> drop = n => channel.TrySend(n); // The value of a function.
        drop(value);
        new Dictionary<int, int>().TryAdd(1, 2);
        new Other().TrySend(1);
        return got && handler(value) && !closed;
    }

    private sealed class Other
    {
        internal bool TrySend(int value) => value > 0;
    }
}
