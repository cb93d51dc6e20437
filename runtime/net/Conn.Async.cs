// The stream's asynchronous methods. They try; what would wait goes on as soon as somebody asks for it.
//
//   read    a PendingRead: nothing happens until somebody awaits it (then a goroutine reads), looks whether
//           it is complete (then it tries again), or asks for the result (then that one reads, and parks)
//   write   a goroutine writes the rest
//
// HttpClient starts a read on a connection before it sends a request, to learn whether it is still open, and
// asks for the result after that: with HttpClient.Send this costs neither a goroutine nor a thread.
//
// Rejected: completing synchronously on a goroutine (HttpClient would wait there for an answer to what it has
// not sent); a goroutine for each read (most are never awaited where all callers are goroutines).

using System.Threading.Tasks.Sources;
using Weft.Runtime;

namespace Weft;

public sealed unsafe partial class Conn
{
    /// <summary>Reads what there is. Never blocks or parks the caller; asking for the result before there is
    /// one does, as <see cref="Read(Span{byte})"/>.</summary>
    /// <inheritdoc/>
    public override ValueTask<int> ReadAsync(
        Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }
        nint now = _descriptor.TryRead(buffer.Span);
        return now >= 0
            ? new ValueTask<int>((int)now)
            : new ValueTask<int>(new PendingRead(this, buffer, cancellationToken), 0);
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(
        byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>Writes all of it. Never blocks or parks the caller.</summary>
    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }
        nint done = _descriptor.TryWrite(buffer.Span);
        if (done == buffer.Length && !_descriptor.IsClosed)
        {
            return ValueTask.CompletedTask;
        }
        ReadOnlyMemory<byte> rest = buffer[(int)Math.Max(0, done)..];
        return new ValueTask(Weft.Go.RunAsync(() => WriteCore(rest.Span, cancellationToken)));
    }

    /// <inheritdoc/>
    public override Task WriteAsync(
        byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>Does nothing.</summary>
    /// <inheritdoc/>
    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>A read that would have had to wait. Its caller uses it from one thread at a time, as any
    /// ValueTask.</summary>
    private sealed class PendingRead(Conn conn, Memory<byte> buffer, CancellationToken token)
        : IValueTaskSource<int>
    {
        private ManualResetValueTaskSourceCore<int> _core = new() { RunContinuationsAsynchronously = true };
        private bool _looked;
        private bool _complete;
        private WaitGroup? _reading;

        public ValueTaskSourceStatus GetStatus(short version)
        {
            // It was looked at a moment ago, when it was made: the first to ask gets that answer.
            if (_looked && !_complete && _reading == null)
            {
                nint now = conn._descriptor.TryRead(buffer.Span);
                if (now != -Posix.EAGAIN)
                {
                    Finish(now);
                }
            }
            _looked = true;
            return _core.GetStatus(version);
        }

        public void OnCompleted(
            Action<object?> continuation, object? state, short version, ValueTaskSourceOnCompletedFlags flags)
        {
            _core.OnCompleted(continuation, state, version, flags);
            if (!_complete && _reading == null)
            {
                _reading = new WaitGroup();
                try
                {
                    _reading.Go(() => Finish(conn.ReadResult(buffer.Span, token)));
                }
                catch (InsufficientMemoryException)
                {
                    Finish(-Posix.ENOMEM); // Nobody above could take an exception.
                }
            }
        }

        public int GetResult(short version)
        {
            _reading?.Wait();
            if (!_complete)
            {
                Finish(conn.ReadResult(buffer.Span, token));
            }
            return _core.GetResult(version);
        }

        private void Finish(nint result)
        {
            _complete = true;
            if (result >= 0)
            {
                _core.SetResult((int)result);
            }
            else
            {
                _core.SetException(conn.ReadFailure(result, token));
            }
        }
    }
}
