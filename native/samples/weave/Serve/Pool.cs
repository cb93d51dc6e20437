using Mutex = Weft.Mutex;

namespace Weave.Serve;

/// <summary>Objects that are costly to make, for whoever needs one for a while. (ArrayPool keeps some
/// for each thread, which with Weft is each goroutine.)</summary>
internal sealed class Pool<T>(Func<T> make, int most)
    where T : class
{
    private readonly Mutex _lock = new();
    private readonly T[] _free = new T[most];
    private int _count;

    internal T Take()
    {
        _lock.Lock();
        T? found = _count > 0 ? _free[--_count] : null;
        _lock.Unlock();
        return found ?? make();
    }

    internal void Give(T item)
    {
        _lock.Lock();
        if (_count < most)
        {
            _free[_count++] = item;
        }

        _lock.Unlock();
    }
}
