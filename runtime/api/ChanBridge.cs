// Channels and the asynchronous world of .NET. Code on the thread pool may not block, and only a goroutine
// can wait on a channel: so each asynchronous wait that does not end at once is a goroutine of its own,
// which ends with it. No thread is blocked. Continuations run on the thread pool, never on a goroutine.
//
// A reader has received what its WaitToReadAsync has announced, and keeps it for the next TryRead: there is
// no other way to wait for an element without taking it from others who are before its reader. A writer
// waits as a probe (SendProbe), which sends nothing.
//
// Rejected: WaitToReadAsync as a probe too. Several readers would wake for one element, and each of them
// start a goroutine again.

using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading.Channels;

namespace Weft;

/// <summary>Connects channels with System.Threading.Channels and asynchronous streams. A wait that does not
/// end at once takes one goroutine until it ends, and no thread.</summary>
public static class ChanBridge
{
    /// <summary>
    /// A reader of the channel. Once its WaitToReadAsync has returned true it holds an element for its
    /// next TryRead: one that is given up then loses that element. Its Completion ends when it
    /// has found the channel closed and drained.
    /// </summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The channel; others may receive from it too.</param>
    /// <returns>A new reader.</returns>
    /// <exception cref="ArgumentNullException">The channel is null.</exception>
    public static ChannelReader<T> AsReader<T>(this ReceiveChan<T> channel) =>
        new Reader<T>(NotNull(channel.Channel));

    /// <inheritdoc cref="AsReader{T}(ReceiveChan{T})"/>
    public static ChannelReader<T> AsReader<T>(this Chan<T> channel) => new Reader<T>(NotNull(channel));

    /// <summary>
    /// A writer to the channel. Completing it closes the channel; an error that it is completed
    /// with is shown by what AsReader made, while a receive finds the channel closed.
    /// </summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The channel; others may send to it too.</param>
    /// <returns>A new writer.</returns>
    /// <exception cref="ArgumentNullException">The channel is null.</exception>
    public static ChannelWriter<T> AsWriter<T>(this SendChan<T> channel) =>
        new Writer<T>(NotNull(channel.Channel));

    /// <inheritdoc cref="AsWriter{T}(SendChan{T})"/>
    public static ChannelWriter<T> AsWriter<T>(this Chan<T> channel) => new Writer<T>(NotNull(channel));

    /// <summary>Receives until the channel is closed and drained, for await foreach. What the loop has not
    /// taken stays in the channel.</summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="channel">The channel.</param>
    /// <param name="cancellationToken">Ends the wait, with an OperationCanceledException.</param>
    /// <returns>The elements.</returns>
    /// <exception cref="ArgumentNullException">The channel is null.</exception>
    public static IAsyncEnumerable<T> ReadAllAsync<T>(
        this ReceiveChan<T> channel, CancellationToken cancellationToken = default) =>
        ReadAll(NotNull(channel.Channel), cancellationToken);

    /// <inheritdoc cref="ReadAllAsync{T}(ReceiveChan{T}, CancellationToken)"/>
    public static IAsyncEnumerable<T> ReadAllAsync<T>(
        this Chan<T> channel, CancellationToken cancellationToken = default) =>
        ReadAll(NotNull(channel), cancellationToken);

    /// <summary>
    /// A channel that gets what the reader has, and is closed when the reader ends. If the reader fails
    /// or the token is cancelled the channel is closed too; what AsReader makes of it shows the error.
    /// </summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="reader">The reader.</param>
    /// <param name="capacity">The capacity of the channel; 0 or more.</param>
    /// <param name="cancellationToken">Ends the transfer; an element on its way is lost.</param>
    /// <returns>The channel.</returns>
    /// <exception cref="ArgumentNullException">The reader is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative.</exception>
    public static ReceiveChan<T> ToChan<T>(
        this ChannelReader<T> reader, int capacity = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(reader);
        return reader.ReadAllAsync(cancellationToken).ToChan(capacity, cancellationToken);
    }

    /// <summary>
    /// A channel that gets what the stream has, and is closed when the stream ends. If the stream fails or
    /// the token is cancelled the channel is closed too; what AsReader makes of it shows the error. The
    /// stream runs on the thread pool, with the caller's ExecutionContext, at most one element ahead of the
    /// channel. Cancel the token when nobody receives any more: the stream is disposed of then.
    /// </summary>
    /// <typeparam name="T">The element.</typeparam>
    /// <param name="stream">The asynchronous stream; it gets the token too.</param>
    /// <param name="capacity">The capacity of the channel; 0 or more.</param>
    /// <param name="cancellationToken">Ends the transfer; an element on its way is lost. That of a
    /// <see cref="Context"/> is <see cref="Context.Token"/>.</param>
    /// <returns>The channel.</returns>
    /// <exception cref="ArgumentNullException">The stream is null.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The capacity is negative.</exception>
    public static ReceiveChan<T> ToChan<T>(
        this IAsyncEnumerable<T> stream, int capacity = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Chan<T> channel = new(capacity);
        _ = Task.Run(() => Transfer(stream, channel, cancellationToken), CancellationToken.None);
        return channel;
    }

    private static Chan<T> NotNull<T>(
        Chan<T>? channel, [CallerArgumentExpression(nameof(channel))] string? name = null) =>
        channel ?? throw new ArgumentNullException(name);

