namespace Weft.Examples;

internal sealed class LockOnWeft
{
    private readonly Lock _lock = new();
    private readonly object _object = new();

    internal static void Wrong(Chan<int> channel, Chan any, Mutex mutex, WaitGroup group)
    {
        lock (channel) // WEFT105
        {
        }
        lock (any) // WEFT105
        {
        }
        lock (mutex) // WEFT105
        {
        }
        lock ((object)group) // WEFT105
        {
        }
    }

    internal void Right(Mutex mutex, Conn conn)
    {
        lock (conn) // Two writes that stay together.
        {
        }
        lock (_lock)
        {
        }
        lock (_object)
        {
        }
        lock (this)
        {
        }
        mutex.Lock();
        mutex.Unlock();
    }
}
