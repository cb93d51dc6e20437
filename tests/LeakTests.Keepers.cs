// What may still wake a goroutine: each is made with nothing else that leads to its channel, and woken by that.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Weft.Tests;

internal sealed partial class LeakTests
{
    private static readonly TimeSpan s_soon = TimeSpan.FromMilliseconds(100);

    [ThreadStatic]
    private static Chan<int>? t_channel;

    private static readonly AsyncLocal<Chan<int>?> s_local = new();
    private static readonly Stack<Chan<int>> s_pool = new();
    private static Chan<int>? s_channel;
    private static Chan<int> s_gate = new();
    private static ManualResetEventSlim s_event = new();
    private static object? s_object;
    private static Action? s_action;
    private static nint s_handle;
    private static WeakReference<Chan<int>>? s_weak;
    private static ConditionalWeakTable<object, Chan<int>> s_table = [];
    private static int s_flag;

    public static IEnumerable<string> Keepers => s_keepers.Keys;

    private static readonly Dictionary<string, (Action<LeakSite> Make, Action Wake)> s_keepers = new()
    {
        ["NoLeakGlobal"] = (
            site =>
            {
                s_channel = new Chan<int>();
                Wait(site, s_channel);
            },
            () => s_channel!.Close()),
        ["Pool"] = (
            site =>
            {
                for (int i = 0; i < 4; i++)
                {
                    Chan<int> worker = new();
                    s_pool.Push(worker);
                    site.Go(() => worker.Receive());
                }
            },
            () =>
            {
                while (s_pool.TryPop(out Chan<int>? worker))
                {
                    worker.Send(1);
                }
            }
        ),
        ["SelectOneOfThree"] = (
            site =>
            {
                s_channel = new Chan<int>();
                Chan<int> channel = s_channel;
                site.Go(() => Select.Wait(
                    new Chan<int>().ReceiveCase(), channel.ReceiveCase(), new Chan<int>().SendCase(1)));
            },
            () => s_channel!.Send(1)),
        ["Chain"] = (
            site =>
            {
                s_channel = new Chan<int>();
                Chan<int> first = s_channel;
                for (int i = 0; i < 100; i++)
                {
                    Chan<int> left = first;
                    Chan<int> right = new();
                    if (i % 2 == 0)
                    {
                        site.Go(() => right.Send(left.Receive()));
                    }
                    else
                    {
                        site.Go(() =>
                        {
                            ReceiveCase<int> receive = left.ReceiveCase();
                            Select.Wait(new Chan<int>().ReceiveCase(), receive);
                            right.Send(receive.Value);
                        });
                    }
                    first = right;
                }
                Chan<int> last = first;
                site.Go(() => last.Receive());
            },
            () => s_channel!.Send(1)),
        ["TimeAfter"] = (site => site.Go(() => Time.After(s_soon).Receive()), Nothing),
        ["AfterFunc"] = (
            site =>
            {
                Chan<int> channel = new();
                _ = Timer.AfterFunc(s_soon, channel.Close);
                Wait(site, channel);
            },
            Nothing),
        ["Sleep"] = (site => site.Go(() => Go.Sleep(s_soon)), Nothing),
        ["TokenWithTimeout"] = (
            site => site.Go(() =>
            {
                try
                {
                    new Mutex().EnterTwice(new CancellationTokenSource(s_soon).Token);
                }
                catch (OperationCanceledException)
                {
                }
            }),
            Nothing),
        ["TaskDelay"] = (site => site.Go(() => Go.Await(Task.Delay(s_soon))), Nothing),
        ["TaskCompletionSource"] = (
            site =>
            {
                TaskCompletionSource source = new();
                s_object = source;
                site.Go(() => Go.Await(source.Task));
            },
            () => ((TaskCompletionSource)s_object!).SetResult()),
        ["Context"] = (
            site =>
            {
                (Context context, s_action) = Context.Background.WithCancel();
                (Context child, _) = context.WithCancel();
                site.Go(() => child.Done.Receive());
            },
            () => s_action!()),
        ["Handle"] = (
            site =>
            {
                Chan<int> channel = new();
                s_handle = GCHandle.ToIntPtr(GCHandle.Alloc(channel));
                Wait(site, channel);
            },
            CloseAndFreeHandle),
        ["WeakHandle"] = (
            site =>
            {
                Chan<int> channel = new();
                s_handle = GCHandle.ToIntPtr(GCHandle.Alloc(channel, GCHandleType.WeakTrackResurrection));
                Wait(site, channel);
            },
            CloseAndFreeHandle),
        ["WeakReference"] = (
            site =>
            {
                Chan<int> channel = new();
                s_weak = new WeakReference<Chan<int>>(channel);
                Wait(site, channel);
            },
            () =>
            {
                _ = s_weak!.TryGetTarget(out Chan<int>? channel);
                channel!.Close();
            }
        ),
        ["WeakTableByKey"] = (
            site =>
            {
                s_object = new object();
                Chan<int> channel = new();
                s_table.Add(s_object, channel);
                Wait(site, channel);
            },
            () =>
            {
                _ = s_table.TryGetValue(s_object!, out Chan<int>? channel);
                channel!.Close();
            }
        ),
        ["WeakTableEnumerated"] = (
            site =>
            {
                Chan<int> channel = new();
                object key = new();
                s_table.Add(key, channel);
                site.Go(() =>
                {
                    channel.Receive();
                    GC.KeepAlive(key);
                });
            },
            () => s_table.Single().Value.Close()),
        ["FinalizerOfADeadObject"] = (
            site =>
            {
                Chan<int> channel = new();
                _ = new Closer(channel, generations: 1);
                Wait(site, channel);
            },
            Nothing),
        ["FinalizerAfterSomeCollections"] = (
            site =>
            {
                Chan<int> channel = new();
                _ = new Closer(channel, generations: 20);
                Wait(site, channel);
            },
            () => LeakSite.Until(
                () =>
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    return Volatile.Read(ref s_flag) == 1;
                },
                "the finalizer")),
        ["ThreadStaticOfAGoroutine"] = (
            site => Held(site, channel => t_channel = channel, () => t_channel!.Close()), OpenGate),
        ["AsyncLocal"] = (
            site => Held(site, channel => s_local.Value = channel, () => s_local.Value!.Close()), OpenGate),
        ["StackOfAGoroutine"] = (
            site =>
            {
                Chan<int> channel = new();
                Chan<int> gate = s_gate;
                Wait(site, channel);
                site.Go(() =>
                {
                    gate.Receive();
                    channel.Close();
                });
            },
            OpenGate),
        ["GoroutineInNativeCode"] = (
            site =>
            {
                Chan<int> channel = new();
                Wait(site, channel);
                Go.Run(() =>
                {
                    Volatile.Write(ref s_flag, 1);
                    s_event.Wait();
                    channel.Close();
                });
                while (Volatile.Read(ref s_flag) == 0)
                {
                    Go.Yield();
                }
            },
            () => s_event.Set()),
        ["StackOfAThread"] = (
            site =>
            {
                Chan<int> channel = new();
                Wait(site, channel);
                new Thread(() =>
                {
                    s_event.Wait();
                    channel.Close();
                }).Start();
            },
            () => s_event.Set()),
        ["ThreadThatWaitsInWeft"] = (
            site =>
            {
                Chan<int> channel = new();
                Chan<int> gate = s_gate;
                Wait(site, channel);
                new Thread(() =>
                {
                    gate.Receive();
                    channel.Close();
                }).Start();
            },
            OpenGate),
        ["GoroutineThatComputes"] = (
            site =>
            {
                Chan<int> channel = new();
                Wait(site, channel);
                s_flag = 0;
                Go.Run(() =>
                {
                    while (Volatile.Read(ref s_flag) == 0)
                    {
                        Thread.SpinWait(1);
                    }
                    channel.Close();
                });
            },
            () => Volatile.Write(ref s_flag, 1)),
        ["MutexOfAGoroutineThatLives"] = (
            site =>
            {
                Mutex mutex = new();
                Chan<int> gate = s_gate;
                mutex.Lock();
                site.Go(() =>
                {
                    gate.Receive();
                    mutex.Unlock();
                });
                site.Go(mutex.Lock);
            },
            OpenGate),
        ["GroupOfAGoroutineThatLives"] = (
            site =>
            {
                WaitGroup group = new();
                Chan<int> gate = s_gate;
                group.Go(() => gate.Receive());
                site.Go(group.Wait);
            },
            OpenGate),
        ["TaskOnThePool"] = (
            site =>
            {
                Chan<int> channel = new();
                Wait(site, channel);
                _ = Task.Run(async () =>
                {
                    await Task.Delay(s_soon);
                    channel.Close();
                });
            },
            Nothing),
    };

    private static void Wait(LeakSite site, Chan<int> channel) => site.Go(() => channel.Receive());

    /// <summary>One waits; another has the channel in a place of its own, and closes it from there.</summary>
    private static void Held(LeakSite site, Action<Chan<int>> hold, Action close)
    {
        Chan<int> channel = new();
        Chan<Chan<int>> pass = new(1);
        Chan<int> gate = s_gate;
        Wait(site, channel);
        pass.Send(channel);
        site.Go(() =>
        {
            Take(pass, hold);
            gate.Receive();
            close();
        });

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void Take(Chan<Chan<int>> pass, Action<Chan<int>> hold) => hold(pass.Receive());
    }

    private static void Nothing()
    {
    }

    private static void OpenGate() => s_gate.Close();

    private static void CloseAndFreeHandle()
    {
        GCHandle handle = GCHandle.FromIntPtr(s_handle);
        ((Chan<int>)handle.Target!).Close();
        handle.Free();
    }

    private static void Forget()
    {
        s_channel = null;
        s_gate = new Chan<int>();
        s_event = new ManualResetEventSlim();
        s_object = null;
        s_action = null;
        s_weak = null;
        s_table = [];
        s_flag = 0;
    }

    /// <summary>Closes the channel in its finalizer, but only the last of several.</summary>
    private sealed class Closer(Chan<int> channel, int generations)
    {
        private int _left = generations;

        ~Closer()
        {
            if (--_left > 0)
            {
                GC.ReRegisterForFinalize(this);
                return;
            }
            channel.Close();
            Volatile.Write(ref s_flag, 1);
        }
    }
}

internal static class MutexExtensions
{
    /// <summary>The second waits for the token.</summary>
    internal static void EnterTwice(this Mutex mutex, CancellationToken token)
    {
        mutex.Lock(token);
        mutex.Lock(token);
    }
}
