// The select statement. In passes, as Go's selectgo, but for the first:
//
//   0. without a lock look at a few cases; one of those that look ready is tried, with the lock of its
//      channel only. What another case has become since its turn is a choice not made
//   1. lock all channels; do one of the cases that are ready
//   2. else enqueue a waiter on each channel, park, and release all locks once off the stack
//   3. take the waiters that nobody chose out of their queues, with the lock of each
//
// One wins: whoever takes a waiter off a queue must change GoroutineExtra.SelectDone from 0 (WaitQueue), or
// drop it. Only the winner touches the case and readies the goroutine. Pass 3 goes in the order of the
// commit, which may be under way still: of a case whose channel it has unlocked the commit reads nothing.
//
// A wait with a CancellationToken is one more case, on a channel of its own that cancelling closes. So it
// takes part in the same race; a callback that comes late closes a channel that nobody knows any more.
//
// Rejected: locking the channels one by one, and nothing else. A default could be taken although at every
// time some case was ready.
// Rejected: cancelling through SelectDone itself. A late callback would end the goroutine's next select.
// Locks: those of all channels, in the order of Chan.Id.

using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft;

/// <summary>
/// Waits on several channels at once and does one operation: the select statement of Go. If several are
/// ready one is chosen at random, each with the same probability. A case that is null, or whose channel
/// is null, is never ready, but keeps its number. A timeout is a case on a channel that a timer sends to. A
/// goroutine parks while it waits; any other thread blocks.
/// <code>
/// ReceiveCase&lt;Job&gt; job = jobs.ReceiveCase();
/// SendCase&lt;int&gt; report = reports.SendCase();
/// while (true)
/// {
///     report.Value = done;
///     switch (Select.Wait(job, report))
///     {
///         case 0 when !job.Ok: return;
///         case 0: Work(job.Value); done++; break;
///         case 1: break; // Was sent.
///     }
/// }
/// </code>
/// </summary>
/// <remarks>Cases are reusable. Up to eight of them allocate nothing, and more allocate for the time of the
/// call. A goroutine may grow its stack in any call of this class: see <see cref="StackOptions"/>.
/// </remarks>
[SuppressMessage("Naming", "CA1716", Justification = "The word of Go; Visual Basic can write [Select].")]
public static unsafe class Select
{
    /// <summary>Waits until one of the cases is ready and does it. Without any case that can become ready it
    /// never returns.</summary>
    /// <param name="cases">The cases. Each object at most once.</param>
    /// <returns>The number of the case that was done: its place in the list, from 0.</returns>
    /// <exception cref="ChannelClosedException">A case that sends was chosen, but its channel is
    /// closed.</exception>
    /// <exception cref="ArgumentException">A case is twice in the list.</exception>
    /// <exception cref="InvalidOperationException">Another goroutine waits with one of the
    /// cases.</exception>
    public static int Wait(params ReadOnlySpan<SelectCase?> cases) => Choose(cases, wait: true);

    /// <summary>The same, but stops waiting when the token is cancelled. A wait with a token that can be
    /// cancelled allocates.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <param name="cases">The cases. Each object at most once.</param>
    /// <returns>The number of the case that was done.</returns>
    /// <exception cref="OperationCanceledException">Cancelled, before the call or while it waited: no case
    /// was done.</exception>
    /// <exception cref="ChannelClosedException">As without a token.</exception>
    /// <exception cref="ArgumentException">A case is twice in the list.</exception>
    /// <exception cref="InvalidOperationException">Another goroutine waits with one of the
    /// cases.</exception>
    public static int Wait(CancellationToken cancellationToken, params ReadOnlySpan<SelectCase?> cases)
    {
        CancelCause.ThrowIfCancelled(cancellationToken);
        int index = WaitOrCancel(cases, cancellationToken);
        if (index < 0)
        {
            CancelCause.Throw(cancellationToken);
        }
        return index;
    }

    /// <summary>Does one of the cases that are ready; does not wait. Go: a select with a default.</summary>
    /// <param name="cases">The cases. Each object at most once.</param>
    /// <returns>The number of the case that was done; -1 when none is ready.</returns>
    /// <exception cref="ChannelClosedException">A case that sends was chosen, but its channel is
    /// closed.</exception>
    /// <exception cref="ArgumentException">A case is twice in the list.</exception>
    /// <exception cref="InvalidOperationException">Another goroutine waits with one of the
    /// cases.</exception>
    public static int TryWait(params ReadOnlySpan<SelectCase?> cases) => Choose(cases, wait: false);

    /// <summary>As <see cref="Wait(ReadOnlySpan{SelectCase})"/>, and then calls what the case was made with:
    /// <c>Select.Run(jobs.ReceiveCase((job, ok) => ...), quit.ReceiveCase((_, _) => ...))</c>.</summary>
    /// <param name="cases">The cases. Each object at most once.</param>
    /// <returns>The number of the case that was done.</returns>
    public static int Run(params ReadOnlySpan<SelectCase?> cases)
    {
        int index = Wait(cases);
        cases[index]!.Invoke();
        return index;
    }

