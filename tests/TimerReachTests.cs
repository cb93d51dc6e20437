// Timers that nobody waits for: they cost no memory, are no reason to wait, and still right when somebody
// looks.

using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Weft.Runtime;

namespace Weft.Tests;

[NotInParallel]
internal sealed class TimerReachTests
{
    private const int Procs = 2;

    private static readonly TimeSpan s_far = TimeSpan.FromHours(24);

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);

    [Test]
    public async Task TimeoutsOfADayInASelectLoopCostNothingAfterwards()
    {
        const int Rounds = 1_000_000;
        long memory = 0;
        long timers = 0;
        string? failure = Crew.Run(Procs, crew =>
        {
            Chan<int> channel = new();
            Go.Run(() =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    channel.Send(i);
                }
            });
            long before = GC.GetTotalMemory(forceFullCollection: true);
            timers = -Scheduler.TimerCount;
            ReceiveCase<int> receive = channel.ReceiveCase();
            for (int i = 0; i < Rounds; i++)
            {
                crew.Equal(Select.Wait(receive, Time.After(s_far).ReceiveCase()), 0, "the case");
            }
            timers += Scheduler.TimerCount;
            memory = GC.GetTotalMemory(forceFullCollection: true) - before;
        });

        await Assert.That(failure).IsNull();
        await Assert.That(timers).IsLessThanOrEqualTo(0);
        await Assert.That(memory).IsLessThan(10_000_000);
    }

    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task ATimerThatNobodyReachesIsCollected(bool afterAWait)
    {
        int left = -1;
        string? failure = Crew.Run(Procs, crew =>
        {
            WeakReference[] dead = Abandon(afterAWait);
            Scheduler.EndLingering();
            crew.Until(
                () =>
                {
                    GC.Collect();
                    left = dead.Count(each => each.IsAlive);
                    return left <= 1; // A word on the stack may look like one.
                },
                "the timers to be collected");
        });

        await Assert.That(failure).IsNull();
        await Assert.That(left).IsBetween(0, 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference[] Abandon(bool afterAWait)
    {
        WeakReference[] weak = new WeakReference[40];
        Chan<int> ready = new(1);
        for (int i = 0; i < weak.Length; i++)
        {
            ReceiveChan<DateTimeOffset> channel = (i % 4) switch
            {
                0 => Time.After(s_far),
                1 => Time.Tick(s_far),
                2 => new Timer(s_far).C,
                _ => new Ticker(s_far).C,
            };
            if (afterAWait)
            {
                _ = Timer.AfterFunc(Ms(0.1), () => ready.Send(1));
                _ = Select.Wait(ready.ReceiveCase(), channel.ReceiveCase());
            }
            weak[i] = new WeakReference(channel.Channel);
        }
        return weak;
    }

    [Test]
    public async Task WhatSomebodyWaitsForHappensThoughNobodyHoldsIt()
    {
        string? failure = Crew.Run(Procs, crew =>
        {
            Chan<string> done = new();
            Start(done);
            for (int i = 0; i < 5; i++)
            {
                GC.Collect();
                Scheduler.EndLingering();
            }
            for (int i = 0; i < 6; i++)
            {
                _ = done.Receive();
            }
        });

        await Assert.That(failure).IsNull();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Start(Chan<string> done)
    {
        TimeSpan soon = Ms(30);
        _ = Timer.AfterFunc(soon, () => done.Send("AfterFunc"));
        Go.Run(() => done.Send("receive " + Time.After(soon).Receive()));
        Go.Run(() => done.Send("select " + Select.Wait(
            new Chan<int>().ReceiveCase(), Time.Tick(soon).ReceiveCase())));
        Go.Run(() =>
        {
            Chan<DateTimeOffset>.Enumerator ticks = Time.Tick(soon).GetEnumerator();
            done.Send("range " + (ticks.MoveNext() && ticks.MoveNext()));
        });
        ReceiveChan<DateTimeOffset> all = Time.Tick(soon);
        _ = Task.Run(async () =>
        {
            await foreach (DateTimeOffset _ in all.ReadAllAsync())
            {
                done.Send("ReadAllAsync");
                break;
            }
        });
        ChannelReader<DateTimeOffset> reader = Time.After(soon).AsReader();
        _ = Task.Run(async () => done.Send("AsReader " + await reader.ReadAsync()));
    }

    [Test]
    [Arguments("TryReceive")]
    [Arguments("Count")]
    [Arguments("TryWait")]
    [Arguments("select")]
    [Arguments("receive")]
    [Arguments("reader")]
    public async Task WhoOnlyLooksFindsWhatIsDue(string how)
    {
        string? failure = Crew.Run(Procs, crew =>
        {
            long before = Scheduler.TimerCount;
            Timer timer = new(Ms(2));
            Ticker ticker = new(Ms(2));
            DateTimeOffset set = DateTimeOffset.UtcNow;
            crew.Expect(Scheduler.TimerCount <= before, "no entries in heaps");
            Go.Sleep(Ms(40));
            foreach (ReceiveChan<DateTimeOffset> channel in new[] { timer.C, ticker.C })
            {
                DateTimeOffset value = Look(crew, how, channel);
                crew.Expect(value - set < Ms(30), $"due when it was looked at: {value - set}");
                crew.Expect(value - set > Ms(-1000), $"due at {value - set}");
            }
            crew.Expect(!timer.Stop(), "Stop of a timer that was received from");
            crew.Until(() => ticker.C.Count == 1, "the next tick");
            ticker.Stop();
            crew.Equal(ticker.C.Count, 0, "ticks after Stop");
        });

        await Assert.That(failure).IsNull();
    }

    private static DateTimeOffset Look(Crew crew, string how, ReceiveChan<DateTimeOffset> channel)
    {
        DateTimeOffset value = default;
        ReceiveCase<DateTimeOffset> receive = channel.ReceiveCase();
        switch (how)
        {
            case "TryReceive":
                crew.Expect(channel.TryReceive(out value), how);
                return value;
            case "Count":
                crew.Equal(channel.Count, 1, how);
                return channel.Receive();
            case "TryWait":
                crew.Equal(Select.TryWait(receive), 0, how);
                return receive.Value;
            case "select": // A case that is always ready does not keep it from coming.
                Chan<int> closed = new();
                closed.Close();
                crew.Until(() => Select.Wait(closed.ReceiveCase(), receive) == 1, how);
                return receive.Value;
            case "receive":
                return channel.Receive();
            default:
                crew.Expect(channel.AsReader().TryRead(out value), how);
                return value;
        }
    }

    [Test]
    public async Task SettingATimerAnewReachesWhoWaitsAlready()
    {
        string? failure = Crew.Run(Procs, crew =>
        {
            Scheduler.EndLingering();
            long before = Scheduler.TimerCount;
            Timer timer = new(s_far);
            Ticker ticker = new(s_far);
            ticker.Stop();
            Chan<int> done = new();
            for (int i = 0; i < 4; i++)
            {
                int way = i;
                Go.Run(() =>
                {
                    ReceiveChan<DateTimeOffset> channel = way % 2 == 0 ? timer.C : ticker.C;
                    _ = way < 2 ? channel.Receive() : default;
                    _ = way < 2 ? 0 : Select.Wait(new Chan<int>().ReceiveCase(), channel.ReceiveCase());
                    done.Send(way);
                });
            }
            Go.Sleep(Ms(5));
            ticker.Reset(Ms(1));
            _ = done.Receive();
            _ = done.Receive();
            for (int i = 0; i < 2; i++)
            {
                _ = timer.Reset(Ms(1));
                _ = done.Receive();
            }
            ticker.Stop();
            Scheduler.EndLingering();
            crew.Until(() => Scheduler.TimerCount <= before, "the heaps to be as before");
        });

        await Assert.That(failure).IsNull();
        Scheduler.CheckTimers();
    }

    // All that changes whether a timer is in a heap, at once: waits that begin and end, settings, firing.
    [Test]
    public async Task AStormOfWaitsAndSettingsLeavesNothingInTheHeaps()
    {
        Scheduler.EndLingering();
        long before = Scheduler.TimerCount;
        string? failure = Crew.Run(4, crew =>
        {
            Timer[] timers = [.. Enumerable.Range(0, 6).Select(_ => new Timer(s_far))];
            for (int i = 0; i < 12; i++)
            {
                crew.Start(i % 6 == 0, () =>
                {
                    for (int round = 0; round < 400; round++)
                    {
                        Timer timer = timers[Random.Shared.Next(timers.Length)];
                        TimeSpan soon = TimeSpan.FromMicroseconds(Random.Shared.Next(300));
                        _ = Random.Shared.Next(3) == 0 ? timer.Stop() : timer.Reset(soon);
                        ReceiveChan<DateTimeOffset> other = timers[Random.Shared.Next(timers.Length)].C;
                        _ = Select.Wait(other.ReceiveCase(), Time.After(soon).ReceiveCase());
                    }
                });
            }
        });
        Scheduler.EndLingering();

        await Assert.That(failure).IsNull();
        await Assert.That(Scheduler.TimerCount).IsLessThanOrEqualTo(before);
        Scheduler.CheckTimers();
    }
}
