// An open descriptor: who uses it in which direction, how an operation waits, and when it is closed.
//
//   operation   Enter(direction): not closed? not in use? then it is ours, and counts as a reference
//               try; -EAGAIN: Scheduler.WaitNetwork; try again
//               Leave: the next in line gets the direction, or the reference ends
//   Close       no more Enter; who waits in line, or on the network, is told; when the last reference ends,
//               the descriptor is closed; Close returns after that, so that its port is free
//
// So a number is never closed while an operation is using it, and nobody reads from a descriptor that has
// got the number since. Go: internal/poll.FD with its fdMutex.
//
// Results are >= 0, -errno, or one of the four at the end: an exception is made by the public classes only.
//
// A read that got less than it had room for has emptied a TCP connection. The next read waits first, and
// saves the call that would fail: what arrives after the short read is reported anew. Where the peer has
// closed, or there is urgent data, a short read says nothing; the poll record remembers that. Seen in Tokio
// too. Nothing but TCP: a unix socket's read ends where a descriptor was sent along, a pipe's with a packet,
// a terminal's with a line.
//
// Rejected: SafeHandle (it closes when the last operation ends, but wakes nobody); a compare-exchange on
// one word as in Go (three lines of lock are as fast here, and can be read).
// Locks: _lock, before the poll record's.

using System.Diagnostics.CodeAnalysis;
using Microsoft.Win32.SafeHandles;
using Weft.Runtime;

namespace Weft;

/// <summary>What a descriptor is, as far as reads and writes differ.</summary>
internal enum DescriptorKind
{
    /// <summary>Streams of any kind, and what is only waited for.</summary>
    Other,
    Tcp,

    /// <summary>A socket whose writes are messages, empty ones too.</summary>
    Datagrams,

    /// <summary>A socket in blocking mode, which others share.</summary>
    SharedSocket,
}

internal sealed unsafe partial class Descriptor : IParkLock
{
    internal const nint ErrorClosed = -10001;
    internal const nint ErrorExpired = -10002;
    internal const nint ErrorCancelled = -10003;

    private readonly int _fd;
    private readonly bool _restoreBlocking;
    private readonly PollDescriptor* _pd; // Null: it cannot be waited for, and each call may block.
    private readonly SafeFileHandle? _owner; // Closed with it.
    private readonly bool _isOwners; // The number is the owner's, too.

    private ShortLock _lock;
    private Side _read;  // Under _lock, but for Drained, which is the holder's.
    private Side _write; // The same.
    private WaitQueue _closers; // Under _lock.
    private int _references = 1;
    private bool _closed;
    private bool _destroyed;

    private struct Side
    {
        internal bool Held;
        internal bool Drained;
        internal WaitQueue Line;
        internal DeadlineTimer? Deadline;
        internal Cancellation? Holder;
    }

    private Descriptor(
        int fd, PollDescriptor* pd, DescriptorKind kind, bool restoreBlocking, SafeFileHandle? owner)
    {
        _fd = fd;
        _pd = pd;
        Kind = kind;
        _restoreBlocking = restoreBlocking;
        if (restoreBlocking)
        {
            AppDomain.CurrentDomain.ProcessExit += RestoreBlocking;
        }
        _owner = owner;
        _isOwners = owner != null && (int)owner.DangerousGetHandle() == fd;
    }

    /// <summary>One that nobody closed.</summary>
    ~Descriptor() => Close();

    internal int Number => _fd;

    internal DescriptorKind Kind { get; }

    internal bool IsClosed => Volatile.Read(ref _closed);

    internal bool CanWait => _pd != null;

    /// <summary>Takes over an open descriptor that does not block. On failure -errno, and it stays the
    /// caller's.</summary>
    internal static nint Open(
        int fd, DescriptorKind kind, bool mayBlock, bool restoreBlocking, SafeFileHandle? owner,
        out Descriptor descriptor)
    {
        descriptor = null!;
        Scheduler.EnsureStarted();
        nint error = Scheduler.StartNetpoll();
        if (error < 0)
        {
            return error;
        }
        PollDescriptor* pd = PollTable.Take();
        if (pd == null)
        {
            return -Posix.ENOMEM;
        }
        error = Netpoll.Add(fd, pd);
        if (error == -Posix.EEXIST)
        {
            SocketWait.Leave(fd); // A call of the base library's has waited on it.
            error = Netpoll.Add(fd, pd);
        }
        if (error < 0)
        {
            _ = pd->Close();
            PollTable.Give(pd);
            pd = null;
            if (!mayBlock || error != -Posix.EPERM)
            {
                return error;
            }
        }
        descriptor = new Descriptor(fd, pd, kind, restoreBlocking, owner);
        return 0;
    }

    void IParkLock.Unlock() => _lock.Exit();

