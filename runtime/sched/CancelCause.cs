// Why a token was cancelled, for the waits that it ends: the token of an ErrGroup or a GoScope is cancelled
// by the first goroutine of it that fails, with what that one threw.
//
// An exception is dispatched in two passes. The first looks for who catches it, and runs no code but the
// filters; the second runs the finally blocks on the way there. If nobody catches it, there is no second.
//
//   somebody catches the wait's OperationCanceledException    he gets it, the cause is inside
//   nobody does: the last filter, at the goroutine's root,    the wait's own finally block is the first of
//   says so to the exception, and takes it                    the second pass: it throws the cause instead
//
// So a `catch` of what the goroutine threw is enough, and one of the cancellation stays right. On a thread
// there is no such root: the process ends, and the report of the exception has the cause.
//
// A wait that is not Weft's throws an exception of its own. Where a GoScope above would throw the cause
// (Goroutine.FailedScopes), the root takes that too: in the second pass the scope is disposed of.
//
// Rejected: throwing the cause from the wait always. A `catch (OperationCanceledException)` around it would
// miss it, which is what .NET promises of a token. A catch at the root for all exceptions: the process would
// end after the finally blocks have run, and with another stack than the one that failed.

using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;

namespace Weft.Runtime;

/// <summary>A source whose token may be cancelled for a reason.</summary>
internal sealed class CauseSource(CancellationToken parent) : CancellationTokenSource
{
    private ExceptionDispatchInfo? _failure;

    /// <summary>What failed first here.</summary>
    internal ExceptionDispatchInfo? Failure => Volatile.Read(ref _failure);

    /// <summary>The same, or where nothing did, what the parent was cancelled for.</summary>
    internal ExceptionDispatchInfo? Cause => Failure ?? CancelCause.Of(parent);

    /// <summary>Whether this is the first. The caller cancels the source then.</summary>
    internal bool TryFail(ExceptionDispatchInfo failure) =>
        Interlocked.CompareExchange(ref _failure, failure, null) is null;
}

/// <summary>What a wait throws that such a token ends.</summary>
internal sealed class CausedCancellation(string message, Exception cause, CancellationToken token)
    : OperationCanceledException(message, cause, token)
{
    /// <summary>Set by the filter of the goroutine's root.</summary>
    internal bool IsCaughtByNobody { get; set; }
}

internal static unsafe class CancelCause
{
    private const string Cancelled = "The operation was canceled.";

    /// <summary>Null when the token is not cancelled, or for no reason that is known.</summary>
    internal static ExceptionDispatchInfo? Of(CancellationToken token) =>
        token.IsCancellationRequested ? (Source(ref token) as CauseSource)?.Cause : null;

    /// <summary>token.ThrowIfCancellationRequested for a wait of Weft's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void ThrowIfCancelled(CancellationToken token)
    {
        if (token.IsCancellationRequested)
        {
            Throw(token);
        }
    }

    /// <summary>Ends a wait of the calling goroutine or thread. Does not return.</summary>
    internal static void Throw(CancellationToken token) => Throw(Cancelled, token);

    /// <inheritdoc cref="Throw(CancellationToken)"/>
    internal static void Throw(string message, CancellationToken token)
    {
        if (Of(token) is not { } cause)
        {
            throw ToException(message, token);
        }
        CausedCancellation cancellation = new(message, cause.SourceException, token);
        try
        {
            throw cancellation;
        }
        finally
        {
            if (cancellation.IsCaughtByNobody)
            {
                cause.Throw();
            }
        }
    }

    /// <summary>For what is not thrown at once.</summary>
    internal static OperationCanceledException ToException(string message, CancellationToken token) =>
        new(message, Of(token)?.SourceException, token);

    /// <summary>The filter of the goroutine's root: nobody else catches the exception. True when a finally
    /// block will throw another one instead.</summary>
    internal static bool IsReplaced(Goroutine* g, Exception e)
    {
        if (e is CausedCancellation cancellation)
        {
            cancellation.IsCaughtByNobody = true;
            return true;
        }
        return Volatile.Read(ref g->FailedScopes) != 0;
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_source")]
    private static extern ref CancellationTokenSource? Source(ref CancellationToken token);
}
