// What is found, as the programs that Go's own test of leaked goroutines has, one for each way to wait; and what
// must not be found, because something could still wake it. Each of the latter is woken in the end by just
// that.

using System.Runtime.CompilerServices;
using Weft.Runtime;

namespace Weft.Tests;

internal sealed partial class LeakTests
{
    private static readonly Dictionary<string, (string Reason, Action<LeakSite> Make)> s_leaks = new()
    {
        ["NilRecv"] = ("no channel", site => site.Go(() => default(ReceiveChan<int>).Receive())),
        ["NilSend"] = ("no channel", site => site.Go(() => default(SendChan<int>).Send(1))),
        ["SelectNoCases"] = ("no channel", site => site.Go(() => Select.Wait())),
        ["ChanReceive"] = ("chan receive", site => site.Go(() => new Chan<int>().Receive())),
        ["ChanSend"] = ("chan send", site => site.Go(() => new Chan<string>().Send("x"))),
        ["ChanSendFull"] = ("chan send", site => site.Go(() =>
        {
            Chan<int> channel = new(2);
            channel.Send(1);
            channel.Send(2);
            channel.Send(3);
        })),
        ["StoppedTicker"] = ("chan receive", site => site.Go(() =>
        {
            Ticker ticker = new(TimeSpan.FromMilliseconds(1));
            ticker.Stop();
            _ = ticker.C.Receive();
        })),
        ["Range"] = ("chan receive", site =>
        {
            Chan<int> channel = new(2);
            site.Go(() =>
            {
                foreach (int each in channel)
                {
                    _ = each;
                }
            });
            channel.Send(1);
        }
        ),
        ["Select"] = ("select", site => site.Go(
            () => Select.Wait(new Chan<int>().ReceiveCase(), new Chan<string>().SendCase("x")))),
        ["SelectMany"] = ("select", site => site.Go(
            () => Select.Wait([.. Enumerable.Range(0, 12).Select(_ => new Chan<int>().ReceiveCase())]))),
        ["SelectToken"] = ("select", site => site.Go(
            () => new Chan<int>().Receive(new CancellationTokenSource().Token))),
        ["WaitGroup"] = ("wait group", site =>
        {
            WaitGroup group = new();
            group.Add();
            site.Go(group.Wait);
            site.Go(group.Wait);
        }
        ),
        ["MutexHeap"] = ("mutex", site =>
        {
            Mutex mutex = new();
            mutex.Lock();
            site.Go(mutex.Lock);
            site.Go(() => mutex.Lock(new CancellationTokenSource().Token));
        }
        ),
        ["RWMutexRLock"] = ("rw mutex", site =>
        {
            RWMutex mutex = new();
            mutex.Lock();
            site.Go(mutex.RLock);
            site.Go(mutex.RLock);
        }
        ),
        ["RWMutexLock"] = ("rw mutex", site =>
        {
            RWMutex mutex = new();
            mutex.RLock();
            site.Go(mutex.Lock);
        }
        ),
        ["Cond"] = ("cond", site =>
        {
            Cond cond = new(new Mutex());
            for (int i = 0; i < 2; i++)
            {
                site.Go(() =>
                {
                    using (cond.Mutex.EnterScope())
                    {
                        cond.Wait();
                    }
                });
                Crew.LetOthersRun();
            }
        }
        ),
        ["Semaphore"] = ("semaphore", site =>
        {
            Semaphore semaphore = new(2);
            semaphore.Acquire(2);
            site.Go(() => semaphore.Acquire());
            site.Go(() => semaphore.Acquire(2, new CancellationTokenSource().Token));
        }
        ),
        ["Once"] = ("mutex", site => site.Go(() =>
        {
            Once once = new();
            once.Do(() => once.Do(() => { }));
        })),
        ["Task"] = ("wait group", site => site.Go(() => Go.Await(new TaskCompletionSource().Task))),
        ["Chain"] = ("chan receive", site =>
        {
            Chan<int> first = new();
            for (int i = 0; i < 50; i++)
            {
                Chan<int> left = first;
                Chan<int> right = new();
                site.Go(() => left.Send(right.Receive() + 1));
                first = right;
            }
        }
        ),
        ["Mutual"] = ("chan receive", site =>
        {
            Chan<int> one = new();
            Chan<int> two = new();
            site.Go(() => one.Send(two.Receive()));
            site.Go(() => two.Send(one.Receive()));
        }
        ),
        ["Abandoned"] = ("chan send", site =>
        {
            // The caller takes the first answer of two, as with a timeout.
            Chan<int> answers = new();
            site.Go(() => answers.Send(1));
            site.Go(() => answers.Send(2));
            site.Go(() => answers.Send(3));
        }
        ),
        ["ThreadStatic"] = ("chan receive", site => site.Go(() =>
        {
            t_channel = new Chan<int>();
            t_channel.Receive();
        })),
        ["AsyncLocal"] = ("chan receive", site => site.Go(WaitForALocal)),
        ["Finalizable"] = ("chan receive", site => site.Go(() =>
        {
            using System.Threading.Timer timer = new(_ => { }, null, Timeout.Infinite, Timeout.Infinite);
            using FileStream file = File.OpenRead("/dev/null");
            new Chan<int>().Receive();
        }
        )),
        ["Fixed"] = ("chan receive", site => site.Go(() => new Chan<int>().Receive(), StackOptions.Fixed())),
        ["Locked"] = ("chan receive", site => site.Go(() =>
        {
            Go.LockOSThread();
            new Chan<int>().Receive();
        })),
        ["InCatch"] = ("chan receive", site => site.Go(() =>
        {
            try
            {
                throw new InvalidOperationException("as expected");
            }
            catch (InvalidOperationException)
            {
                new Chan<int>().Receive();
            }
        })),
    };

