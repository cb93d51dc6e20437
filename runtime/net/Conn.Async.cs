// The stream's asynchronous methods.

namespace Weft;

public sealed unsafe partial class Conn
{
    /// <summary>On a goroutine: reads as <see cref="Read(Span{byte})"/> does, and is complete when it returns.
    /// On another thread: never blocks it.</summary>
    /// <inheritdoc/>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }
        if (!Weft.Go.IsGoroutine)
        {
            nint now = _descriptor.TryRead(buffer.Span);
            return now >= 0
                ? new ValueTask<int>((int)now)
                : new ValueTask<int>(Weft.Go.RunAsync(() => ReadCore(buffer.Span, cancellationToken)));
        }
        try
        {
            return new ValueTask<int>(ReadCore(buffer.Span, cancellationToken));
        }
        catch (OperationCanceledException e)
        {
            return ValueTask.FromCanceled<int>(e.CancellationToken);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return ValueTask.FromException<int>(e);
        }
    }

    /// <inheritdoc/>
    public override Task<int> ReadAsync(
        byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>On a goroutine: writes as <see cref="Write(ReadOnlySpan{byte})"/> does, and is complete when
    /// it returns. On another thread: never blocks it.</summary>
    /// <inheritdoc/>
    public override ValueTask WriteAsync(
        ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled(cancellationToken);
        }
        if (!Weft.Go.IsGoroutine)
        {
            return new ValueTask(Weft.Go.RunAsync(() => WriteCore(buffer.Span, cancellationToken)));
        }
        try
        {
            WriteCore(buffer.Span, cancellationToken);
            return ValueTask.CompletedTask;
        }
        catch (OperationCanceledException e)
        {
            return ValueTask.FromCanceled(e.CancellationToken);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            return ValueTask.FromException(e);
        }
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
}
