// What a goroutine begins with: the ExecutionContext of whoever starts it.

using System.Diagnostics;
using System.Globalization;
using Weft.Runtime;
using Switch = Weft.Runtime.Switch;

namespace Weft.Tests;

[Arguments(1)]
[Arguments(2)]
[Arguments(4)]
internal sealed class ContextFlowTests(int procs)
{
    private static readonly AsyncLocal<string?> s_local = new();

    [ThreadStatic]
    private static List<string>? t_changes;

    private static readonly AsyncLocal<string?> s_watched = new(change =>
    {
        bool begins = change.PreviousValue is null;
        t_changes = begins ? [] : t_changes;
        string how = change.ThreadContextChanged ? ", the context" : "";
        t_changes!.Add($"{change.PreviousValue} to {change.CurrentValue}{how}");
    });

    [Test]
    public async Task AnActivityOfTheChildHasTheParentsAsItsParent()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            using Activity parent = new Activity("parent").Start();
            WaitGroup done = new();
            for (int i = 0; i < 100; i++)
            {
                done.Go(() =>
                {
                    crew.Expect(Activity.Current == parent, "the child's Activity.Current");
                    Go.Yield();
                    using (Activity child = new Activity("child").Start())
                    {
                        crew.Equal(child.ParentId, parent.Id, "the ParentId");
                        crew.Equal(child.TraceId, parent.TraceId, "the TraceId");
                        Go.Yield();
                        crew.Expect(Activity.Current == child, "the child's own");
                        done.Go(() => crew.Expect(Activity.Current == child, "the grandchild's"));
                    }
                    crew.Expect(Activity.Current == parent, "the child's, afterwards");
                });
            }
            done.Wait();
            crew.Expect(Activity.Current == parent, "the parent's, afterwards");
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task ItFlowsWhateverStartsTheGoroutine()
    {
        Dictionary<string, Action<Action>> ways = new()
        {
            ["Run"] = Go.Run,
            ["Run, fixed"] = f => Go.Run(f, StackOptions.Fixed()),
            ["Run, an object"] = f => Go.Run(static f => f(), f),
            ["Run, a value"] = f => Go.Run(_ => f(), 5),
            ["Run, boxed"] = f => Go.Run(static pair => pair.f(), (f, 5)),
            ["WaitGroup"] = f => new WaitGroup().Go(f),
            ["ErrGroup"] = f => new ErrGroup().Go(f),
            ["ErrGroup.TryGo"] = f => new ErrGroup().TryGo(f),
            ["GoScope"] = f =>
            {
                using GoScope scope = new();
                scope.Go(f);
            },
            ["RunAsync"] = f => Go.RunAsync(f),
            ["RunAsync, a result"] = f => Go.RunAsync(() =>
            {
                f();
                return 5;
            }),
            ["Timer.AfterFunc"] = f => Timer.AfterFunc(TimeSpan.FromMilliseconds(1), f),
            ["Context.AfterFunc"] = f =>
            {
                (Context context, Action cancel) = Context.Background.WithCancel();
                _ = context.AfterFunc(f);
                WithValue(null, cancel); // The context is that of AfterFunc.
            },
            ["WeftTimeProvider"] = f => WeftTimeProvider.Instance.CreateTimer(
                _ => f(), null, TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan),
            ["ToChan"] = f => Stream(f).ToChan().Receive(),
        };
        string? failure = Crew.Run(procs, crew =>
        {
            CultureInfo culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            foreach ((string name, Action<Action> start) in ways)
            {
                foreach (bool asThread in (bool[])[false, true])
                {
                    Chan<string?> found = new(1);
                    crew.Start(asThread, () =>
                    {
                        s_local.Value = name;
                        CultureInfo.CurrentCulture = culture;
                        start(() => found.Send(
                            CultureInfo.CurrentCulture == culture ? s_local.Value : "another culture"));
                        s_local.Value = "too late";
                    });
                    crew.Equal(found.Receive(), name, $"by {name}");

                    crew.Start(asThread, () =>
                    {
                        s_local.Value = name;
                        using (ExecutionContext.SuppressFlow())
                        {
                            start(() => found.Send(s_local.Value));
                        }
                        crew.Equal(s_local.Value, name, "the starter's own");
                    });
                    crew.Equal(found.Receive(), null, $"by {name}, suppressed");
                }
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    public async Task HandlersAreCalledAsForATask()
    {
        string WhenFour(List<string> changes)
        {
            _ = SpinWait.SpinUntil(() => changes.Count == 4, TimeSpan.FromSeconds(10));
            return string.Join("; ", changes);
        }
        string OfTask()
        {
            Chan<List<string>> changes = new(1);
            s_watched.Value = "outside";
            _ = Task.Run(() =>
            {
                t_changes!.Add("begins");
                changes.Send(t_changes);
                s_watched.Value = "inside";
            });
            return WhenFour(changes.Receive());
        }
        string OfGoroutine(bool exits)
        {
            Chan<List<string>> changes = new(1);
            s_watched.Value = "outside";
            Go.Run(() =>
            {
                t_changes!.Add("begins");
                changes.Send(t_changes);
                s_watched.Value = "inside";
                if (exits)
                {
                    Go.Exit();
                }
            });
            return WhenFour(changes.Receive());
        }
        string? failure = Crew.Run(procs, crew =>
        {
            string expected = OfTask();
            crew.Equal(
                expected,
                " to outside, the context; begins; outside to inside; inside to , the context",
                "of a task");
            crew.Equal(OfGoroutine(exits: false), expected, "of a goroutine");
            crew.Equal(OfGoroutine(exits: true), expected, "of one that exits");
            crew.Equal(s_watched.Value, "outside", "the parent's value");
        });

        await Assert.That(failure).IsNull();
    }

    // Goroutines that end and begin again and again, with a context and without, while they move from thread
    // to thread and everything that is not held is collected: each has what its parent had, and nothing of
    // whoever was in its place before.
    [Test]
    public async Task EachBeginsWithItsOwnAmongCollections()
    {
        const int Parents = 20;
        int rounds = Go.Mode == GoMode.Jit ? 4 : 40; // Threads are slow to start.
        string? failure = Crew.Run(procs, crew =>
        {
            int ended = 0;
            crew.CollectUntil(() => Volatile.Read(ref ended) == Parents || crew.Failed);
            for (int i = 0; i < Parents; i++)
            {
                int id = i;
                crew.Go(() =>
                {
                    for (int round = 0; round < rounds && !crew.Failed; round++)
                    {
                        string? value = (round + id) % 3 == 0 ? null : $"{id}, {round}";
                        s_local.Value = value;
                        WaitGroup done = new();
                        for (int k = 0; k < 5; k++)
                        {
                            done.Go(() => Child(crew, value, done));
                        }
                        s_local.Value = "the next round's";
                        done.Wait();
                    }
                    Interlocked.Increment(ref ended);
                });
            }
        });

        await Assert.That(failure).IsNull();
    }

    [Test]
    [NotOnJit("threads have their statics anyway")]
    public async Task TheDefaultContextTakesNoThreadStatics()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            int made = 0;
            int waiting = 0;
            Chan<int> gate = new();
            WaitGroup done = new();
            done.Add(10);
            for (int i = 0; i < 10; i++)
            {
                // No closure of the crew's: its bookkeeping is for those who check.
                Go.Run(static state => state.Parent(), new Family(gate, done, () =>
                {
                    Interlocked.Add(ref made, HasStatics() ? 1 : 0);
                    Interlocked.Increment(ref waiting);
                }));
            }
            crew.Until(() => Volatile.Read(ref waiting) == 20, "parents and children");
            crew.Equal(made, 0, "goroutines with thread statics");
            gate.Close();
            done.Wait();
        });

        await Assert.That(failure).IsNull();
    }

    // The first pass of the dispatch reaches the goroutine's root: nothing below it catches what the group's
    // token ends, so that the wait throws the cause itself (sched/CancelCause.cs).
    [Test]
    public async Task ACatchOfTheCauseIsEnoughInAContext()
    {
        string? failure = Crew.Run(procs, crew =>
        {
            s_local.Value = "some";
            Chan<string> caught = new(1);
            Go.Run(() =>
            {
                try
                {
                    using GoScope scope = new();
                    scope.Go(() => throw new InvalidDataException());
                    new Chan<int>().Receive(scope.Token);
                }
                catch (InvalidDataException)
                {
                    caught.Send(s_local.Value!);
                }
            });
            crew.Equal(caught.Receive(), "some", "what was caught, and where");
        });

        await Assert.That(failure).IsNull();
    }

    private sealed class Family(Chan<int> gate, WaitGroup done, Action look)
    {
        internal void Parent()
        {
            Go.Run(static family => family.Wait(), this);
            look();
            gate.Receive();
        }

        private void Wait()
        {
            look();
            gate.Receive();
            done.Done();
        }
    }

    private static unsafe bool HasStatics()
    {
        Switch.EnterCritical();
        bool has = *Current.StaticsCell() != 0;
        Switch.LeaveCritical();
        return has;
    }

    private static void Child(Crew crew, string? value, WaitGroup done)
    {
        crew.Equal(s_local.Value, value, "the value at first");
        Go.Yield();
        crew.Equal(s_local.Value, value, "the value after a yield");
        s_local.Value = "the child's";
        Go.Run(static pair => pair.Check(), new Grandchild(crew, done));
        Go.Yield();
        crew.Equal(s_local.Value, "the child's", "its own value");
    }

    private sealed class Grandchild
    {
        private readonly Crew _crew;
        private readonly WaitGroup _done;

        internal Grandchild(Crew crew, WaitGroup done)
        {
            _crew = crew;
            _done = done;
            done.Add();
        }

        internal void Check()
        {
            _crew.Equal(s_local.Value, "the child's", "the grandchild's value");
            _done.Done();
        }
    }

    private static async IAsyncEnumerable<int> Stream(Action action)
    {
        await Task.Yield();
        action();
        yield return 1;
    }

    private static void WithValue(string? value, Action action)
    {
        string? before = s_local.Value;
        s_local.Value = value;
        action();
        s_local.Value = before;
    }
}
