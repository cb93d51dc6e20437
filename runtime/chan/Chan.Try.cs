// The forms that never wait, for timers and contexts. They run in the scheduler's loop too, and under the
// short lock of a timer.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft;

public sealed unsafe partial class Chan<T>
{
    /// <summary>Sends the value if a receiver waits or the buffer has room. False, also on a closed channel,
    /// when it was not sent.</summary>
    internal bool TrySend(T value)
    {
        _lock.Enter();
        Waiter* receiver = _closed ? null : _receivers.Dequeue();
        if (receiver != null)
        {
            Unsafe.AsRef<T>(receiver->Slot) = value;
            receiver->Success = true;
            _lock.Exit();
            Scheduler.Ready(receiver->Goroutine);
            return true;
        }
        bool room = !_closed && _count < Capacity;
        if (room)
        {
            Append(value);
        }
        _lock.Exit();
        return room;
    }

    /// <summary>Receives a value if one is there; false also when the channel is closed and
    /// drained.</summary>
    internal bool TryReceive(out T value)
    {
        Unsafe.SkipInit(out value);
        T element = default!;
        _lock.Enter();
        bool ready = _count > 0 || !_senders.IsEmpty;
        if (!ready)
        {
            _lock.Exit();
            value = element;
            return false;
        }
        bool received = TakeReady(ref element);
        value = element;
        return received;
    }

    /// <summary>Close without the exception: false when it is closed already.</summary>
    internal bool TryClose()
    {
        _lock.Enter();
        if (_closed)
        {
            _lock.Exit();
            return false;
        }
        FinishClose();
        return true;
    }
}
