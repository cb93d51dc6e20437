// One direction of a channel, for signatures that say who sends and who receives. A structure of one
// reference: no allocation, and the calls are those of the channel.
//
// A null view is Go's nil channel: no operation on it ever goes on, and a select never chooses it. On
// Chan<T> itself null is what it is everywhere in .NET.

using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;

namespace Weft;

/// <summary>A channel that can only be sent to. Go: chan&lt;- T. A channel converts to it. The default is
/// null: a send waits for ever.</summary>
/// <typeparam name="T">The element.</typeparam>
public readonly record struct SendChan<T>
{
    /// <summary>Makes a view.</summary>
    /// <param name="channel">The channel; may be null.</param>
    public SendChan(Chan<T>? channel) => Channel = channel;

    /// <summary>Whether there is no channel.</summary>
    [MemberNotNullWhen(false, nameof(Channel))]
    public bool IsNull => Channel is null;

    /// <summary>How many elements the channel can hold without a receiver; 0 for null. Go: cap.</summary>
    public int Capacity => IsNull ? 0 : Channel.Capacity;

    internal Chan<T>? Channel { get; }

    /// <summary>The sending side of a channel.</summary>
    /// <param name="channel">The channel; may be null.</param>
    public static implicit operator SendChan<T>(Chan<T>? channel) => new(channel);

    /// <inheritdoc cref="Chan{T}.Send(T)"/>
    public void Send(T value)
    {
        if (IsNull)
        {
            Select.Never();
            return;
        }
        Channel.Send(value);
    }

    /// <inheritdoc cref="Chan{T}.Send(T, CancellationToken)"/>
    public void Send(T value, CancellationToken cancellationToken)
    {
        if (IsNull)
        {
            _ = Select.Wait(cancellationToken);
            return;
        }
        Channel.Send(value, cancellationToken);
    }

    /// <inheritdoc cref="Chan{T}.TrySend"/>
    public bool TrySend(T value) => !IsNull && Channel.TrySend(value);

    /// <summary>Closes the channel. Go: close.</summary>
    /// <exception cref="ChannelClosedException">It is closed already.</exception>
    /// <exception cref="InvalidOperationException">There is no channel.</exception>
    public void Close()
    {
        if (IsNull)
        {
            throw new InvalidOperationException("There is no channel to close: the view is null.");
        }
        Channel.Close();
    }

    /// <summary>A case of a select that sends here; its Value is to be set.</summary>
    /// <returns>A new case.</returns>
    public SendCase<T> SendCase() => new(this);

    /// <summary>A case of a select that sends here.</summary>
    /// <param name="value">The element.</param>
    /// <param name="then">For Select.Run.</param>
    /// <returns>A new case.</returns>
    public SendCase<T> SendCase(T value, Action? then = null) => new(this, value, then);
}

/// <summary>A channel that can only be received from. Go: &lt;-chan T. A channel converts to it. The default
/// is null: a receive waits for ever.</summary>
/// <typeparam name="T">The element.</typeparam>
public readonly record struct ReceiveChan<T> : IEnumerable<T>
{
    /// <summary>Makes a view.</summary>
    /// <param name="channel">The channel; may be null.</param>
    public ReceiveChan(Chan<T>? channel) => Channel = channel;

    /// <summary>Whether there is no channel.</summary>
    [MemberNotNullWhen(false, nameof(Channel))]
    public bool IsNull => Channel is null;

    /// <summary>How many elements the channel can hold without a receiver; 0 for null. Go: cap.</summary>
    public int Capacity => IsNull ? 0 : Channel.Capacity;

    internal Chan<T>? Channel { get; }

    /// <summary>The receiving side of a channel.</summary>
    /// <param name="channel">The channel; may be null.</param>
    public static implicit operator ReceiveChan<T>(Chan<T>? channel) => new(channel);

    /// <inheritdoc cref="Chan{T}.Receive()"/>
    public T Receive()
    {
        _ = Receive(out T value);
        return value;
    }

    /// <inheritdoc cref="Chan{T}.Receive(out T)"/>
    public bool Receive(out T value)
    {
        if (IsNull)
        {
            Select.Never();
            value = default!;
            return false;
        }
        return Channel.Receive(out value);
    }

    /// <inheritdoc cref="Chan{T}.Receive(CancellationToken)"/>
    public T Receive(CancellationToken cancellationToken)
    {
        _ = Receive(out T value, cancellationToken);
        return value;
    }

    /// <inheritdoc cref="Chan{T}.Receive(out T, CancellationToken)"/>
    public bool Receive(out T value, CancellationToken cancellationToken)
    {
        if (IsNull)
        {
            _ = Select.Wait(cancellationToken);
            value = default!;
            return false;
        }
        return Channel.Receive(out value, cancellationToken);
    }

    /// <inheritdoc cref="Chan{T}.TryReceive(out T)"/>
    public bool TryReceive(out T value) => TryReceive(out value, out _);

    /// <inheritdoc cref="Chan{T}.TryReceive(out T, out bool)"/>
    public bool TryReceive(out T value, out bool isClosed)
    {
        if (IsNull)
        {
            value = default!;
            isClosed = false;
            return false;
        }
        return Channel.TryReceive(out value, out isClosed);
    }

    /// <summary>Receives until the channel is closed and drained. Go: for v := range c.</summary>
    /// <returns>An enumerator; several goroutines may have one each, and share the elements.</returns>
    public Chan<T>.Enumerator GetEnumerator() => new(this);

    IEnumerator<T> IEnumerable<T>.GetEnumerator() => GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>A case of a select that receives from here.</summary>
    /// <param name="then">For Select.Run: called with the element and whether there was one.</param>
    /// <returns>A new case.</returns>
    public ReceiveCase<T> ReceiveCase(Action<T, bool>? then = null) => new(this, then);
}
