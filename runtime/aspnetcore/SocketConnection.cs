// A connection of Kestrel's over a Conn.
//
//   its own goroutine   Receive: wait, read       -> input pipe ->   Kestrel, on a worker
//   a worker            Send: write what fits     <- output pipe <-  the answer
//
// GoroutineScheduler: what awaits a pipe goes on on a worker. The connection's own goroutine reads on
// meanwhile, so that RequestAborted tells that the client has gone while an endpoint blocks. Send never
// waits: what the peer does not take at once is written by a goroutine more (Conn.WriteAsync).
//
// The end: Kestrel completes its ends of the pipes; Send has written all of it then, ends this side and
// closes; Receive ends by that, by the peer's end or by an error; then ConnectionClosed is cancelled. Abort
// resets the connection: both end.
//
// Rejected: the endpoint on the connection's own goroutine (nobody would notice that the client has gone);
// sending there (it waits for input), or in line, by who flushes (Kestrel flushes twice for an answer whose
// length it does not know: two system calls, where a worker that comes a little later has both).
//
// Locks: none; the pipes have theirs. Abort and Send may close at the same time: Conn closes once.

using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace Weft.AspNetCore;

internal sealed class SocketConnection : DefaultConnectionContext, IMemoryPoolFeature
{
    private const int MostInput = 1024 * 1024; // Bytes that nobody has read yet: as with Kestrel's own.
    private const int MostOutput = 64 * 1024;
    private const int LeastRead = 2048;

    private static long s_lastId = DateTime.UtcNow.Ticks;

    private readonly Conn _conn;
    private readonly ILogger _log;
    private readonly PipeWriter _input;
    private readonly PipeReader _output;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _received = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _sent = Task.CompletedTask;
    private volatile Exception? _reason; // Why this side closed it; null: it did not.

    internal SocketConnection(Conn conn, MemoryPool<byte> pool, ILogger log)
        : base(Interlocked.Increment(ref s_lastId).ToString("X", CultureInfo.InvariantCulture))
    {
        _conn = conn;
        _log = log;
        MemoryPool = pool;
        Pipe input = new(new PipeOptions(
            pool, GoroutineScheduler.Instance, PipeScheduler.Inline, MostInput, MostInput / 2,
            useSynchronizationContext: false));
        Pipe output = new(new PipeOptions(
            pool, GoroutineScheduler.Instance, GoroutineScheduler.Instance, MostOutput, MostOutput / 2,
            useSynchronizationContext: false));
        _input = input.Writer;
        _output = output.Reader;
        Transport = new Ends(input.Reader, output.Writer);
        Application = new Ends(output.Reader, input.Writer);
        LocalEndPoint = conn.LocalEndPoint;
        RemoteEndPoint = conn.RemoteEndPoint;
        ConnectionClosed = _closed.Token;
        Features.Set<IMemoryPoolFeature>(this);
    }

    /// <inheritdoc/>
    public MemoryPool<byte> MemoryPool { get; }

    /// <summary>Begins to receive and to send. May throw InsufficientMemoryException.</summary>
    internal void Start()
    {
        Worker.RunUnflowed(static self => self.Receive(), this);
        _sent = Send();
    }

    /// <inheritdoc/>
    public override void Abort(ConnectionAbortedException abortReason)
    {
        Close(abortReason);
        _output.CancelPendingRead();
    }

    /// <inheritdoc/>
    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync();
        await Transport.Output.CompleteAsync();
        await _sent;
        await _received.Task;
        await base.DisposeAsync();
    }

    private void Receive()
    {
        Exception? error;
        try
        {
            error = ReceiveUntilEnd();
        }
        catch (Exception e) // Of the memory pool, or of a reader in line.
        {
            error = e;
        }
        _input.Complete(_reason ?? error);
        try
        {
            _closed.Cancel();
        }
        catch (Exception e)
        {
            ConnectionLog.ClosedHandlerFailed(_log, ConnectionId, e);
        }
        _received.SetResult();
    }

    /// <summary>Null at the peer's end, or when nobody reads any more.</summary>
    private Exception? ReceiveUntilEnd()
    {
        while (true)
        {
            SocketError code = _conn.WaitReadable(); // Idle, it has no buffer.
            int count = 0;
            code = code == SocketError.Success
                ? _conn.TryRead(_input.GetMemory(LeastRead).Span, out count)
                : code;
            if (code != SocketError.Success)
            {
                return Failure(code);
            }
            if (count == 0)
            {
                return null;
            }
            _input.Advance(count);
            FlushResult flushed = Go.Await(_input.FlushAsync());
            if (flushed.IsCompleted || flushed.IsCanceled)
            {
                return null;
            }
        }
    }

    private async Task Send()
    {
        Exception? error = null;
        try
        {
            ReadResult result;
            do
            {
                result = await _output.ReadAsync();
                foreach (ReadOnlyMemory<byte> part in result.Buffer)
                {
                    await _conn.WriteAsync(part);
                }
                _output.AdvanceTo(result.Buffer.End);
            }
            while (!result.IsCompleted && !result.IsCanceled);
        }
        catch (IOException e) when (e.InnerException is SocketException inner)
        {
            error = Failure(inner.SocketErrorCode);
        }
        catch (Exception e)
        {
            error = e;
        }
        Close(error);
        await _output.CompleteAsync();
        _input.CancelPendingFlush(); // A receiver that waits for room goes on, and finds it closed.
    }

    /// <summary>Without an error the peer gets all that was sent, and the end; else a reset.</summary>
    private void Close(Exception? error)
    {
        _reason ??= error ?? new ConnectionAbortedException("The answer is complete: this side has closed.");
        try
        {
            if (error == null)
            {
                _conn.CloseWrite();
            }
            else
            {
                _conn.SetLinger(TimeSpan.Zero);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The peer has gone, or it is closed already.
        }
        _conn.Close();
    }

    private static Exception Failure(SocketError code)
    {
        SocketException cause = new((int)code);
        return code is SocketError.ConnectionReset or SocketError.Shutdown
            ? new ConnectionResetException(cause.Message, cause)
            : new IOException(cause.Message, cause);
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