    public static IEnumerable<string> Leaks => s_leaks.Keys;

    [Test]
    [MethodDataSource(nameof(Leaks))]
    public async Task EachIsFoundWithItsReasonAndEnds(string name)
    {
        (string reason, Action<LeakSite> make) = s_leaks[name];
        LeakSite site = LeakSite.Make(make);

        List<LeakedGoroutine> first = site.Find();
        List<LeakedGoroutine> again = site.Find();
        LeakReport report = Go.FindLeaks(reclaim: true);

        await Assert.That(first.Count).IsEqualTo(site.Started).Because(report.ToString());
        await Assert.That(first.TrueForAll(leak => leak.WaitReason == reason)).IsTrue().Because(report.ToString());
        await Assert.That(first.Any(leak => leak.IsReclaimed)).IsFalse();
        await Assert.That(first.TrueForAll(leak => leak.StackTrace.StartsWith("   at Weft."))).IsTrue()
            .Because(report.ToString());
        await Assert.That(again.TrueForAll(leak => first.Exists(one => one.Id == leak.Id))).IsTrue();
        await Assert.That(again.Count).IsEqualTo(first.Count);
        await Assert.That(report.Count(leak => leak.IsReclaimed)).IsEqualTo(site.Started)
            .Because(report.ToString());
        site.UntilEnded();
        await Assert.That(Go.FindLeaks().Count).IsEqualTo(0);
    }

    [Test]
    [MethodDataSource(nameof(Keepers))]
    public async Task WhatCanStillBeWokenIsNotFound(string name)
    {
        (Action<LeakSite> make, Action wake) = s_keepers[name];
        LeakSite site = LeakSite.Make(make);

        List<LeakedGoroutine> found = [.. site.Find(), .. site.Find(reclaim: true)];
        wake();
        site.UntilEnded();

        await Assert.That(string.Join('\n', found)).IsEqualTo("");
        Forget();
    }

    // Whoever readies it has let go of the channel.
    [Test]
    [Arguments(false)]
    [Arguments(true)]
    public async Task OneThatIsAboutToBeReadiedIsNotLeaked(bool selects)
    {
        LeakSite site = LeakSite.Make(selects
            ? static site =>
            {
                s_channel = new Chan<int>();
                Chan<int> channel = s_channel;
                site.Go(() => Select.Wait(channel.ReceiveCase(), new Chan<int>().ReceiveCase()));
            }
        : static site =>
        {
            s_channel = new Chan<int>();
            Chan<int> channel = s_channel;
            site.Go(() => channel.Receive());
        });
        nint g = TakeReceiver();

        List<LeakedGoroutine> found = site.Find(reclaim: true);
        Ready(g);
        site.UntilEnded();

        await Assert.That(string.Join('\n', found)).IsEqualTo("");
    }

    // The address of what it waits on lies on the stack of one that is not leaked, as a number.
    [Test]
    public async Task AStaleWordHidesNoLeak()
    {
        Chan<int> gate = new();
        LeakSite site = LeakSite.Make(static site => site.Go(() => new Chan<int>().Receive()));
        LeakSite holder = LeakSite.Make(holder => holder.Go(() => HoldStaleWord(site, gate)));

        bool before = FrameWalk.IsOn;
        FrameWalk.IsOn = true;
        List<LeakedGoroutine> found = site.Find(reclaim: true);
        FrameWalk.IsOn = before;
        gate.Close();
        holder.UntilEnded();
        site.Reclaim();

        await Assert.That(found.Count).IsEqualTo(1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void HoldStaleWord(LeakSite site, Chan<int> gate)
    {
        nint* words = stackalloc nint[2];
        words[0] = AddressOfPlace(site);
        _ = gate.Receive();
        Volatile.Write(ref words[1], words[0]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe nint AddressOfPlace(LeakSite site)
    {
        object place = site.WaitsOn(0);
        return Unsafe.As<object, nint>(ref place);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe nint TakeReceiver()
    {
        int value = 1;
        s_channel!.Lock();
        _ = s_channel.SendNow(ref value, out Goroutine* receiver);
        s_channel.Unlock();
        s_channel = null;
        return (nint)receiver;
    }

    private static unsafe void Ready(nint g) => Scheduler.Ready((Goroutine*)g);

    [Test]
    public async Task TheReportSaysWhoWaitsForWhatAndWhere()
    {
        LeakSite site = LeakSite.Make(static site => site.Go(() => WaitForNobody(new Chan<int>())));
        Thread.Sleep(30);

        LeakReport report = Go.FindLeaks(reclaim: true);
        site.UntilEnded();

        LeakedGoroutine leak = report.Single();
        await Assert.That(report.ToString()).StartsWith("leaked goroutines: 1" + Environment.NewLine);
        await Assert.That(leak.ToString()).StartsWith($"goroutine {leak.Id} [chan receive, 0.");
        await Assert.That(leak.ToString()).Contains(", reclaimed]:");
        await Assert.That(leak.StackTrace).Contains("   at Weft.Tests.LeakTests.WaitForNobody");
        await Assert.That(leak.Waited).IsGreaterThan(TimeSpan.FromMilliseconds(10));
        await Assert.That(leak.Waited).IsLessThan(TimeSpan.FromSeconds(20));
        await Assert.That(report.ToString()).EndsWith(leak.ToString());
    }

    private static void WaitForALocal()
    {
        s_local.Value = new Chan<int>();
        s_local.Value.Receive();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WaitForNobody(Chan<int> channel) => channel.Receive();
}
