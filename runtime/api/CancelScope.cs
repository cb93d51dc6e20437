// The tree behind Context: a scope is cancelled once, with an error and a cause, and cancels what is
// registered with it. A child that ends before its parent takes itself off the parent's list.
//
//   parent --first--> [ child scope ] <-> [ AfterFunc ] <-> [ child scope ]   guarded by the parent's _lock
//
// Cancel takes the whole list under the lock and walks it without: nobody changes the list of a scope that is
// cancelled. So no lock is held while anything else happens, and never two.
//
// Error and the closed channel must agree, whoever looks first: the error is set under the lock, then the
// channel is closed; whoever reads the error in between closes it himself.
// Locks: _lock, a leaf.

namespace Weft.Runtime;

/// <summary>What a scope tells that it is cancelled.</summary>
internal abstract class CancelListener
{
    // Guarded by the lock of the scope it is registered with; after that is cancelled, its walk's.
    internal CancelListener? Next;
    internal CancelListener? Previous;
    internal bool IsRegistered;

    /// <summary>Called once, holding no lock.</summary>
    internal abstract void OnCancel(Exception error, Exception cause);
}

internal sealed class CancelScope : CancelListener
{
    private static readonly Chan<Unit> s_closed = Closed();

    private readonly Bubble? _bubble = Bubble.OfCaller();
    private readonly CancelScope? _parent;
    private ShortLock _lock;
    private CancelListener? _first;
    private Exception? _error;
    private Exception? _cause;
    private Chan<Unit>? _done;
    private CancellationTokenSource? _source;
    private Alarm? _alarm;
    private bool _doneClosed;

    /// <summary>Makes a child of the parent, cancelled already if the parent is.</summary>
    internal CancelScope(CancelScope? parent)
    {
        _parent = parent;
        if (parent != null && !parent.Register(this))
        {
            Cancel(parent._error!, parent._cause);
        }
    }

    internal bool IsCancelled => Volatile.Read(ref _error) != null;

    /// <summary>Null until it is cancelled. When it is not null, Done is closed.</summary>
    internal Exception? Error
    {
        get
        {
            Exception? error = Volatile.Read(ref _error);
            if (error != null)
            {
                CloseDone();
            }
            return error;
        }
    }

    /// <summary>Null until it is cancelled.</summary>
    internal Exception? Cause
    {
        get
        {
            Exception? error = Error; // Its volatile read comes before that of the cause.
            return error == null ? null : _cause;
        }
    }

    internal Chan<Unit> Done
    {
        get
        {
            Chan<Unit>? done = Volatile.Read(ref _done);
            if (done != null)
            {
                return done;
            }
            Chan<Unit> closed = s_closed;
            Chan<Unit> open = new(0, _bubble); // Not that of who happens to ask first.
            _lock.Enter();
            _done ??= _error == null ? open : closed;
            done = _done;
            _lock.Exit();
            return done;
        }
    }

    internal CancellationToken Token
    {
        get
        {
            CancellationTokenSource? source = Volatile.Read(ref _source);
            if (source == null)
            {
                CancellationTokenSource made = new();
                source = Interlocked.CompareExchange(ref _source, made, null) ?? made;
            }
            if (IsCancelled) // After the exchange; pairs with the barrier in Cancel.
            {
                source.Cancel();
            }
            return source.Token;
        }
    }

    /// <summary>False when the scope is cancelled already: the caller tells the listener itself.</summary>
    internal bool Register(CancelListener listener)
    {
        _lock.Enter();
        bool open = _error == null;
        if (open)
        {
            listener.Next = _first;
            if (_first != null)
            {
                _first.Previous = listener;
            }
            _first = listener;
            listener.IsRegistered = true;
        }
        _lock.Exit();
        return open;
    }

    /// <summary>True when it was registered, and will not be told any more.</summary>
    internal bool Unregister(CancelListener listener)
    {
        _lock.Enter();
        bool found = _error == null && listener.IsRegistered;
        if (found)
        {
            if (listener.Previous == null)
            {
                _first = listener.Next;
            }
            else
            {
                listener.Previous.Next = listener.Next;
            }
            if (listener.Next != null)
            {
                listener.Next.Previous = listener.Previous;
            }
            listener.Next = null;
            listener.Previous = null;
            listener.IsRegistered = false;
        }
        _lock.Exit();
        return found;
    }

    /// <summary>How many are registered. For tests.</summary>
    internal int ListenerCount
    {
        get
        {
            int count = 0;
            _lock.Enter();
            for (CancelListener? listener = _first; listener != null; listener = listener.Next)
            {
                count++;
            }
            _lock.Exit();
            return count;
        }
    }

    /// <summary>Sets what cancels it at a time. It is cleared when the scope is cancelled.</summary>
    internal void CancelAfter(TimeSpan delay, Exception? cause, TimeProvider? provider)
    {
        Alarm alarm = new FuncAlarm(() => Cancel(Expired(), cause), provider, null);
        _lock.Enter();
        _alarm = _error == null ? alarm : null;
        _lock.Exit();
        _ = alarm.Set(delay);
        if (IsCancelled)
        {
            _ = alarm.Clear();
        }
    }

    internal static TimeoutException Expired() => new("The context's deadline has passed.");

    internal override void OnCancel(Exception error, Exception cause) => Cancel(error, cause);

    /// <summary>The first call counts. Tells all listeners, on the calling goroutine or thread; what
    /// callbacks of the CancellationToken throw comes out as an AggregateException, after all of it is
    /// done.</summary>
    internal void Cancel(Exception error, Exception? cause)
    {
        Chan<Unit> closed = s_closed;
        _lock.Enter();
        if (_error != null)
        {
            _lock.Exit();
            return;
        }
        _cause = cause ?? error;
        _done ??= closed;
        Volatile.Write(ref _error, error); // Last: who reads it without the lock uses the other two.
        CancelListener? listener = _first;
        Alarm? alarm = _alarm;
        _first = null;
        _alarm = null;
        _lock.Exit();
        CloseDone();
        _ = _parent?.Unregister(this);
        _ = alarm?.Clear();
        List<Exception>? failures = null;
        while (listener != null)
        {
            CancelListener? next = listener.Next;
            listener.Next = null;
            listener.Previous = null;
            try
            {
                listener.OnCancel(error, _cause);
            }
            catch (Exception e)
            {
                (failures ??= []).Add(e);
            }
            listener = next;
        }
        Interlocked.MemoryBarrier(); // _error was written; pairs with the exchange in Token.
        try
        {
            Volatile.Read(ref _source)?.Cancel();
        }
        catch (Exception e)
        {
            (failures ??= []).Add(e);
        }
        if (failures != null)
        {
            throw new AggregateException(failures).Flatten();
        }
    }

    private void CloseDone()
    {
        if (!Volatile.Read(ref _doneClosed))
        {
            _ = _done!.TryClose();
            Volatile.Write(ref _doneClosed, true);
        }
    }

    private static Chan<Unit> Closed()
    {
        Chan<Unit> chan = new(0, null);
        _ = chan.TryClose();
        return chan;
    }
}