    /// <summary>Closes it. False when somebody has already. Returns when the number is free.</summary>
    [SuppressMessage("Usage", "CA1816", Justification = "It is this class's Dispose.")]
    internal bool Close()
    {
        ReadyAllOf list = default;
        _lock.Enter();
        if (_closed)
        {
            _lock.Exit();
            return false;
        }
        Volatile.Write(ref _closed, true);
        list.Add(_read.Line.DequeueAll());
        list.Add(_write.Line.DequeueAll());
        _lock.Exit();
        GC.SuppressFinalize(this);
        list.Ready();
        if (_pd != null)
        {
            Scheduler.ReadyAll(_pd->Close());
        }
        Release();
        if (_pd != null)
        {
            WaitUntilDestroyed();
        }
        return true;
    }

    /// <summary>Sets when waiting ends: a time of Os.NowNs, or Never. False when it is closed.</summary>
    internal nint SetDeadline(PollMode mode, long when)
    {
        if (!AddReference())
        {
            return ErrorClosed;
        }
        try
        {
            if (_pd == null)
            {
                return -Posix.EOPNOTSUPP;
            }
            ref Side side = ref SideOf(mode);
            DeadlineTimer? timer = Volatile.Read(ref side.Deadline);
            if (timer == null && when != TimerNode.Never)
            {
                DeadlineTimer made = new(_pd, mode);
                timer = Interlocked.CompareExchange(ref side.Deadline, made, null) ?? made;
            }
            timer?.Set(when);
            return 0;
        }
        finally
        {
            Release();
        }
    }

    /// <summary>Keeps it open for a call that does not wait. False when it is closed.</summary>
    internal bool AddReference()
    {
        _lock.Enter();
        bool open = !_closed;
        _references += open ? 1 : 0;
        _lock.Exit();
        return open;
    }

    internal void Release()
    {
        _lock.Enter();
        bool last = --_references == 0;
        _lock.Exit();
        if (last)
        {
            Destroy();
        }
    }

    private ref Side SideOf(PollMode mode) => ref (mode == PollMode.Read ? ref _read : ref _write);

    /// <summary>Takes the direction, waiting in line for it.</summary>
    private nint Enter(PollMode mode, Cancellation? cancellation)
    {
        _lock.Enter();
        ref Side side = ref SideOf(mode);
        nint refused = _closed ? ErrorClosed : cancellation is { IsCancelled: true } ? ErrorCancelled : 0;
        if (refused == 0 && !side.Held)
        {
            side.Held = true;
            side.Holder = cancellation;
            _references++;
        }
        else if (refused == 0)
        {
            return WaitInLine(ref side, cancellation); // It leaves the lock.
        }
        _lock.Exit();
        return refused;
    }

    /// <summary>The same for an operation that does not wait: -EAGAIN when the direction is in use, has an
    /// end, or cannot be tried.</summary>
    private nint TryEnter(PollMode mode)
    {
        _lock.Enter();
        ref Side side = ref SideOf(mode);
        bool free = !_closed && !side.Held && _pd != null && _pd->State(mode) == PollResult.Ready;
        if (free)
        {
            side.Held = true;
            _references++;
        }
        _lock.Exit();
        return free ? 0 : -Posix.EAGAIN;
    }

    private nint WaitInLine(ref Side side, Cancellation? cancellation)
    {
        _lock.Exit();
        Goroutine* g = Scheduler.EnterWait(); // May throw, so not under the lock.
        Waiter* waiter = Goroutine.WaiterOf(g);
        _lock.Enter();
        nint result = _closed ? ErrorClosed : cancellation is { IsCancelled: true } ? ErrorCancelled : 0;
        if (result != 0 || !side.Held)
        {
            if (result == 0)
            {
                side.Held = true;
                side.Holder = cancellation;
                _references++;
            }
            _lock.Exit();
            Scheduler.LeaveWait(g);
            return result;
        }
        waiter->Goroutine = g;
        waiter->Result = WaitResult.Woken; // By Close, unless somebody says otherwise.
        side.Line.Enqueue(waiter);
        if (cancellation != null)
        {
            cancellation.Waiter = waiter;
        }
        Goroutine.ParkObject(g) = this;
        Scheduler.Park(g, &ParkLock.Release, null, ParkReason.Network);
        Goroutine.ParkObject(g) = null;
        result = waiter->Result switch
        {
            WaitResult.Given => 0,
            WaitResult.Cancelled => ErrorCancelled,
            _ => ErrorClosed,
        };
        Scheduler.LeaveWait(g);
        if (cancellation != null)
        {
            LeaveLine(ref side, cancellation, hasTurn: result == 0);
        }
        return result;
    }

    /// <summary>Its place in line is no more. If it was handed the direction, its token ends from now on what
    /// it does with that.</summary>
    private void LeaveLine(ref Side side, Cancellation cancellation, bool hasTurn)
    {
        _lock.Enter();
        cancellation.Waiter = null; // Others use the waiter from now on.
        if (hasTurn)
        {
            side.Holder = cancellation;
            if (cancellation.IsCancelled && _pd != null)
            {
                _ = _pd->Cancel(cancellation.Mode, true); // Nobody waits: we would.
            }
        }
        _lock.Exit();
    }

