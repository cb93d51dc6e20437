// What Go's context_test.go, x_test.go and afterfunc_test.go ask of a context; the programs are our own.

using System.Diagnostics;
using Weft.Runtime;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ContextTests(int procs)
{
    private static readonly TimeSpan s_far = TimeSpan.FromHours(1);
    private static readonly ContextKey<string> s_name = new("name");
    private static readonly ContextKey<int> s_number = new("number");

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    private static void IsOpen(Crew crew, Context context, string what)
    {
        crew.Expect(context.Err == null && context.Cause == null, $"{what}: Err is {context.Err}");
        crew.Expect(!context.Token.IsCancellationRequested, $"{what}: the token");
        int seen = 0;
        ReceiveChan<Unit> done = context.Done;
        Func<bool> stop = context.AfterFunc(() => Interlocked.Increment(ref seen));
        Crew.LetOthersRun();
        crew.Equal(Volatile.Read(ref seen), 0, $"{what}: functions run");
        crew.Expect(stop(), $"{what}: AfterFunc");
        crew.Expect(done == context.Done, $"{what}: Done is another channel");
    }

    private static void IsDone<TError>(Crew crew, Context context, string what)
        where TError : Exception
    {
        crew.Expect(!context.Done.Receive(out _), $"{what}: Done sent something");
        crew.Expect(context.Err is TError, $"{what}: Err is {context.Err}");
        crew.Expect(context.Cause != null, $"{what}: Cause is null");
        crew.Expect(context.Token.IsCancellationRequested, $"{what}: the token");
        crew.Expect(!context.AfterFunc(() => { })(), $"{what}: AfterFunc could be stopped");
    }

    [Test]
    public async Task TheBackgroundIsNeverDone()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Context context = Context.Background;
            IsOpen(crew, context, "background");
            crew.Equal(context.Deadline, null, "the deadline");
            crew.Equal(context.Token.CanBeCanceled, false, "the token");
            crew.Equal(context.Value(s_name), null, "a value");
            IsOpen(crew, Context.FromToken(default), "from a token that cannot be cancelled");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task CancellingReachesAllBelowAndNobodyElse()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Context root, Action cancelRoot) = Context.Background.WithCancel();
            (Context child, Action cancelChild) = root.WithCancel();
            (Context sibling, Action cancelSibling) = root.WithValue(s_number, 1).WithTimeout(s_far);
            Context leaf = child.WithValue(s_name, "leaf");
            (Context grandchild, Action cancelGrandchild) = leaf.WithCancel();
            IsOpen(crew, grandchild, "grandchild");

            cancelChild();
            IsDone<OperationCanceledException>(crew, child, "child");
            IsDone<OperationCanceledException>(crew, leaf, "leaf");
            IsDone<OperationCanceledException>(crew, grandchild, "grandchild");
            crew.Expect(child.Err == grandchild.Err && child.Cause == child.Err, "the errors differ");
            IsOpen(crew, root, "root");
            IsOpen(crew, sibling, "sibling");

            (Context late, Action cancelLate) = grandchild.WithTimeout(s_far);
            IsDone<OperationCanceledException>(crew, late, "a child of one that is cancelled");

            cancelRoot();
            cancelRoot();
            IsDone<OperationCanceledException>(crew, sibling, "sibling");
            crew.Equal(sibling.Value(s_number), 1, "a value afterwards");
            cancelSibling();
            cancelGrandchild();
            cancelLate();
            crew.Expect(!Scheduler.HasTimers, "a timer is left");
        });

        await Assert.That(failure).IsNull();
    }

    // Go: TestLayersCancel, TestLayersTimeout.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task LayersOfEveryKindEndTogether(bool byTimeout)
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Random random = new(7);
            Context context = Context.Background;
            List<Action> cancels = [];
            List<ContextKey<int>> keys = [];
            for (int layer = 0; layer < 200; layer++)
            {
                switch (random.Next(3))
                {
                    case 0:
                        keys.Add(new ContextKey<int>($"layer {layer}"));
                        context = context.WithValue(keys[^1], keys.Count);
                        break;

                    case 1:
                        (context, Action cancel) = context.WithCancel();
                        cancels.Add(cancel);
                        break;

                    default:
                        (context, Action stop) = context.WithTimeout(byTimeout ? Ms(20) : s_far);
                        cancels.Add(stop);
                        break;
                }
            }
            for (int i = 0; i < keys.Count; i++)
            {
                crew.Equal(context.Value(keys[i]), i + 1, "a value before");
            }
            if (byTimeout)
            {
                IsDone<TimeoutException>(crew, context, "after the time");
            }
            else
            {
                IsOpen(crew, context, "before");
                cancels[0]();
                IsDone<OperationCanceledException>(crew, context, "after the cancellation");
            }
            cancels.ForEach(cancel => cancel());
            for (int i = 0; i < keys.Count; i++)
            {
                crew.Equal(context.Value(keys[i]), i + 1, "a value after");
            }
            crew.Expect(!Scheduler.HasTimers, "a timer is left");
        });

        await Assert.That(failure).IsNull();
    }

    // Go: TestCancelRemoves.
    [Test]
    public async Task AParentDropsWhatHasEnded()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Context parent, Action cancel) = Context.Background.WithCancel();
            List<Action> cancels = [];
            for (int i = 0; i < 10; i++)
            {
                cancels.Add(parent.WithCancel().Cancel);
                cancels.Add(parent.WithTimeout(s_far).Cancel);
                Func<bool> stop = parent.AfterFunc(() => { });
                cancels.Add(() => crew.Expect(stop(), "AfterFunc"));
            }
            crew.Equal(parent.ListenerCount, 30, "children");
            for (int i = cancels.Count - 1; i >= 0; i -= 2)
            {
                cancels[i]();
            }
            crew.Equal(parent.ListenerCount, 15, "children that are left");
            for (int i = 0; i < cancels.Count; i += 2)
            {
                cancels[i]();
            }
            crew.Equal(parent.ListenerCount, 0, "children at the end");
            crew.Expect(!Scheduler.HasTimers, "a timer is left");

            (Context expires, Action stopExpires) = parent.WithTimeout(Ms(1));
            IsDone<TimeoutException>(crew, expires, "the timeout");
            crew.Until(() => parent.ListenerCount == 0, "the child that expired to be dropped");
            stopExpires();
            cancel();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task DeadlinesEndAContextInTime()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            long start = Stopwatch.GetTimestamp();
            DateTimeOffset deadline = DateTimeOffset.UtcNow + Ms(20);
            (Context outer, Action cancelOuter) = Context.Background.WithDeadline(deadline);
            (Context inner, Action cancelInner) = outer.WithTimeout(s_far);
            crew.Equal(outer.Deadline, deadline, "the deadline");
            crew.Equal(inner.Deadline, deadline, "the deadline of the child");
            crew.Equal(inner.WithValue(s_number, 2).Deadline, deadline, "with a value");
            IsDone<TimeoutException>(crew, inner, "inner");
            crew.Expect(Stopwatch.GetElapsedTime(start) >= Ms(19), "too early");
            IsDone<TimeoutException>(crew, outer, "outer");

            (Context past, Action cancelPast) = Context.Background.WithDeadline(DateTimeOffset.MinValue);
            crew.Expect(past.Err is TimeoutException, "a deadline that has passed");
            (Context now, Action cancelNow) = Context.Background.WithTimeout(TimeSpan.Zero);
            crew.Expect(now.Err is TimeoutException, "a timeout of zero");
            (Context never, Action cancelNever) = Context.Background.WithTimeout(TimeSpan.MaxValue);
            IsOpen(crew, never, "an endless timeout");
            cancelNever();
            (Context earlier, Action cancelEarlier) = Context.Background.WithTimeout(s_far);
            (Context nearer, Action cancelNearer) = earlier.WithTimeout(Ms(5));
            IsDone<TimeoutException>(crew, nearer, "nearer");
            IsOpen(crew, earlier, "the parent of one that expired");
            cancelEarlier();
            cancelNearer();
            cancelNow();
            cancelPast();
            cancelOuter();
            cancelInner();
            crew.Expect(!Scheduler.HasTimers, "a timer is left");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task CausesAreThoseOfWhoCancelledFirst()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            InvalidOperationException first = new("first");
            InvalidOperationException second = new("second");
            (Context parent, Action<Exception?> cancelParent) = Context.Background.WithCancelCause();
            (Context child, Action<Exception?> cancelChild) = parent.WithCancelCause();
            crew.Equal(child.Cause, null, "the cause before");
            cancelParent(first);
            cancelChild(second);
            crew.Equal(child.Cause, first, "the child's cause");
            crew.Expect(child.Err is OperationCanceledException, "the child's error");

            (Context other, Action<Exception?> cancelOther) = Context.Background.WithCancelCause();
            (Context below, Action<Exception?> cancelBelow) = other.WithCancelCause();
            cancelBelow(second);
            cancelOther(first);
            crew.Equal(below.Cause, second, "the cause of one cancelled before its parent");
            crew.Equal(other.Cause, first, "the cause of its parent");

            (Context plain, Action<Exception?> cancelPlain) = Context.Background.WithCancelCause();
            cancelPlain(null);
            crew.Equal(plain.Cause, plain.Err, "without a cause");

            (Context timed, Action cancelTimed) = Context.Background.WithTimeout(Ms(1), first);
            IsDone<TimeoutException>(crew, timed, "timed");
            crew.Equal(timed.Cause, first, "the cause of the timeout");
            (Context early, Action cancelEarly) = Context.Background.WithTimeout(s_far, first);
            cancelEarly();
            crew.Equal(early.Cause, early.Err, "cancelled before the timeout");
            cancelTimed();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ValuesAreFoundByTheirKeys()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            ContextKey<string> same = new("name");
            Context context = Context.Background.WithValue(s_name, "outer").WithValue(s_number, 0);
            (Context child, Action cancel) = context.WithCancel();
            Context inner = child.WithValue(s_name, "inner").WithValue(same, "another");
            crew.Equal(inner.Value(s_name), "inner", "hidden");
            crew.Equal(child.Value(s_name), "outer", "outer");
            crew.Equal(inner.Value(same), "another", "a key of the same name");
            crew.Expect(inner.TryGetValue(s_number, out int zero) && zero == 0, "a default value");
            crew.Expect(!Context.Background.TryGetValue(s_number, out _), "no value");
            crew.Expect(inner.WithValue(s_name, null!).TryGetValue(s_name, out string? none), "a null");
            crew.Equal(none, null, "a null");
            crew.Equal(s_name.ToString(), "name", "the name of a key");
            Context free = inner.WithoutCancel();
            cancel();
            crew.Equal(free.Value(s_name), "inner", "a value without the cancellation");
            IsOpen(crew, free, "without the cancellation");
            crew.Throws<ArgumentNullException>(() => context.WithValue<int>(null!, 1), "a null key");
            crew.Throws<ArgumentNullException>(() => context.Value<int>(null!), "a null key");
            crew.Throws<ArgumentNullException>(() => context.AfterFunc(null!), "a null function");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task AFunctionRunsOnceAfterwardsUnlessStopped()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Context context, Action cancel) = Context.Background.WithCancel();
            Chan<long> ran = new();
            int wrong = 0;
            Func<bool> stopRun = context.WithValue(s_number, 1).AfterFunc(() => ran.Send(Go.Id));
            Func<bool> stopped = context.AfterFunc(() => Interlocked.Increment(ref wrong));
            crew.Expect(stopped(), "stop");
            crew.Expect(!stopped(), "stop again");
            cancel();
            crew.Expect(ran.Receive() != Go.Id, "a goroutine of its own");
            crew.Expect(!stopRun(), "stop of one that has run");
            _ = context.AfterFunc(() => ran.Send(Go.Id));
            crew.Expect(ran.Receive() != Go.Id, "at once");
            Crew.LetOthersRun();
            crew.Equal(Volatile.Read(ref wrong), 0, "runs of what was stopped");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task TokensGoBothWays()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using CancellationTokenSource source = new();
            Context context = Context.FromToken(source.Token);
            (Context child, Action cancelChild) = context.WithTimeout(s_far);
            int calls = 0;
            using CancellationTokenRegistration registration =
                child.Token.Register(() => Interlocked.Increment(ref calls));
            IsOpen(crew, child, "before");
            source.Cancel();
            crew.Equal(calls, 1, "callbacks");
            IsDone<OperationCanceledException>(crew, child, "after");
            crew.Equal((context.Err as OperationCanceledException)?.CancellationToken, source.Token, "the token");
            crew.Expect(Context.FromToken(source.Token).Err != null, "from a token that is cancelled");
            cancelChild();

            (Context timed, Action cancelTimed) = Context.Background.WithTimeout(Ms(10));
            crew.Throws<TaskCanceledException>(
                () => Task.Delay(s_far, timed.Token).GetAwaiter().GetResult(), "Task.Delay");
            crew.Expect(timed.Err is TimeoutException, "the error");
            cancelTimed();
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task WhatCallbacksThrowComesOutWhenAllIsDone()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Context root, Action cancel) = Context.Background.WithCancel();
            (Context first, _) = root.WithCancel();
            (Context second, _) = root.WithCancel();
            _ = first.Token.Register(() => throw new InvalidOperationException("one"));
            _ = second.Token.Register(() => throw new InvalidOperationException("two"));
            AggregateException? thrown = crew.Throws<AggregateException>(cancel, "cancel");
            crew.Equal(thrown?.InnerExceptions.Count, 2, "exceptions");
            IsDone<OperationCanceledException>(crew, first, "first");
            IsDone<OperationCanceledException>(crew, second, "second");
        });

        await Assert.That(failure).IsNull();
    }

    // Go: TestInterlockedCancels, TestSimultaneousCancels; and readers that look in every way meanwhile.
    [Test]
    public async Task ManyCancelAndWatchAtTheSameTime()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            for (int round = 0; round < 50; round++)
            {
                (Context root, Action cancelRoot) = Context.Background.WithCancel();
                WaitGroup all = new();
                for (int i = 0; i < 12; i++)
                {
                    int kind = i;
                    all.Add();
                    crew.Start(i == 11, () =>
                    {
                        (Context context, Action cancel) =
                            kind % 2 == 0 ? root.WithCancel() : root.WithTimeout(Ms(Random.Shared.Next(3)));
                        Chan<Unit> ran = new();
                        _ = context.AfterFunc(ran.Close);
                        if (kind % 3 == 0)
                        {
                            crew.Until(() => context.Err != null || kind == 0, "an error");
                        }
                        if (kind == 0)
                        {
                            cancelRoot();
                        }
                        else if (kind % 4 == 1)
                        {
                            cancel();
                        }
                        if (context.Err != null)
                        {
                            _ = context.Done.TryReceive(out _, out bool isClosed);
                            crew.Expect(isClosed, "Err is set, and Done is open");
                        }
                        IsDone<Exception>(crew, context, "a child");
                        _ = ran.Receive();
                        cancel();
                        all.Done();
                    });
                }
                all.Wait();
                crew.Equal(root.ListenerCount, 0, "children left");
            }
            crew.Expect(!Scheduler.HasTimers, "a timer is left");
        });

        await Assert.That(failure).IsNull();
    }

    // Whoever sees the error first closes Done: that must be there by then.
    [Test]
    public async Task TheErrorIsSeenWithAllThatBelongsToIt()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            Context? current = null;
            bool ended = false;
            crew.Thread(() =>
            {
                while (!Volatile.Read(ref ended))
                {
                    Context? context = Volatile.Read(ref current);
                    if (context?.Err != null)
                    {
                        crew.Expect(context.Cause != null, "no cause");
                    }
                }
            });
            for (int i = 0; i < 200_000 && !crew.Failed; i++)
            {
                (Context context, Action cancel) = Context.Background.WithCancel();
                Volatile.Write(ref current, context);
                cancel();
            }
            Volatile.Write(ref ended, true);
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [NotOnJit("twenty threads may take longer to start than its ten milliseconds")]
    public async Task AWorkerStopsWhenItsContextIsDone()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            (Context context, Action cancel) = Context.Background.WithTimeout(Ms(Qemu.IsHere ? 1000 : 10));
            WaitGroup workers = new();
            long steps = 0;
            for (int i = 0; i < 20; i++)
            {
                workers.Go(() =>
                {
                    while (context.Err == null)
                    {
                        Interlocked.Increment(ref steps);
                        Go.Sleep(Ms(1));
                    }
                });
            }
            workers.Wait();
            cancel();
            crew.Expect(steps > 20, $"{steps} steps");
        });

        await Assert.That(failure).IsNull();
    }
}