    /// <summary>As <see cref="TryWait"/>, and then calls what the case was made with.</summary>
    /// <param name="cases">The cases. Each object at most once.</param>
    /// <returns>The number of the case that was done; -1 when none is ready.</returns>
    public static int TryRun(params ReadOnlySpan<SelectCase?> cases)
    {
        int index = TryWait(cases);
        if (index >= 0)
        {
            cases[index]!.Invoke();
        }
        return index;
    }

    /// <summary>Wait, with -1 when the token is cancelled first. Not asked before the cases are.</summary>
    internal static int WaitOrCancel(ReadOnlySpan<SelectCase?> cases, CancellationToken token)
    {
        if (!token.CanBeCanceled)
        {
            return Wait(cases);
        }
        int index = TryWait(cases);
        if (index >= 0)
        {
            return index;
        }
        Chan<bool> cancelled = new();
        SelectCase?[] all = [.. cases, new ReceiveCase<bool>(cancelled)];
        CancellationTokenRegistration registration = token.UnsafeRegister(
            static channel => _ = ((Chan)channel!).TryClose(), cancelled);
        try
        {
            index = Wait(all);
        }
        finally
        {
            _ = registration.Unregister(); // Does not wait for a callback that runs now.
        }
        return index == cases.Length ? -1 : index;
    }

    /// <summary>Waits for ever.</summary>
    internal static void Never()
    {
        Goroutine* g = Scheduler.EnterWait();
        Scheduler.Park(g, null, null, ParkReason.Never);
        Scheduler.ExitIfAbandoned(g);
        Fatal.Throw("select: a goroutine that waits for ever was readied"u8);
    }

    private const int Few = GoroutineExtra.WaiterCount;

    private static int Choose(ReadOnlySpan<SelectCase?> cases, bool wait)
    {
        int chosen = -1;
        Outcome outcome = cases.Length <= Few ? SelectRound.AttemptOne(cases, out chosen) : Outcome.Waits;
        return outcome == Outcome.Done ? chosen
            : outcome == Outcome.Waits ? ChooseLocked(cases, wait)
            : Fail(outcome);
    }

    /// <summary>The passes with all locks. -1 where it does not wait, and no case is ready.</summary>
    [SkipLocalsInit] // The places are written before they are read.
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int ChooseLocked(ReadOnlySpan<SelectCase?> cases, bool wait)
    {
        int length = cases.Length;
        Goroutine* g = wait ? Scheduler.EnterWait() : Current.GoroutineOrNull();
        SelectRound round = new(cases, g, length <= Few ? stackalloc int[Few] : new int[length]);
        Outcome outcome = round.Prepare();
        if (round.IsBubbled)
        {
            EnterBubbles(cases, g, wait);
        }
        if (outcome == Outcome.Waits && round.Count == 0 && wait)
        {
            Never();
        }
        else if (outcome == Outcome.Waits && round.Count > 0)
        {
            outcome = round.HasSources ? WithSources(ref round, g, wait) : Run(ref round, wait);
        }
        if (wait)
        {
            Scheduler.LeaveWait(g);
        }
        if (round.IsBubbled)
        {
            Bubble.Point();
        }
        if (round.IsTwice)
        {
            throw new ArgumentException("A case is twice in the list of a select.", nameof(cases));
        }
        return outcome is Outcome.Done or Outcome.Waits ? round.Chosen : Fail(outcome);
    }

    private static int Fail(Outcome outcome)
    {
        if (outcome == Outcome.Closed)
        {
            Chan.ThrowClosed();
        }
        throw new InvalidOperationException("Another goroutine waits with a case of this select.");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EnterBubbles(ReadOnlySpan<SelectCase?> cases, Goroutine* g, bool wait)
    {
        try
        {
            foreach (SelectCase? each in cases)
            {
                each?.Channel?.EnterBubble();
            }
        }
        catch when (wait)
        {
            Scheduler.LeaveWait(g);
            throw;
        }
    }

    private static Outcome Run(ref SelectRound round, bool wait) =>
        wait && round.Count > Few ? WithMoreWaiters(ref round) : round.Run(wait, null);

    /// <summary>To watch costs something: where a case may be ready, it first looks whether that is
    /// so.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Outcome WithSources(ref SelectRound round, Goroutine* g, bool wait)
    {
        if (round.PollSources() || !wait)
        {
            Outcome outcome = round.Run(wait: false, null);
            if (outcome != Outcome.Waits || !wait)
            {
                return outcome;
            }
        }
        int watched = 0;
        try
        {
            round.WatchSources(ref watched);
            return Run(ref round, wait: true);
        }
        catch (InsufficientMemoryException)
        {
            Scheduler.LeaveWait(g);
            throw;
        }
        finally
        {
            round.UnwatchSources(watched);
        }
    }

    private static Outcome WithMoreWaiters(ref SelectRound round)
    {
        Waiter* waiters = (Waiter*)NativeMemory.AllocZeroed((nuint)round.Count, (nuint)sizeof(Waiter));
        try
        {
            return round.Run(wait: true, waiters);
        }
        finally
        {
            NativeMemory.Free(waiters);
        }
    }
}