    /// <summary>The same, without reading ahead.</summary>
    private static async IAsyncEnumerable<T> ReadAll<T>(
        Chan<T> channel, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!channel.TryReceive(out T element, out bool isClosed))
            {
                if (isClosed)
                {
                    yield break;
                }
                ReceiveCase<T> receive = channel.ReceiveCase();
                if (!await Wait(receive, () => receive.Ok, cancellationToken).ConfigureAwait(false))
                {
                    yield break;
                }
                element = receive.Value;
            }
            yield return element;
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "The error goes to the channel, whatever it is.")]
    private static async Task Transfer<T>(
        IAsyncEnumerable<T> stream, Chan<T> channel, CancellationToken cancellationToken)
    {
        Exception? error = null;
        try
        {
            Writer<T> writer = new(channel);
            await foreach (T element in
                stream.WithCancellation(cancellationToken).ConfigureAwait(false))
            {
                await writer.WriteAsync(element, cancellationToken).ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            error = e;
        }
        _ = channel.TryClose(error);
    }

    /// <summary>Waits for one case in a goroutine, and then asks for the result there.</summary>
    private static Task<TResult> Wait<TResult>(
        SelectCase one, Func<TResult> result, CancellationToken cancellationToken)
    {
        TaskCompletionSource<TResult> source = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Go.RunIn(null, () => Complete(source, one, result, cancellationToken)); // No user code runs there.
        return source.Task;
    }

    [SuppressMessage("Design", "CA1031", Justification = "The error goes to who awaits, whatever it is.")]
    private static void Complete<TResult>(
        TaskCompletionSource<TResult> source,
        SelectCase one,
        Func<TResult> result,
        CancellationToken cancellationToken)
    {
        try
        {
            if (Select.WaitOrCancel(new SelectCase[] { one }, cancellationToken) < 0)
            {
                source.SetCanceled(cancellationToken);
            }
            else
            {
                source.SetResult(result());
            }
        }
        catch (Exception e)
        {
            source.SetException(e);
        }
    }

    private sealed class Reader<T>(Chan<T> channel) : ChannelReader<T>
    {
        /// <summary>What waits have received and nobody has read.</summary>
        private readonly ConcurrentQueue<T> _ahead = new();
        private readonly TaskCompletionSource _completion = new(
            TaskCreationOptions.RunContinuationsAsynchronously);

        public override Task Completion => _completion.Task;

        public override bool CanCount => true;

        public override int Count => channel.Count + _ahead.Count;

        public override bool TryRead([MaybeNullWhen(false)] out T item)
        {
            if (_ahead.TryDequeue(out item) || channel.TryReceive(out item, out bool isClosed))
            {
                return true;
            }
            if (isClosed)
            {
                _ = FoundClosed();
            }
            return false;
        }

        public override ValueTask<bool> WaitToReadAsync(CancellationToken cancellationToken = default)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<bool>(cancellationToken);
            }
            if (!_ahead.IsEmpty)
            {
                return new(true);
            }
            if (channel.TryReceive(out T element, out bool isClosed))
            {
                _ahead.Enqueue(element);
                return new(true);
            }
            if (isClosed)
            {
                return FoundClosed() is Exception error
                    ? ValueTask.FromException<bool>(error)
                    : new(!_ahead.IsEmpty);
            }
            ReceiveCase<T> receive = channel.ReceiveCase();
            return new(Wait(receive, () => Announce(receive), cancellationToken));
        }

        private bool Announce(ReceiveCase<T> receive)
        {
            if (receive.Ok)
            {
                _ahead.Enqueue(receive.Value);
                return true;
            }
            if (FoundClosed() is Exception error)
            {
                ExceptionDispatchInfo.Throw(error);
            }
            return !_ahead.IsEmpty;
        }

        /// <summary>The channel is drained. Unless something is left here, this is the end: returns the
        /// error, if there is one.</summary>
        private Exception? FoundClosed()
        {
            if (!_ahead.IsEmpty)
            {
                return null;
            }
            if (channel.Error is null)
            {
                _ = _completion.TrySetResult();
            }
            else
            {
                _ = _completion.TrySetException(channel.Error);
            }
            return channel.Error;
        }
    }

    private sealed class Writer<T>(Chan<T> channel) : ChannelWriter<T>
    {
        public override bool TryComplete(Exception? error = null) => channel.TryClose(error);

        public override bool TryWrite(T item) => channel.SendIfOpen(item) == Outcome.Done;

        public override ValueTask<bool> WaitToWriteAsync(CancellationToken cancellationToken = default)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<bool>(cancellationToken);
            }
            SendProbe probe = new(channel);
            if (Select.TryWait(probe) < 0)
            {
                return new(Wait(probe, IsOpen, cancellationToken));
            }
            return channel.IsClosed && channel.Error is Exception error
                ? ValueTask.FromException<bool>(error)
                : new(!channel.IsClosed);
        }

        public override ValueTask WriteAsync(T item, CancellationToken cancellationToken = default)
        {
            if (cancellationToken.IsCancellationRequested)
            {
                return ValueTask.FromCanceled(cancellationToken);
            }
            return channel.SendIfOpen(item) switch
            {
                Outcome.Done => default,
                Outcome.Closed => ValueTask.FromException(ClosedException()),
                _ => new(SendLater(item, cancellationToken)),
            };
        }

        private async Task SendLater(T item, CancellationToken cancellationToken)
        {
            try
            {
                _ = await Wait(channel.SendCase(item), () => true, cancellationToken).ConfigureAwait(false);
            }
            catch (ChannelClosedException)
            {
                throw ClosedException();
            }
        }

        private bool IsOpen()
        {
            if (channel.IsClosed && channel.Error is Exception error)
            {
                ExceptionDispatchInfo.Throw(error);
            }
            return !channel.IsClosed;
        }

        private ChannelClosedException ClosedException() => new(channel.Error);
    }
}