    /// <summary>Ends the use of the direction. No waiter's cancellation is left in the poll record.</summary>
    private void Leave(PollMode mode)
    {
        Goroutine* next = null;
        bool last = false;
        _lock.Enter();
        ref Side side = ref SideOf(mode);
        if (side.Holder != null)
        {
            side.Holder = null;
            if (_pd != null)
            {
                _ = _pd->Cancel(mode, false);
            }
        }
        if (side.Line.IsEmpty)
        {
            side.Held = false;
            last = --_references == 0;
        }
        else
        {
            Waiter* waiter = side.Line.Dequeue();
            waiter->Result = WaitResult.Given; // Direction and reference are its now.
            next = waiter->Goroutine;
        }
        _lock.Exit();
        if (next != null)
        {
            Scheduler.Ready(next);
        }
        if (last)
        {
            Destroy();
        }
    }

    /// <summary>Nobody uses it and nobody can: it is closed. On whatever thread the last user was.</summary>
    private void Destroy()
    {
        Check.Always(_closed, "descriptor: the last reference ends before the close"u8);
        PollDescriptor* pd = _pd;
        if (pd != null)
        {
            _read.Deadline?.Clear();
            _write.Deadline?.Clear();
            _ = Netpoll.Remove(_fd);
            PollTable.Give(pd);
        }
        if (_restoreBlocking)
        {
            RestoreBlocking(null, null);
            AppDomain.CurrentDomain.ProcessExit -= RestoreBlocking;
        }
        if (!_isOwners)
        {
            _ = Os.CloseFile(_fd);
        }
        _owner?.Dispose();
        ReadyAllOf list = default;
        _lock.Enter();
        Volatile.Write(ref _destroyed, true); // Pairs with WaitUntilDestroyed.
        list.Add(_closers.DequeueAll());
        _lock.Exit();
        list.Ready();
    }

    private void RestoreBlocking(object? sender, EventArgs? e) => _ = Os.SetNonBlocking(_fd, false);

    private void WaitUntilDestroyed()
    {
        if (Volatile.Read(ref _destroyed))
        {
            return;
        }
        Goroutine* g = Scheduler.EnterWait();
        _lock.Enter();
        if (_destroyed)
        {
            _lock.Exit();
        }
        else
        {
            Waiter* waiter = Goroutine.WaiterOf(g);
            waiter->Goroutine = g;
            _closers.Enqueue(waiter);
            Goroutine.ParkObject(g) = this;
            Scheduler.Park(g, &ParkLock.Release, null, ParkReason.Network);
            Goroutine.ParkObject(g) = null;
        }
        Scheduler.LeaveWait(g);
    }

    /// <summary>Up to three lists of goroutines, to be made ready without a lock.</summary>
    private struct ReadyAllOf
    {
        private Goroutine* _first;
        private Goroutine* _second;

        internal void Add(Goroutine* list)
        {
            if (_first == null)
            {
                _first = list;
            }
            else
            {
                _second = list;
            }
        }

        internal readonly void Ready()
        {
            Scheduler.ReadyAll(_first);
            Scheduler.ReadyAll(_second);
        }
    }

    /// <summary>One operation that a token may end. Fields under the descriptor's lock.</summary>
    private sealed class Cancellation
    {
        private readonly Descriptor _descriptor;
        private CancellationTokenRegistration _registration;

        private Cancellation(Descriptor descriptor, PollMode mode)
        {
            _descriptor = descriptor;
            Mode = mode;
        }

        internal PollMode Mode { get; }

        internal bool IsCancelled { get; private set; }

        /// <summary>Its place in line, or null.</summary>
        internal Waiter* Waiter { get; set; }

        internal static Cancellation? Register(Descriptor descriptor, PollMode mode, CancellationToken token)
        {
            if (!token.CanBeCanceled)
            {
                return null;
            }
            Cancellation made = new(descriptor, mode);
            made._registration = token.UnsafeRegister(static state => ((Cancellation)state!).Cancel(), made);
            return made;
        }

        /// <summary>After Leave: a callback that still runs finds that it holds nothing.</summary>
        internal void End() => _registration.Unregister();

        private void Cancel()
        {
            Goroutine* g = null;
            Descriptor d = _descriptor;
            d._lock.Enter();
            IsCancelled = true;
            ref Side side = ref d.SideOf(Mode);
            if (Waiter != null && Waiter->IsQueued)
            {
                side.Line.Remove(Waiter);
                Waiter->Result = WaitResult.Cancelled;
                g = Waiter->Goroutine;
            }
            else if (side.Holder == this && d._pd != null)
            {
                g = d._pd->Cancel(Mode, true);
            }
            Waiter = null;
            d._lock.Exit();
            if (g != null)
            {
                Scheduler.Ready(g);
            }
        }
    }
}
