// A listener, a goroutine for each connection, and an orderly end.
//
//   Run --accept--> Connection.Serve in a goroutine --ends--> closed
//    '-- SIGTERM, SIGINT: stop listening, wake who is idle, wait for the others, then abort them
//
// Deadlines: one goroutine, the watch, looks at every connection again and again. A timer for each would
// have to be moved at each request; to look at ten thousand takes a fraction of a millisecond.
//
// Locks: _lock guards the list. It is held while all connections are looked at, which never waits.

using System.Runtime.InteropServices;
using Weave.Files;
using Weft;
using Mutex = Weft.Mutex;
using Semaphore = Weft.Semaphore;

namespace Weave.Serve;

internal sealed class Server(ServerOptions options, Func<Server, Transport, Connection> connect)
{
    private readonly Mutex _lock = new();
    private readonly Semaphore _room = new(options.Connections);
    private readonly Chan<PosixSignal> _signals = new(8);
    private readonly Chan<bool> _empty = new(1);
    private Connection? _first;
    private bool _isDraining;
    private long _count;
    private long _accepted;

    /// <summary>Whether connections should end as soon as they can.</summary>
    internal bool IsDraining => Volatile.Read(ref _isDraining);

    /// <summary>Connections that are open.</summary>
    internal long Count => Volatile.Read(ref _count);

    /// <summary>Connections accepted so far.</summary>
    internal long Accepted => Volatile.Read(ref _accepted);

    /// <summary>What the watch does besides.</summary>
    internal Action? Tick { get; init; }

    /// <summary>What else begins when it listens.</summary>
    internal Action? Beside { get; init; }

    /// <summary>Serves until SIGTERM or SIGINT, and then until all connections have ended or the time for
    /// that is over. Returns the exit code of the process.</summary>
    internal int Run(Acceptor acceptor)
    {
        using PosixSignalRegistration terminate = Handle(PosixSignal.SIGTERM);
        using PosixSignalRegistration interrupt = Handle(PosixSignal.SIGINT);
        acceptor.Announce("listening"); // Whoever reads it may end us in order from now on.
        Beside?.Invoke();
        Start(acceptor);

        _ = _signals.Receive();
        acceptor.Dispose();
        return Drain() ? Commands.Success : Commands.Failure;
    }

    /// <summary>Serves beside another server, until the acceptor is disposed of, or the process ends.
    /// </summary>
    internal void Start(Acceptor acceptor)
    {
        Go.Run(Watch);
        Go.Run(() => Accept(acceptor));
    }

    private PosixSignalRegistration Handle(PosixSignal signal) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            _ = _signals.TrySend(signal);
        });

    private void Accept(Acceptor acceptor)
    {
        while (true)
        {
            _room.Acquire();
            Transport? transport = acceptor.Accept();
            if (transport is null)
            {
                return; // Closed, by Run.
            }

            _accepted++;
            Connection connection = connect(this, transport);
            Add(connection);
            Go.Run(Serve, connection);
        }
    }

    private void Serve(Connection connection)
    {
        try
        {
            connection.Serve();
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            // The peer is gone, or was too slow.
        }
        catch (Exception e)
        {
            // A defect of ours, met by one client: the others are served on.
            Output.WriteError($"weave: {e}\n");
        }
        finally
        {
            Remove(connection);
            connection.Transport.Dispose();
            _room.Release();
        }
    }

    private void Add(Connection connection)
    {
        using (_lock.EnterScope())
        {
            connection.Next = _first;
            _first?.Previous = connection;
            _first = connection;
            _count++;
        }
    }

    private void Remove(Connection connection)
    {
        using (_lock.EnterScope())
        {
            connection.Next?.Previous = connection.Previous;
            if (connection.Previous is null)
            {
                _first = connection.Next;
            }
            else
            {
                connection.Previous.Next = connection.Next;
            }

            _count--;
            if (_count == 0 && _isDraining)
            {
                _ = _empty.TrySend(true);
            }
        }
    }

    private void ForAll(Action<Connection> look)
    {
        using (_lock.EnterScope())
        {
            for (Connection? connection = _first; connection is not null; connection = connection.Next)
            {
                look(connection);
            }
        }
    }

    private void Watch()
    {
        while (true)
        {
            Tick?.Invoke();
            long now = Environment.TickCount64;
            ForAll(connection => connection.Look(now));
            Go.Sleep(options.WatchPeriod);
        }
    }

    /// <summary>True when all connections ended by themselves. A second signal does not wait for that.
    /// </summary>
    private bool Drain()
    {
        using (_lock.EnterScope())
        {
            _isDraining = true;
            if (_count == 0)
            {
                return true;
            }
        }

        ForAll(connection => connection.Drain());
        ReceiveChan<DateTimeOffset> late = Time.After(options.DrainTime);
        if (Select.Wait(_empty.ReceiveCase(), late.ReceiveCase(), _signals.ReceiveCase()) == 0)
        {
            return true;
        }

        Output.WriteError($"weave: {Count} connections did not end in time\n");
        ForAll(connection => connection.Transport.Abort());
        return false;
    }
}
