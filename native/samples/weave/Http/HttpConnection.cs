// A connection's goroutine.
//
//   idle --readable--> busy, with an exchange --all answered--> idle
//
// Idle, it has what is on its stack, this object and the socket, and no buffer; that is why it waits before it
// takes an exchange, and why Serve and what it calls to wait have small frames: when it has waited for a
// while, the runtime keeps no more of its stack than that.

using System.Runtime.CompilerServices;
using Weave.Serve;

namespace Weave.Http;

internal sealed class HttpConnection(HttpSite site, Server server, Transport transport)
    : Connection(transport)
{
    private const int WritePiece = 64 * 1024;

    // After an answer that ends the connection: so long the client may go on sending.
    private static readonly TimeSpan s_lingerTime = TimeSpan.FromSeconds(2);

    // When the server ends: so long a request may be on its way.
    private static readonly TimeSpan s_lastTime = TimeSpan.FromMilliseconds(50);

    private bool _isWaiting;
    private bool _isLast;

    internal HttpSite Site => site;

    internal bool IsDraining => server.IsDraining;

    /// <summary>Requests answered.</summary>
    internal long Requests { get; set; }

    /// <summary>A connection that waits for its first request from now on.</summary>
    internal static HttpConnection Begin(HttpSite site, Server server, Transport transport)
    {
        HttpConnection connection = new(site, server, transport);
        connection.BeginIdle();
        return connection;
    }

    internal override void Serve()
    {
        while (true)
        {
            bool isReadable = WaitForRequest();
            if (isReadable)
            {
                if (!ServeBusy())
                {
                    return;
                }

                BeginIdle();
            }
            else if (IsLate)
            {
                return;
            }

            if (server.IsDraining)
            {
                if (_isLast)
                {
                    return;
                }

                _isLast = true;
                Transport.WakeAfter(s_lastTime);
            }
            else if (!isReadable)
            {
                Transport.Resume();
            }
        }
    }

    internal override void Drain()
    {
        if (Transport.CanWake || Volatile.Read(ref _isWaiting))
        {
            Transport.Wake();
        }
    }

    /// <summary>Reads some of the request. 0 at the end of the input.</summary>
    /// <exception cref="TimeoutException">The deadline is over.</exception>
    internal int Receive(Span<byte> buffer)
    {
        while (true)
        {
            try
            {
                return Transport.Read(buffer);
            }
            catch (TimeoutException) when (!IsLate && Transport.CanWake)
            {
                Transport.Resume(); // Woken while it was idle, and then it was not.
            }
        }
    }

    /// <summary>Starts the time for the rest of a head, or the next part of a body.</summary>
    internal void BeginReading(TimeSpan limit) => Begin(Phase.Reading, limit);

    /// <summary>Writes; a client that does not take it is left.</summary>
    internal void Send(ReadOnlySpan<byte> bytes)
    {
        site.Counters.AddBytes(bytes.Length);
        for (; bytes.Length > WritePiece; bytes = bytes[WritePiece..])
        {
            BeginWriting();
            Transport.Write(bytes[..WritePiece]);
        }

        BeginWriting();
        Transport.Write(bytes);
    }

    internal void BeginWriting() => Begin(Phase.Writing, site.Options.TransferTime);

    private void BeginIdle() => Begin(Phase.Idle, site.Options.IdleTime);

    private bool WaitForRequest()
    {
        Volatile.Write(ref _isWaiting, true);
        bool isReadable = Transport.WaitReadable();
        Volatile.Write(ref _isWaiting, false);
        return isReadable;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool ServeBusy()
    {
        Exchange exchange = site.Exchanges.Get();
        bool goesOn;
        bool mustLinger;
        try
        {
            goesOn = exchange.Run(this, out mustLinger);
        }
        finally
        {
            site.Exchanges.Put(exchange);
        }

        if (mustLinger)
        {
            Linger();
        }

        return goesOn;
    }

    /// <summary>Closing with input unread would make the kernel reset the connection, and the client lose
    /// the answer. So the output is closed, and the client's own end awaited.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Linger()
    {
        BeginReading(s_lingerTime);
        Transport.CloseWrite();
        Span<byte> dropped = stackalloc byte[4096];
        while (!IsLate && Receive(dropped) > 0)
        {
        }
    }
}
